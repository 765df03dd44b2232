package telemetry_test

import (
	"io"
	"strconv"
	"testing"

	armon "github.com/armon/go-metrics"

	"lictor/telemetry"
)

func benchRegistry(b *testing.B) *telemetry.Registry {
	b.Helper()
	r, err := telemetry.New(telemetry.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return r
}

func BenchmarkCounterInc(b *testing.B) {
	c := benchRegistry(b).Counter("rpc.query")
	for b.Loop() {
		c.Inc()
	}
}

func BenchmarkCounterAdd(b *testing.B) {
	c := benchRegistry(b).Counter("rpc.query")
	for b.Loop() {
		c.Add(512)
	}
}

func BenchmarkGaugeAdd(b *testing.B) {
	g := benchRegistry(b).Gauge("rpc.queries_blocking")
	for b.Loop() {
		g.Add(1)
	}
}

func BenchmarkSampleObserve(b *testing.B) {
	s := benchRegistry(b).Sample("api.http")
	v := 0.5
	for b.Loop() {
		s.Observe(v)
		v += 0.001
	}
}

func BenchmarkSampleObserveParallel(b *testing.B) {
	s := benchRegistry(b).Sample("api.http")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Observe(0.25)
		}
	})
}

func BenchmarkSamplesWith(b *testing.B) {
	s := benchRegistry(b).Samples("api.http", "method", "path")
	for b.Loop() {
		s.With("GET", "v1_kv__").Observe(0.5)
	}
}

func BenchmarkLibrarySample(b *testing.B) {
	r := benchRegistry(b)
	if err := r.Install(); err != nil {
		b.Fatal(err)
	}
	defer r.Stop()
	for b.Loop() {
		armon.AddSample([]string{"raft", "rpc", "appendEntries"}, 1)
	}
}

// filled returns a registry of the size that a busy agent has.
func filled(b *testing.B) *telemetry.Registry {
	b.Helper()
	r := benchRegistry(b)
	for i := range 100 {
		label := telemetry.Label{Name: "path", Value: strconv.Itoa(i)}
		r.Counter("rpc.request", label).Inc()
		r.Gauge("state.nodes", label).Set(1)
		for j := range 1000 {
			r.Sample("api.http", label).Observe(float64(j) / 100)
		}
	}
	return r
}

func BenchmarkScrape(b *testing.B) {
	r := filled(b)
	for b.Loop() {
		if err := r.WritePrometheus(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSummary(b *testing.B) {
	r := filled(b)
	for b.Loop() {
		r.Summary()
	}
}
