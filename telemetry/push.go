package telemetry

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	// pushPeriod is how often what has changed is pushed.
	pushPeriod = time.Second
	// gaugeEvery is after how many pushes all gauges are sent, be they changed or not.
	gaugeEvery = 10
)

// pusher sends what has changed to statsd, statsite and dogstatsd. Its run goroutine owns all fields.
type pusher struct {
	r        *Registry
	links    []*link
	counters map[*Counter]tally
	samples  map[*Sample]reading
	gauges   map[string]float64
	rounds   int
}

// newPusher returns nil if no collector is configured.
func newPusher(ctx context.Context, r *Registry) (*pusher, error) {
	p := &pusher{
		r:        r,
		counters: map[*Counter]tally{},
		samples:  map[*Sample]reading{},
		gauges:   map[string]float64{},
	}
	p.add(statsd, r.cfg.StatsdAddress)
	p.add(statsite, r.cfg.StatsiteAddress)
	p.add(dogstatsd, r.cfg.DogstatsdAddr)
	if len(p.links) == 0 {
		return nil, nil
	}
	if r.cfg.RetryFailedConnection {
		return p, nil
	}
	for _, l := range p.links {
		if err := l.connect(ctx); err != nil {
			p.close()
			return nil, fmt.Errorf("connect to %s: %w (retry_failed_connection is off)", l.dialect.name, err)
		}
	}
	return p, nil
}

func (p *pusher) add(d dialect, address string) {
	if address == "" {
		return
	}
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		d.network, address = "unixgram", path
	}
	l := &link{dialect: d, address: address, log: p.r.log}
	if d.tags {
		l.tags = strings.Join(p.r.cfg.DogstatsdTags, ",")
	}
	p.links = append(p.links, l)
}

// run pushes until ctx ends, and then once more.
func (p *pusher) run(ctx context.Context) {
	defer p.close()
	ticker := time.NewTicker(pushPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.push(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushPeriod)
			defer cancel()
			p.push(last)
			return
		}
	}
}

func (p *pusher) close() {
	for _, l := range p.links {
		l.close()
	}
}

func (p *pusher) push(ctx context.Context) {
	p.pushGauges()
	for _, c := range p.r.counters.list() {
		now := c.read(false)
		if grown := now.sum - p.counters[c].sum; grown > 0 && p.r.shows(c.identity, false) {
			p.line(c.identity, p.r.fullName(c.name), point{value: grown, kind: "c"})
		}
		p.counters[c] = now
	}
	for _, s := range p.r.samples.list() {
		p.pushSample(s)
	}
	for _, l := range p.links {
		l.flush(ctx)
	}
	p.rounds++
}

// pushGauges sends what has changed of the gauges with handles, and in each tenth round all gauges.
func (p *pusher) pushGauges() {
	all := p.rounds%gaugeEvery == 0
	p.r.eachHeldGauge(func(id identity, value float64) {
		key := id.key()
		if before, known := p.gauges[key]; all || !known || before != value {
			p.gauges[key] = value
			p.pushGauge(id, value)
		}
	})
	if all {
		p.r.eachComputedGauge(p.pushGauge)
	}
}

func (p *pusher) pushGauge(id identity, value float64) {
	p.line(id, p.r.hostName(id.name), point{value: value, kind: "g"})
}

// pushSample sends one line for each cell that has grown. The middles of the cells are scaled so that the sum of what
// is sent is the sum of what was observed.
func (p *pusher) pushSample(s *Sample) {
	now := s.read()
	grown := now.since(p.samples[s])
	p.samples[s] = now
	if grown.count == 0 || !p.r.shows(s.identity, false) {
		return
	}
	scale := 1.0
	if rough := grown.roughSum(); rough > 0 && grown.sum > 0 {
		scale = min(max(grown.sum/rough, 0.9), 1.1)
	}
	name := p.r.fullName(s.name)
	for _, c := range grown.cells {
		p.line(s.identity, name, point{value: grown.value(c) * scale, kind: "ms", times: c.count})
	}
}

// roughSum returns the sum of the values as far as the cells tell.
func (r reading) roughSum() float64 {
	sum := 0.0
	for _, c := range r.cells {
		sum += r.value(c) * float64(c.count)
	}
	return sum
}

func (p *pusher) line(id identity, name string, pt point) {
	if math.IsNaN(pt.value) || math.IsInf(pt.value, 0) {
		return
	}
	for _, l := range p.links {
		shown := name
		if l.dialect.tags {
			shown = p.r.fullName(id.name) // the receiver knows the host
		}
		l.write(shown, id.labels, pt)
	}
}
