package telemetry

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// runtimeStats computes the consul.runtime gauges. It uses runtime/metrics, which does not stop the world.
type runtimeStats struct {
	pauses *Sample

	// mu guards the rest, which is kept to spare allocations.
	mu       sync.Mutex
	readings []metrics.Sample
	gc       debug.GCStats
	seen     int64 // collections whose pause was sampled
}

// runtimeSources are what runtimeStats reads, in the order in which collect takes them.
func runtimeSources() []metrics.Sample {
	return []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/gc/heap/frees:objects"},
		{Name: "/gc/heap/tiny/allocs:objects"},
		{Name: "/gc/heap/objects:objects"},
	}
}

func newRuntimeStats(pauses *Sample) *runtimeStats {
	return &runtimeStats{pauses: pauses, readings: runtimeSources()}
}

func (s *runtimeStats) collect(emit Emit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	metrics.Read(s.readings)
	read := func(i int) float64 { return float64(s.readings[i].Value.Uint64()) }
	emit("runtime.num_goroutines", read(0))
	emit("runtime.alloc_bytes", read(1))
	emit("runtime.sys_bytes", read(2))
	emit("runtime.malloc_count", read(3)+read(5))
	emit("runtime.free_count", read(4)+read(5))
	emit("runtime.heap_objects", read(6))
	s.samplePauses()
	emit("runtime.total_gc_pause_ns", float64(s.gc.PauseTotal))
	emit("runtime.total_gc_runs", float64(s.gc.NumGC))
}

// samplePauses takes the pauses of the collections since the last look, as far back as the runtime remembers.
func (s *runtimeStats) samplePauses() {
	debug.ReadGCStats(&s.gc)
	recent := min(s.gc.NumGC-s.seen, int64(len(s.gc.Pause)))
	for _, pause := range s.gc.Pause[:recent] {
		s.pauses.Observe(float64(pause / time.Nanosecond))
	}
	s.seen = s.gc.NumGC
}
