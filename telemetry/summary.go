package telemetry

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Summary is the JSON form of one interval, as /v1/agent/metrics answers it.
type Summary struct {
	Timestamp string
	Gauges    []GaugeValue
	Points    []PointValue
	Counters  []SampledValue
	Samples   []SampledValue
}

// GaugeValue is the value of a gauge.
type GaugeValue struct {
	Name   string
	Value  float32
	Labels map[string]string
}

// PointValue is a list of points of one name. Nothing here reports any; the form has a place for them.
type PointValue struct {
	Name   string
	Points []float32
}

// SampledValue is what a counter or sample took in one interval. Rate is the sum per second.
type SampledValue struct {
	Name   string
	Count  int
	Rate   float64
	Sum    float64
	Min    float64
	Max    float64
	Mean   float64
	Stddev float64
	Labels map[string]string
}

// Summary returns the last finished interval, or the running one while none has finished. Series to which nothing
// happened are left out, except gauges, which show their values of now.
func (r *Registry) Summary() Summary {
	s := Summary{Gauges: []GaugeValue{}, Points: []PointValue{}, Counters: []SampledValue{}, Samples: []SampledValue{}}
	r.eachGauge(func(id identity, value float64) {
		s.Gauges = append(s.Gauges, GaugeValue{r.hostName(id.name), single(value), labelMap(id.labels)})
	})
	r.intervalMu.Lock()
	begin := r.started.Truncate(Interval)
	if !r.rolled.IsZero() {
		begin = r.rolled.Add(-Interval)
	}
	r.summarizeCounters(&s)
	r.summarizeSamples(&s)
	r.intervalMu.Unlock()
	s.Timestamp = begin.Round(time.Second).UTC().String()
	slices.SortStableFunc(s.Gauges, func(a, b GaugeValue) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s.Counters, byName)
	slices.SortStableFunc(s.Samples, byName)
	return s
}

func (r *Registry) summarizeCounters(into *Summary) {
	for _, c := range r.counters.list() {
		t := c.last
		if r.rolled.IsZero() {
			t = c.read(false).since(c.at)
		}
		if t.count == 0 || !r.shows(c.identity, false) {
			continue
		}
		v := r.sampled(c.identity, t.count, t.sum)
		v.Min, v.Max, v.Stddev = t.min, t.max, t.deviation()
		into.Counters = append(into.Counters, v)
	}
}

func (r *Registry) summarizeSamples(into *Summary) {
	for _, s := range r.samples.list() {
		f := s.last
		if r.rolled.IsZero() {
			f = s.current()
		}
		if f.spread.count == 0 || !r.shows(s.identity, false) {
			continue
		}
		v := r.sampled(s.identity, f.spread.count, f.spread.sum)
		v.Min, v.Max, v.Stddev = finite(f.min), finite(f.max), f.spread.deviation()
		into.Samples = append(into.Samples, v)
	}
}

func (r *Registry) sampled(id identity, count uint64, sum float64) SampledValue {
	return SampledValue{
		Name:   r.fullName(id.name),
		Count:  int(count),
		Rate:   finite(sum / Interval.Seconds()),
		Sum:    finite(sum),
		Mean:   finite(sum / float64(count)),
		Labels: labelMap(id.labels),
	}
}

func (t tally) deviation() float64 {
	if t.count < 2 {
		return 0
	}
	n := float64(t.count)
	return math.Sqrt(max(0, (n*t.squares-t.sum*t.sum)/(n*(n-1))))
}

func byName(a, b SampledValue) int { return cmp.Compare(a.Name, b.Name) }

func labelMap(labels []Label) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}

// single returns a value in the precision of the JSON form, which cannot hold infinities.
func single(value float64) float32 {
	return float32(finite(min(max(value, -math.MaxFloat32), math.MaxFloat32)))
}

func finite(value float64) float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0
	}
	return value
}
