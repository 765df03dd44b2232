package raftstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

// two opens a cluster of two servers, of which the first leads.
func two(t *testing.T) (a, b *Node) {
	t.Helper()
	a = open(t, nil)
	t.Cleanup(func() { a.Stop() })
	b = open(t, func(c *Config) { c.ID, c.Bootstrap, c.Lead = "two", false, nil })
	t.Cleanup(func() { b.Stop() })
	if err := a.raft.AddVoter("two", raft.ServerAddress(b.Advertise.String()), 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	put(t, a, "key", "value")
	waitUntil(t, "the second server has all", func() bool { return value(b, "key") == "value" })
	return a, b
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestPeersAreRemoved(t *testing.T) {
	for name, of := range map[string]func(*Node) Peer{
		"by id":      func(n *Node) Peer { return Peer{ID: n.ID} },
		"by address": func(n *Node) Peer { return Peer{Address: n.Advertise.String()} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t)
			if err := a.remove(t.Context(), of(b)); err != nil {
				t.Fatal(err)
			}
			servers, _, err := a.Servers()
			if err != nil || len(servers) != 1 || servers[0].ID != a.ID {
				t.Error(servers, err)
			}
			put(t, a, "key", "alone")
		})
	}
}

func TestLeadershipIsTransferred(t *testing.T) {
	a, b := two(t)
	if err := a.transfer(t.Context(), Peer{ID: "two"}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the second server leads", b.Leads)
	if err := a.remove(t.Context(), Peer{ID: "two"}); !errors.Is(err, state.ErrNoLeader) {
		t.Errorf("a follower removes a peer: %v", err)
	}
	put(t, b, "key", "from two")
}

// Writes that are under way when the leadership is handed over are let finish first: who is asked to stand has them all, and wins.
func TestLeadershipIsTransferredUnderWrites(t *testing.T) {
	a, b := two(t)
	stop := make(chan struct{})
	var late atomic.Bool // a machine that is too slow has not handed over in time, after which writes are uncertain
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // or those who are refused would leave no time to the election
				}
				for _, n := range []*Node{a, b} {
					if _, err := n.Apply(context.Background(), &kv.Put{Key: "key", Value: []byte("v")}); err != nil && !errors.Is(err, state.ErrNoLeader) && !late.Load() {
						t.Errorf("a write while the leadership is handed over: %v", err)
					}
				}
			}
		})
	}
	defer writing.Wait()
	defer close(stop)
	from, to := a, b
	for i := 0; i < 20 && !late.Load(); i++ {
		waitUntil(t, "the leader can hand over", from.Leads)
		term := from.raft.CurrentTerm()
		if err := from.transfer(t.Context(), Peer{ID: to.ID}); err != nil {
			late.Store(true)
			t.Logf("transfer %d: %v", i, err)
			break
		}
		waitUntil(t, "there is a leader", func() bool { return from.Leads() || to.Leads() })
		if !to.Leads() || to.raft.CurrentTerm() != term+1 {
			t.Fatalf("transfer %d: who was asked to stand was not elected in term %d", i, term+1)
		}
		from, to = to, from
	}
}

func TestPeersRefused(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n}
	for _, x := range []struct {
		peer Peer
		text string
	}{
		{Peer{ID: "none"}, `id "none" was not found in the Raft configuration`},
		{Peer{Address: "127.0.0.1:1"}, `address "127.0.0.1:1" was not found in the Raft configuration`},
	} {
		if _, err := s.RemovePeer(context.Background(), acl.AllowAll(), &x.peer); err == nil || err.Error() != x.text {
			t.Errorf("%+v: %v", x.peer, err)
		}
		if _, err := s.TransferLeader(context.Background(), acl.AllowAll(), &x.peer); err == nil || err.Error() != x.text {
			t.Errorf("%+v: %v", x.peer, err)
		}
	}
	if _, err := s.RemovePeer(context.Background(), acl.AllowAll(), &Peer{ID: "one"}); err == nil {
		t.Error("the last server is removed")
	}
	if _, err := s.TransferLeader(context.Background(), acl.AllowAll(), &Peer{}); err == nil {
		t.Error("the leadership goes to nobody")
	}
	put(t, n, "key", "still there")
}
