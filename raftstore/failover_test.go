package raftstore

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The end of a leader's process costs no heartbeat time-out.
func TestSuccessionIsSwift(t *testing.T) {
	for _, ids := range [][]string{{"a", "b", "c"}, {"a", "b", "c", "d", "e"}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, nil, ids...)
			for range 3 {
				old := c.elected().ID
				c.put("key", "value")
				term := c.at(old).raft.CurrentTerm()
				begin := time.Now()
				c.kill(old)
				c.put("key", "later")
				took := time.Since(begin)
				if took > 200*time.Millisecond {
					t.Errorf("%d servers: %s without a leader", len(ids), took)
				}
				if now := c.at(c.leader()).raft.CurrentTerm(); now != term+1 {
					t.Errorf("%d elections", now-term)
				}
				t.Log(len(ids), "servers:", took)
				c.start(old)
				time.Sleep(10 * time.Second)
			}
			c.equal()
		})
	}
}

// A host that is short of processors may take longer to refuse a connection than anybody waits. That alone is no reason to
// wait for the time-out.
func TestSuccessionOutlivesDialsThatTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var killed atomic.Int64 // in Unix nanoseconds
		c := newCluster(t, func(conf *Config) {
			conf.HeartbeatTimeout, conf.ElectionTimeout = 3*time.Second, 3*time.Second
			dial := conf.Dial
			conf.Dial = func(ctx context.Context, id, address string) (net.Conn, error) {
				since := time.Duration(time.Now().UnixNano() - killed.Load())
				conn, err := dial(ctx, id, address)
				if errors.Is(err, syscall.ECONNREFUSED) && since > 2500*time.Microsecond && since < 900*time.Millisecond {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return conn, err
			}
		}, "a", "b", "c")
		c.elected()
		c.put("key", "value")
		time.Sleep(10 * time.Second)
		old := c.leader()
		term := c.at(old).raft.CurrentTerm()
		begin := time.Now()
		killed.Store(begin.UnixNano())
		c.kill(old)
		c.put("key", "later")
		took := time.Since(begin)
		if took > 1500*time.Millisecond {
			t.Errorf("%s without a leader", took)
		}
		if now := c.at(c.leader()).raft.CurrentTerm(); now != term+1 {
			t.Errorf("%d elections", now-term)
		}
		c.equal()
	})
}
