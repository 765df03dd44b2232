package soak

import (
	"fmt"
	"slices"
	"time"
)

// A sample is what a process took in one minute.
type sample struct {
	Process string             `json:"process"` // its name, whatever its id
	At      time.Duration      `json:"at"`      // since the run began
	Age     time.Duration      `json:"age"`     // of the process
	Values  map[string]float64 `json:"values"`  // by measure
}

// A measure is something that may not grow.
type measure struct {
	name  string
	slack float64 // growth that proves nothing, absolutely
	part  float64 // and as a part of the median
	alone bool    // only samples of one life of a process are compared: a new one begins with nothing
}

var measures = []measure{
	{"goroutines", 25, 0.15, true},
	{"files", 25, 0.15, true},
	{"MB", 12, 0.15, false}, // what a new one reads from its disk counts
}

// young processes still fill their caches.
const young = 40 * time.Second

// growth looks for processes whose use grows: the median of all slopes between two steady samples (which some outliers
// do not move), times the length of the window, is more than the slack. It needs ten samples to say anything. Samples
// count when the run is older than from; where lives are looked at one by one, when the life is older than half of that, as
// goroutines that serve one call after another become more while there are ever more calls at once, up to a bound.
func growth(all []sample, from time.Duration) (trends, faults []string) {
	lives, names := map[string][]sample{}, map[string][]sample{}
	for _, s := range all {
		if s.At >= from && s.Age >= young {
			life := fmt.Sprintf("%s of %s", s.Process, (s.At - s.Age).Round(10*time.Second))
			lives[life], names[s.Process] = append(lives[life], s), append(names[s.Process], s)
		}
	}
	for _, m := range measures {
		of := names
		var least time.Duration
		if m.alone {
			of, least = lives, from/2
		}
		for _, name := range sorted(of) {
			var at, values []float64
			for _, s := range of[name] {
				if v, ok := s.Values[m.name]; ok && s.Age >= least {
					at, values = append(at, s.At.Hours()), append(values, v)
				}
			}
			if len(at) < 10 {
				continue
			}
			grown, typical := slope(at, values)*(at[len(at)-1]-at[0]), median(values)
			text := fmt.Sprintf("%s: %s %.1f, %+.1f over %d samples", name, m.name, typical, grown, len(at))
			trends = append(trends, text)
			if grown > max(m.slack, m.part*typical) {
				faults = append(faults, text+": it grows")
			}
		}
	}
	return trends, faults
}

func sorted[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// slope is Theil and Sen's: the median of the slopes between all pairs of points.
func slope(x, y []float64) float64 {
	var all []float64
	for i := range x {
		for j := range i {
			if x[i] != x[j] {
				all = append(all, (y[i]-y[j])/(x[i]-x[j]))
			}
		}
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
