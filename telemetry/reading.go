package telemetry

import "math"

// reading is what a Sample held at one moment, or the difference of two such moments. Cells are in order and none is
// empty.
type reading struct {
	count uint64
	sum   float64
	cells []cell
}

type cell struct {
	index int
	count uint64
}

func (s *Sample) read() reading {
	r := reading{sum: math.Float64frombits(s.sum.Load())}
	for i := range s.cells {
		o := s.cells[i].Load()
		if o == nil {
			continue
		}
		for j := range o {
			if n := o[j].Load(); n > 0 {
				r.count += n
				r.cells = append(r.cells, cell{i*cellsPerOctave + j, n})
			}
		}
	}
	return r
}

// since returns what r holds beyond an earlier reading of the same Sample.
func (r reading) since(earlier reading) reading {
	d := reading{count: r.count - earlier.count, sum: r.sum - earlier.sum}
	if d.count == 0 {
		return reading{}
	}
	before := earlier.cells
	for _, c := range r.cells {
		if len(before) > 0 && before[0].index == c.index {
			c.count -= before[0].count
			before = before[1:]
		}
		if c.count > 0 {
			d.cells = append(d.cells, c)
		}
	}
	return d
}

// with returns the sum of two readings.
func (r reading) with(other reading) reading {
	both := reading{count: r.count + other.count, sum: r.sum + other.sum}
	a, b := r.cells, other.cells
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].index < b[0].index:
			both.cells, a = append(both.cells, a[0]), a[1:]
		case a[0].index > b[0].index:
			both.cells, b = append(both.cells, b[0]), b[1:]
		default:
			both.cells = append(both.cells, cell{a[0].index, a[0].count + b[0].count})
			a, b = a[1:], b[1:]
		}
	}
	both.cells = append(append(both.cells, a...), b...)
	return both
}

// quantile returns the value below which the share q of all values lies; without values it is not a number.
func (r reading) quantile(q float64) float64 {
	if r.count == 0 {
		return math.NaN()
	}
	rank := uint64(math.Ceil(q * float64(r.count)))
	for _, c := range r.cells {
		if rank <= c.count {
			return r.value(c)
		}
		rank -= c.count
	}
	return r.value(r.cells[len(r.cells)-1])
}

// value returns what stands for the values of a cell: its middle, unless the exact value is known.
func (r reading) value(c cell) float64 {
	if len(r.cells) == 1 {
		return r.sum / float64(r.count)
	}
	return middle(c.index)
}

// deviation returns the standard deviation of the values.
func (r reading) deviation() float64 {
	if r.count < 2 {
		return 0
	}
	mean, squares := r.sum/float64(r.count), 0.0
	for _, c := range r.cells {
		d := r.value(c) - mean
		squares += d * d * float64(c.count)
	}
	return math.Sqrt(squares / float64(r.count-1))
}
