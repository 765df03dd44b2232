package raftstore

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// BenchmarkSave saves an archive of 100,000 keys, as operators do, with a write before each, so that none is the last one
// again.
func BenchmarkSave(b *testing.B) {
	a := open(b, nil)
	defer a.Stop()
	value := strings.Repeat("v", 100)
	done := make(chan error)
	const keys, writers = 100_000, 100
	for w := range writers {
		go func() { // ends with its keys
			var err error
			for i := w; i < keys && err == nil; i += writers {
				_, err = a.Apply(context.Background(), &kv.Put{Key: fmt.Sprintf("key/%06d", i), Value: []byte(value)})
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	s := &Service{Node: a}
	var size counter
	for b.Loop() {
		put(b, a, "turn", "x")
		if err := s.Save(context.Background(), acl.AllowAll(), state.ReadOptions{}, &size, func(uint64, state.ReadMeta) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size.n)/float64(b.N), "B/archive")
}
