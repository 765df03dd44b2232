package telemetry

import (
	"strconv"
	"testing"
	"time"
)

// BenchmarkTurn is what an idle agent spends every ten seconds.
func BenchmarkTurn(b *testing.B) {
	r, err := New(DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100 {
		label := Label{"path", strconv.Itoa(i)}
		r.Counter("rpc.request", label).Inc()
		for j := range 1000 {
			r.Sample("api.http", label).Observe(float64(j) / 100)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.turn(time.Now())
	}
}
