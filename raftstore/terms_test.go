package raftstore

import (
	"context"
	"lictor/rpc"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"lictor/state"
)

// A server that leads again answers only once it has applied what others committed meanwhile, however slowly the duties
// of its last time end.
func TestLeadsAgain(t *testing.T) {
	release := make(chan struct{})
	first := make(chan struct{}, 10)
	a := open(t, func(c *Config) {
		lead := c.Lead
		began := false
		c.Lead = func(ctx context.Context, ready func()) {
			if !began {
				began = true
				lead(ctx, ready)
				first <- struct{}{}
				<-ctx.Done()
				<-release // a duty that takes its time
			}
		}
	})
	defer a.Stop()
	defer close(release)
	<-first
	b := follower(t, a, "two")
	defer b.Stop()
	put(t, a, "k", "1")
	move := func(from, to *Node) {
		if err := from.transfer(t.Context(), Peer{ID: to.ID}); err != nil {
			t.Fatal(err)
		}
		for to.raft.State() != raft.Leader {
			time.Sleep(time.Millisecond)
		}
	}
	move(a, b)
	for !b.Leads() {
		time.Sleep(time.Millisecond)
	}
	put(t, b, "k", "2")
	if a.Leads() {
		t.Error("a follower counts as caught up while its duties end")
	}
	move(b, a)
	meta, err := a.Fresh(t.Context(), state.ReadOptions{})
	if err == nil {
		t.Errorf("answers %v before it has caught up in its new term", meta)
	}
}

// follower starts another server and makes it a voter of a's cluster.
func follower(t testing.TB, a *Node, id string, change ...func(*Config)) *Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := rpc.NewMux(l, id, slog.New(slog.DiscardHandler), rpc.Limits{})
	t.Cleanup(func() { mux.Close() })
	c := Config{ID: id, Dir: t.TempDir(), Listener: mux.Protocol(rpc.ProtocolRaft), Advertise: l.Addr(), Dial: a.Dial,
		SegmentSize: 1 << 20, Log: a.Log, RaftLog: a.RaftLog}
	for _, f := range change {
		f(&c)
	}
	mux.Serve()
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(l.Addr().String()), 0, 10*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	return n
}
