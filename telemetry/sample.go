package telemetry

import (
	"math"
	"sync/atomic"
	"time"
)

// A Sample sorts values into cells. Each power of two (octave) is cut into cellsPerOctave cells of equal width, so that
// a value is known to within 3%:
//
//	value  2^-14          2^-13                2^25        2^26
//	       |--|--|...|--|--|-- ... 40 octaves ...--|--|...|
//	cell     0  1     15  16                             639
//
// What lies outside counts in the first or last cell. An octave's memory is taken when its first value arrives.
const (
	cellsPerOctave = 16
	octaves        = 40
	lowestExponent = -14
)

type octave [cellsPerOctave]atomic.Uint64

// Sample observes values, mostly durations in milliseconds, and knows their number, sum and spread. Its methods may be
// called by many goroutines at once, and on nil, which does nothing.
type Sample struct {
	identity
	cells [octaves]atomic.Pointer[octave]
	sum   atomic.Uint64 // bits of a float64

	// The least and greatest value of the running interval, as bits of a float64.
	min, max atomic.Uint64

	// Guarded by Registry.intervalMu: what was known when the interval began, and the last finished interval.
	at   reading
	last finished
}

// finished is what a Sample saw in one interval.
type finished struct {
	spread   reading
	min, max float64
}

func newSample(id identity) *Sample {
	s := &Sample{identity: id}
	s.resetExtremes()
	return s
}

// Sample returns the sample of a name (dotted, without prefix) and labels, always the same one.
func (r *Registry) Sample(name string, labels ...Label) *Sample {
	if r == nil {
		return nil
	}
	return r.samples.get(identity{name, labels})
}

// Observe takes one value. What is not a finite number is ignored.
func (s *Sample) Observe(value float64) {
	if s == nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	index := cellOf(value)
	o := s.cells[index/cellsPerOctave].Load()
	if o == nil {
		o = s.grow(index / cellsPerOctave)
	}
	o[index%cellsPerOctave].Add(1)
	addFloat(&s.sum, value)
	if value < math.Float64frombits(s.min.Load()) {
		s.extreme(&s.min, value, func(a, b float64) bool { return a < b })
	}
	if value > math.Float64frombits(s.max.Load()) {
		s.extreme(&s.max, value, func(a, b float64) bool { return a > b })
	}
}

// Duration takes one duration, as milliseconds.
func (s *Sample) Duration(d time.Duration) { s.Observe(float64(d) / float64(time.Millisecond)) }

// Since takes the time that has passed since start, as milliseconds.
func (s *Sample) Since(start time.Time) {
	if s != nil {
		s.Duration(time.Since(start))
	}
}

func (s *Sample) grow(at int) *octave {
	s.cells[at].CompareAndSwap(nil, new(octave))
	return s.cells[at].Load()
}

func (s *Sample) extreme(bits *atomic.Uint64, value float64, beats func(a, b float64) bool) {
	for {
		old := bits.Load()
		if !beats(value, math.Float64frombits(old)) || bits.CompareAndSwap(old, math.Float64bits(value)) {
			return
		}
	}
}

func (s *Sample) resetExtremes() (least, greatest float64) {
	least = math.Float64frombits(s.min.Swap(math.Float64bits(math.Inf(1))))
	greatest = math.Float64frombits(s.max.Swap(math.Float64bits(math.Inf(-1))))
	return least, greatest
}

func (s *Sample) roll() {
	now := s.read()
	least, greatest := s.resetExtremes()
	s.last = finished{spread: now.since(s.at), min: least, max: greatest}
	s.at = now
}

// current returns the running interval.
func (s *Sample) current() finished {
	return finished{
		spread: s.read().since(s.at),
		min:    math.Float64frombits(s.min.Load()),
		max:    math.Float64frombits(s.max.Load()),
	}
}

func cellOf(value float64) int {
	bits := math.Float64bits(value)
	exponent := int(bits>>52&0x7ff) - 1023 - lowestExponent
	switch {
	case value <= 0 || exponent < 0:
		return 0
	case exponent >= octaves:
		return octaves*cellsPerOctave - 1
	}
	return exponent*cellsPerOctave + int(bits>>48&(cellsPerOctave-1))
}

// middle returns the value in the middle of a cell.
func middle(cell int) float64 {
	low := math.Ldexp(1, cell/cellsPerOctave+lowestExponent)
	return low * (1 + (float64(cell%cellsPerOctave)+0.5)/cellsPerOctave)
}
