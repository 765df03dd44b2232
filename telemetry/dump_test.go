package telemetry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lictor/telemetry"
)

func TestDump(t *testing.T) {
	s := telemetry.Summary{
		Timestamp: "2026-01-02 03:04:05 +0000 UTC",
		Gauges:    []telemetry.GaugeValue{{Name: "consul.version", Value: 1, Labels: map[string]string{"version": "1.21.4", "arch": "x"}}},
		Counters:  []telemetry.SampledValue{{Name: "consul.raft.apply", Count: 2, Sum: 2}},
		Samples:   []telemetry.SampledValue{{Name: "consul.kvs.apply", Count: 2, Sum: 4, Min: 1, Max: 3, Mean: 2, Stddev: 1.5}},
	}
	var got strings.Builder
	if err := s.Dump(&got); err != nil {
		t.Fatal(err)
	}
	const want = `[2026-01-02 03:04:05 +0000 UTC][G] 'consul.version.x.1.21.4': 1.000
[2026-01-02 03:04:05 +0000 UTC][C] 'consul.raft.apply': Count: 2 Sum: 2.000
[2026-01-02 03:04:05 +0000 UTC][S] 'consul.kvs.apply': Count: 2 Min: 1.000 Mean: 2.000 Max: 3.000 Stddev: 1.500 Sum: 4.000
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
