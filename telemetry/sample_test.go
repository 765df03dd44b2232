package telemetry

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantilesAreWithinThreePercent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSample(identity{})
	var values []float64
	for range 20_000 {
		v := math.Exp(random.NormFloat64()*3 - 1)
		values = append(values, v)
		s.Observe(v)
	}
	slices.Sort(values)
	got := s.read()
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := values[int(math.Ceil(q*float64(len(values))))-1]
		if d := math.Abs(got.quantile(q)/want - 1); d > 0.0313 {
			t.Errorf("quantile %v: %v, not %v", q, got.quantile(q), want)
		}
	}
	if got.count != 20_000 || math.Abs(got.deviation()/exactDeviation(values)-1) > 0.05 {
		t.Errorf("count %d, deviation %v, not %v", got.count, got.deviation(), exactDeviation(values))
	}
}

func exactDeviation(values []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range values {
		sum += v
	}
	for _, v := range values {
		d := v - sum/float64(len(values))
		squares += d * d
	}
	return math.Sqrt(squares / float64(len(values)-1))
}

func TestEdgesOfCells(t *testing.T) {
	for _, c := range []struct {
		value float64
		cell  int
	}{
		{0, 0},
		{-5, 0},
		{1e-300, 0},
		{math.Ldexp(1, lowestExponent), 0},
		{1, 14 * cellsPerOctave},
		{1.999, 15*cellsPerOctave - 1},
		{2, 15 * cellsPerOctave},
		{math.MaxFloat64, octaves*cellsPerOctave - 1},
	} {
		if got := cellOf(c.value); got != c.cell {
			t.Errorf("cell of %v is %d, not %d", c.value, got, c.cell)
		}
	}
	s := newSample(identity{})
	s.Observe(math.NaN())
	s.Observe(math.Inf(1))
	if got := s.read(); got.count != 0 || !math.IsNaN(got.quantile(0.5)) {
		t.Errorf("got %+v", got)
	}
}

func TestReadingsSubtractAndAdd(t *testing.T) {
	s := newSample(identity{})
	s.Observe(1)
	first := s.read()
	for _, v := range []float64{0.5, 1, 8} {
		s.Observe(v)
	}
	all := s.read()
	rest := all.since(first)
	if rest.count != 3 || rest.sum != 9.5 || len(rest.cells) != 3 {
		t.Errorf("difference %+v", rest)
	}
	if sum := first.with(rest); sum.count != all.count || !slices.Equal(sum.cells, all.cells) {
		t.Errorf("%+v is not %+v", sum, all)
	}
}
