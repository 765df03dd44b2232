package raftstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

func TestFollowersAnswerFreshReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		c.elected()
		for i := range 20 {
			want := fmt.Sprint(i)
			c.put("key", want)
			for id, s := range c.all() {
				for _, how := range []state.Consistency{state.Default, state.Consistent} {
					if got, err := s.fresh(how, "key"); got != want || err != nil {
						t.Errorf("%s reads %s (%d), not %s: %v", id, got, how, want, err)
					}
				}
			}
		}
	})
}

// A follower that hears nothing of its leader refuses fresh reads, and tells how old its other answers are.
func TestFollowerCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		leader := c.elected().ID
		c.put("key", "old")
		f := c.other(leader)
		c.await("all have it", func() bool { return value(f.Node, "key") == "old" })
		stale := func(opts state.ReadOptions) (state.ReadMeta, error) {
			opts.Consistency = state.Stale
			return f.Fresh(t.Context(), opts)
		}
		if meta, err := stale(state.ReadOptions{MaxStale: time.Second}); err != nil || !meta.KnownLeader || meta.LastContact > 250*time.Millisecond {
			t.Errorf("%+v, %v", meta, err)
		}
		c.isolate(f.ID, true)
		c.put("key", "new")
		for _, how := range []state.Consistency{state.Default, state.Consistent} {
			if got, err := f.fresh(how, "key"); !errors.Is(err, state.ErrNoLeader) {
				t.Errorf("reads %s (%d): %v", got, how, err)
			}
		}
		time.Sleep(5 * time.Second)
		if meta, err := stale(state.ReadOptions{}); err != nil || meta.KnownLeader || meta.LastContact < 5*time.Second {
			t.Errorf("%+v, %v", meta, err)
		}
		if _, err := stale(state.ReadOptions{MaxStale: time.Second}); !errors.Is(err, state.ErrNoLeader) {
			t.Errorf("answers what is too old: %v", err)
		}
		c.isolate(f.ID, false)
		c.await("it answers again", func() bool { got, err := f.fresh(state.Consistent, "key"); return err == nil && got == "new" })
		if c.leader() != leader {
			t.Error("its return has cost the leader its place")
		}
	})
}

// A leader that reaches no quorum answers nobody for longer than its lease lasts, and tells no follower to.
func TestLeaderCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		old := c.elected()
		c.put("key", "old")
		c.isolate(old.ID, true)
		begin := time.Now()
		refused := time.Duration(0)
		for refused == 0 {
			if _, err := old.fresh(state.Default, "key"); err != nil {
				refused = time.Since(begin)
			}
			time.Sleep(time.Millisecond)
		}
		if refused > old.LeaseTimeout+old.HeartbeatTimeout {
			t.Errorf("answers for %s", refused)
		}
		c.put("key", "new")
		for _, how := range []state.Consistency{state.Default, state.Consistent} {
			if got, err := old.fresh(how, "key"); !errors.Is(err, state.ErrNoLeader) {
				t.Errorf("reads %s (%d): %v", got, how, err)
			}
		}
		if _, err := old.Apply(t.Context(), &kv.Put{Key: "key"}); !errors.Is(err, state.ErrNoLeader) {
			t.Errorf("writes: %v", err)
		}
		c.isolate(old.ID, false)
		c.equal()
	})
}

// A write that was under way when its leader lost touch is uncertain, and never said not to have happened.
func TestWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		old := c.elected()
		c.put("key", "old")
		c.isolate(old.ID, true)
		if _, err := old.Apply(t.Context(), &kv.Put{Key: "key", Value: []byte("lost")}); !errors.Is(err, state.ErrUncertain) {
			t.Errorf("got %v", err)
		}
		c.put("key", "new")
		c.isolate(old.ID, false)
		c.equal()
		if got := value(old.Node, "key"); got != "new" {
			t.Errorf("key is %s", got)
		}
	})
}

// Heartbeats that were answered before a leader was deposed, and whose answers arrive after that, prove nothing.
func TestLateAnswersProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLease("a", 500*time.Millisecond)
		members := newMembership(1, configurationOf("a", "b", "c"))
		sent := time.Now()
		time.Sleep(time.Second)
		l.note(exchange{id: "b", term: 3, sent: sent, agrees: true}, members)
		if l.holds(3) {
			t.Error("the lease holds by an old message")
		}
		now := time.Now()
		l.note(exchange{id: "b", term: 3, sent: now, agrees: true}, members)
		if !l.holds(3) || l.holds(4) {
			t.Error("the lease does not hold")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leads := func() bool { return true }
		if !l.await(ctx, 3, now, leads) || l.await(ctx, 3, now.Add(1), leads) {
			t.Error("proof is not what was sent from then on")
		}
		l.note(exchange{id: "c", term: 3, sent: time.Now(), agrees: true}, members)
		l.void(3)
		if l.holds(3) {
			t.Error("the lease holds although another server was asked to stand")
		}
		l.note(exchange{id: "c", term: 4, sent: time.Now(), agrees: true}, members)
		if !l.holds(4) {
			t.Error("the lease of the next term does not hold")
		}
		l.note(exchange{id: "c", term: 4, sent: time.Now(), failed: true}, members)
		if l.holds(4) {
			t.Error("the lease holds by a server that may have ended")
		}
		l.note(exchange{id: "b", term: 4, later: true}, members)
		if l.await(t.Context(), 4, time.Now(), leads) {
			t.Error("a deposed leader is proven")
		}
	})
}

// The index that followers wait for is one that their state machines get to see.
func TestReadIndexAfterSilentEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, "a", "b", "c")
		c.elected()
		c.put("key", "1")
		for range 3 {
			l := c.elected()
			if err := l.Snapshot(); err != nil {
				t.Fatal(err)
			}
			id := l.ID
			c.kill(id)
			c.elected() // an entry of Raft's own
			c.start(id)
			time.Sleep(3 * time.Second)
			for id, s := range c.all() {
				if got, err := s.fresh(state.Consistent, "key"); got != "1" || err != nil {
					t.Errorf("%s reads %s: %v", id, got, err)
				}
			}
		}
	})
}

func TestNoQuestionWithoutALeader(t *testing.T) {
	n := open(t, func(c *Config) {
		c.Bootstrap, c.Lead = false, nil
		c.AskLeader = func(context.Context, ReadIndex) (ReadPoint, error) { t.Error("asked"); return ReadPoint{}, nil }
	})
	defer n.Stop()
	if _, err := n.Fresh(t.Context(), state.ReadOptions{}); !errors.Is(err, state.ErrNoLeader) {
		t.Error(err)
	}
	if _, err := (&Service{Node: n}).ReadIndex(t.Context(), acl.AllowAll(), &ReadIndex{}); !errors.Is(err, state.ErrNoLeader) {
		t.Error(err)
	}
}
