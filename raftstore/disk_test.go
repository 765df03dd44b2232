package raftstore

import (
	"sync/atomic"
	"testing"
	"time"

	"lictor/kv"
	"lictor/state"
)

// A server whose disk hangs says so to whoever writes, answers readers, and goes on when the disk does.
func TestDiskHangs(t *testing.T) {
	var hang atomic.Bool
	release := make(chan struct{})
	n := open(t, func(c *Config) {
		c.patience = 50 * time.Millisecond
		c.reached = func(step string) error {
			if step == "store" && hang.Load() {
				<-release
			}
			return nil
		}
	})
	defer n.Stop()
	put(t, n, "a", "1")
	hang.Store(true)
	first := make(chan error, 1)
	go func() {
		_, err := n.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("2")})
		first <- err
	}()
	until(t, func() bool { return n.writable() != nil })
	begin := time.Now()
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "b"}); err == nil || time.Since(begin) > time.Second {
		t.Errorf("a write: %v", err)
	}
	if _, err := n.Fresh(t.Context(), state.ReadOptions{}); err != nil {
		t.Errorf("a read of a server that is alone: %v", err)
	}
	if _, err := n.dialer("127.0.0.1:1", time.Second); err == nil {
		t.Error("it still speaks to others")
	}
	hang.Store(false)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the write that hung: %v", err)
	}
	until(t, func() bool { return n.writable() == nil })
	put(t, n, "b", "1")
}

// until waits for a condition.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond)
	}
}
