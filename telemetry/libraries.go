package telemetry

import (
	"strings"

	hashicorp "github.com/hashicorp/go-metrics"
	compat "github.com/hashicorp/go-metrics/compat"
)

// identical is any type of label that has the shape of Label: each line of go-metrics has its own.
type identical interface {
	~struct {
		Name  string
		Value string
	}
}

// bridge takes what a library reports to go-metrics. A number that was seen before costs a look-up and no allocation.
type bridge[L identical] struct{ r *Registry }

// installation is what Install put into the process.
type installation struct {
	older *compat.Metrics
	newer *hashicorp.Metrics
}

// Install makes the Registry the one that raft, raft-wal, serf and memberlist report to. Those libraries know no other
// way than the global value of go-metrics, of which there are two lines (raft, serf and memberlist choose by a build
// tag, raft-wal uses the older one): it is the one piece of process-wide state here, and of several agents in one
// process the last to call Install has the libraries' numbers of all. It must come before the libraries are opened, as
// raft-wal keeps the value that it finds. Stop withdraws it.
func (r *Registry) Install() error {
	older, err := compat.NewGlobal(&compat.Config{FilterDefault: true, TimerGranularity: 1e6}, bridge[compat.Label]{r})
	if err != nil {
		return err
	}
	newer, err := hashicorp.NewGlobal(&hashicorp.Config{FilterDefault: true, TimerGranularity: 1e6}, bridge[hashicorp.Label]{r})
	if err != nil {
		return err
	}
	r.installed = &installation{older: older, newer: newer}
	return nil
}

func (r *Registry) uninstall() {
	if r.installed == nil {
		return
	}
	if compat.Default() == r.installed.older {
		_, _ = compat.NewGlobal(&compat.Config{}, &compat.BlackholeSink{}) // fails never: it starts nothing
	}
	if hashicorp.Default() == r.installed.newer {
		_, _ = hashicorp.NewGlobal(&hashicorp.Config{}, &hashicorp.BlackholeSink{})
	}
	r.installed = nil
}

// SetGauge sets a gauge.
func (b bridge[L]) SetGauge(key []string, val float32) { b.SetGaugeWithLabels(key, val, nil) }

// SetGaugeWithLabels sets a gauge.
func (b bridge[L]) SetGaugeWithLabels(key []string, val float32, labels []L) {
	lookup(&b.r.gauges, key, labels).Set(float64(val))
}

// SetPrecisionGauge sets a gauge.
func (b bridge[L]) SetPrecisionGauge(key []string, val float64) {
	b.SetPrecisionGaugeWithLabels(key, val, nil)
}

// SetPrecisionGaugeWithLabels sets a gauge.
func (b bridge[L]) SetPrecisionGaugeWithLabels(key []string, val float64, labels []L) {
	lookup(&b.r.gauges, key, labels).Set(val)
}

// EmitKey sets a gauge: a point is a value at a moment.
func (b bridge[L]) EmitKey(key []string, val float32) { b.SetGauge(key, val) }

// IncrCounter adds to a counter.
func (b bridge[L]) IncrCounter(key []string, val float32) { b.IncrCounterWithLabels(key, val, nil) }

// IncrCounterWithLabels adds to a counter.
func (b bridge[L]) IncrCounterWithLabels(key []string, val float32, labels []L) {
	lookup(&b.r.counters, key, labels).Add(float64(val))
}

// AddSample adds a value to a sample.
func (b bridge[L]) AddSample(key []string, val float32) { b.AddSampleWithLabels(key, val, nil) }

// AddSampleWithLabels adds a value to a sample.
func (b bridge[L]) AddSampleWithLabels(key []string, val float32, labels []L) {
	lookup(&b.r.samples, key, labels).Observe(float64(val))
}

func lookup[T any, L identical](in *store[T], parts []string, labels []L) *T {
	var space [192]byte
	key := space[:0]
	for i, part := range parts {
		if i > 0 {
			key = append(key, '.')
		}
		key = append(key, part...)
	}
	for _, l := range labels {
		key = appendLabel(key, Label(l).Name, Label(l).Value)
	}
	if found := in.find(key); found != nil {
		return found
	}
	return in.get(libraryIdentity(parts, labels))
}

func libraryIdentity[L identical](parts []string, labels []L) identity {
	id := identity{name: strings.ReplaceAll(strings.Join(parts, "."), " ", "_")}
	for _, l := range labels {
		id.labels = append(id.labels, Label(l))
	}
	return id
}
