package raftstore

import (
	"bytes"
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

// hundredThousand opens a server with as many keys.
func hundredThousand(b *testing.B) *Node {
	a := open(b, nil)
	b.Cleanup(func() { a.Stop() })
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
	return a
}

// BenchmarkSave saves an archive of 100,000 keys, as operators do, with a write before each, so that none is the last one
// again.
func BenchmarkSave(b *testing.B) {
	a := hundredThousand(b)
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

// BenchmarkRestore restores an archive of 100,000 keys, from its first byte until the server answers from it.
func BenchmarkRestore(b *testing.B) {
	a := hundredThousand(b)
	s := &Service{Node: a}
	var archive bytes.Buffer
	if err := s.Save(context.Background(), acl.AllowAll(), state.ReadOptions{}, &archive, func(uint64, state.ReadMeta) {}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Restore(context.Background(), acl.AllowAll(), bytes.NewReader(archive.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(archive.Len()), "B/archive")
}
