package local

import (
	"fmt"
	"testing"
	"time"

	"lictor/catalog"
)

// The agent is meant for ten thousand services with a check each: neither a registration, nor a report, nor a removal
// may cost more for that.

func crowd(b *testing.B, n int) *bench {
	s := open(&testing.T{}, func(c *Config) { c.Server = false })
	for i := range n {
		d := &catalog.ServiceDefinition{Name: "web", ID: fmt.Sprint("web", i), Port: i, Check: httpCheck()}
		if err := s.RegisterService(b.Context(), d, "", false); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkRegister(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := crowd(b, n)
			defer s.Stop()
			d := &catalog.ServiceDefinition{Name: "new", Check: httpCheck()}
			for b.Loop() {
				if err := s.RegisterService(b.Context(), d, "", false); err != nil {
					b.Fatal(err)
				}
				if err := s.DeregisterService(b.Context(), "new"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReport(b *testing.B) {
	s := crowd(b, 10000)
	defer s.Stop()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		s.hand.report(fmt.Sprint("service:web", i%10000), catalog.Passing, time.Duration(i).String())
	}
}

func BenchmarkCompare(b *testing.B) {
	s := crowd(b, 10000)
	defer s.Stop()
	s.Start()
	for len(s.mem.copyServices()) < 10000 {
		time.Sleep(time.Millisecond)
	}
	remote, _ := s.mem.Registered(b.Context(), "")
	for b.Loop() {
		s.mu.Lock()
		s.table.compare(remote)
		s.mu.Unlock()
	}
}
