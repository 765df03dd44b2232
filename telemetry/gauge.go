package telemetry

import (
	"math"
	"sync/atomic"
)

// Gauge is a value that goes up and down. Its methods may be called by many goroutines at once, and on nil, which does
// nothing.
type Gauge struct {
	identity
	bits atomic.Uint64
}

// Gauge returns the gauge of a name (dotted, without prefix) and labels, always the same one.
func (r *Registry) Gauge(name string, labels ...Label) *Gauge {
	if r == nil {
		return nil
	}
	return r.gauges.get(identity{name, labels})
}

// Set makes value the value.
func (g *Gauge) Set(value float64) {
	if g != nil {
		g.bits.Store(math.Float64bits(value))
	}
}

// Add moves the value by delta, which may be negative.
func (g *Gauge) Add(delta float64) {
	if g != nil {
		addFloat(&g.bits, delta)
	}
}

func (g *Gauge) value() float64 { return math.Float64frombits(g.bits.Load()) }

// addFloat adds to a number that is kept as its bits.
func addFloat(bits *atomic.Uint64, delta float64) {
	for {
		old := bits.Load()
		if bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+delta)) {
			return
		}
	}
}

// Emit takes one value of a gauge that is computed when somebody looks.
type Emit func(name string, value float64, labels ...Label)

// Collect adds a function that emits gauges each time somebody looks: on a scrape, a look at the JSON form, and every ten
// seconds while something is pushed. It may be called by several goroutines at once, and must be quick. Names that are emitted need no handle.
func (r *Registry) Collect(gauges func(Emit)) {
	if r == nil {
		return
	}
	r.collectMu.Lock()
	defer r.collectMu.Unlock()
	r.collectors = append(r.collectors, gauges)
}

// GaugeFunc adds one gauge whose value is computed when somebody looks.
func (r *Registry) GaugeFunc(name string, value func() float64, labels ...Label) {
	r.Collect(func(emit Emit) { emit(name, value(), labels...) })
}

// eachGauge hands all gauges that the filter shows to visit, first those with handles.
func (r *Registry) eachGauge(visit func(id identity, value float64)) {
	r.eachHeldGauge(visit)
	r.eachComputedGauge(visit)
}

func (r *Registry) eachHeldGauge(visit func(id identity, value float64)) {
	for _, g := range r.gauges.list() {
		if r.shows(g.identity, true) {
			visit(g.identity, g.value())
		}
	}
}

func (r *Registry) eachComputedGauge(visit func(id identity, value float64)) {
	r.collectMu.Lock()
	collectors := r.collectors[:len(r.collectors):len(r.collectors)]
	r.collectMu.Unlock()
	for _, collect := range collectors {
		collect(func(name string, value float64, labels ...Label) {
			id := identity{name, labels}
			if r.shows(id, true) {
				visit(id, value)
			}
		})
	}
}

// shows asks the filter about a name as it is displayed.
func (r *Registry) shows(id identity, gauge bool) bool {
	f := r.filter.Load()
	if gauge && !r.cfg.DisableHostname && !f.shows(r.hostName(id.name)) {
		return false
	}
	return f.shows(r.fullName(id.name))
}

// fullName returns a name with the prefix, as counters and samples are displayed.
func (r *Registry) fullName(name string) string { return r.cfg.Prefix + "." + name }

// hostName returns a name with the prefix and, unless that is disabled, the host's name, as gauges are displayed.
func (r *Registry) hostName(name string) string {
	if r.cfg.DisableHostname {
		return r.fullName(name)
	}
	return r.cfg.Prefix + "." + r.cfg.Hostname + "." + name
}
