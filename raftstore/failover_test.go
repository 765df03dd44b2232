package raftstore

import (
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
