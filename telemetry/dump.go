package telemetry

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Dump writes a summary as lines for people, in the form that go-metrics gave them: time, kind (G, C or S for gauges,
// counters and samples), name and figures. The values of labels follow the name.
func (s Summary) Dump(w io.Writer) error {
	for _, g := range s.Gauges {
		if _, err := fmt.Fprintf(w, "[%s][G] '%s': %.3f\n", s.Timestamp, flatName(g.Name, g.Labels), g.Value); err != nil {
			return err
		}
	}
	for _, kind := range []struct {
		letter string
		values []SampledValue
	}{{"C", s.Counters}, {"S", s.Samples}} {
		for _, v := range kind.values {
			if _, err := fmt.Fprintf(w, "[%s][%s] '%s': %s\n", s.Timestamp, kind.letter, flatName(v.Name, v.Labels), v.figures()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v SampledValue) figures() string {
	if v.Stddev == 0 {
		return fmt.Sprintf("Count: %d Sum: %.3f", v.Count, v.Sum)
	}
	return fmt.Sprintf("Count: %d Min: %.3f Mean: %.3f Max: %.3f Stddev: %.3f Sum: %.3f", v.Count, v.Min, v.Mean, v.Max, v.Stddev, v.Sum)
}

// flatName is a name with the values of its labels, in the order of the labels' names.
func flatName(name string, labels map[string]string) string {
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		name += "." + labels[label]
	}
	return name
}
