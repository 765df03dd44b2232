package session_test

import (
	"context"
	"sync/atomic"
	"testing"

	"lictor/acl"
	"lictor/session"
)

// BenchmarkRenew renews one of ten thousand sessions whose clocks run.
func BenchmarkRenew(b *testing.B) {
	c := newCluster(b)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { c.Expiry.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = c.create(b, session.Session{TTL: "1h"})
	}
	var turn atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := session.Renew{ID: ids[int(turn.Add(1))%len(ids)]}
			if _, err := c.Renew(ctx, acl.AllowAll(), &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTakeTurns acquires a lock and gives it up.
func BenchmarkTakeTurns(b *testing.B) {
	c := newCluster(b)
	id := c.create(b, session.Session{})
	for b.Loop() {
		for _, release := range []bool{false, true} {
			l := session.Lock{Key: "k", Session: id, Release: release}
			if ok, err := c.Lock(context.Background(), acl.AllowAll(), &l); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	}
}
