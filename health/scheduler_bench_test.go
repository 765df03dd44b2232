//go:build unix

package health

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"lictor/catalog"
)

const many = 10_000

// idle has ten thousand checks that cost nothing, of the interval.
func idle(tb testing.TB, interval time.Duration) *Scheduler {
	s := New(Config{})
	tb.Cleanup(s.Stop)
	d := &catalog.CheckDefinition{Interval: catalog.Duration(interval)}
	free := every(func(environment, *catalog.CheckDefinition) (prober, error) {
		return probe(func(context.Context) result { return passing("") }), nil
	})
	for i := range many {
		if err := s.add(Check{ID: fmt.Sprint(i), Definition: d, Report: func(string, string) {}}, free); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func TestIdleChecksHaveNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	idle(t, time.Hour)
	if more := runtime.NumGoroutine() - before; more > 10 {
		t.Errorf("%d checks have %d goroutines", many, more)
	}
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle tells what part of a core ten thousand checks take whose runs cost nothing: an iteration is a second.
func BenchmarkIdle(b *testing.B) {
	for _, interval := range []time.Duration{10 * time.Second, time.Second} {
		b.Run(interval.String(), func(b *testing.B) {
			idle(b, interval)
			runtime.GC()
			b.ResetTimer()
			used := cpu()
			for range b.N {
				time.Sleep(time.Second)
			}
			b.ReportMetric(float64(cpu()-used)/float64(b.Elapsed())*100, "%core")
		})
	}
}

// BenchmarkAdd tells what it takes to register a check, and to hold it.
func BenchmarkAdd(b *testing.B) {
	s := New(Config{})
	defer s.Stop()
	d := &catalog.CheckDefinition{HTTP: "http://127.0.0.1/", Interval: catalog.Duration(time.Hour)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := s.Add(Check{ID: fmt.Sprint(i), Definition: d}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
