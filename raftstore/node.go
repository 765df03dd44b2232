// Package raftstore replicates the state over a quorum of servers: the log, its storage, snapshots, peers and
// leadership. It is the only importer of hashicorp/raft. It holds THE list of replicated commands and THE list of
// tables, and knows nothing of what they mean.
package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"lictor/session"
	"lictor/state"
	"lictor/telemetry"
)

// Config configures a Node. ID, Listener and Advertise are required; without Dir nothing is durable.
type Config struct {
	ID        string
	Dir       string       // of the log and the snapshots; created if it is missing
	Backend   string       // of the log: "wal" (the default) or "boltdb"
	Listener  net.Listener // of Raft connections; the Node does not close it
	Advertise net.Addr     // where the other servers reach Listener
	Dial      func(address string, timeout time.Duration) (net.Conn, error)

	Bootstrap bool // make a cluster of this server alone, unless it has a log already

	// Raft's time-outs, as they are after raft_multiplier; 0 means Raft's own default. The lease may not be longer than
	// the heartbeat time-out, and that not longer than the election time-out.
	HeartbeatTimeout, ElectionTimeout, LeaseTimeout time.Duration

	SnapshotThreshold uint64
	SnapshotInterval  time.Duration
	TrailingLogs      uint64
	SegmentSize       int // of the write-ahead log, in bytes; 0 means 64 MiB
	NoFreelistSync    bool
	DisableLogCache   bool // read the newest entries of the log from disk, too
	PreVoteDisabled   bool

	Log     *slog.Logger
	RaftLog hclog.Logger
	Metrics *telemetry.Registry // may be nil

	reached  func(step string) error // of tests: where crashes and hanging disks are played
	patience time.Duration           // of tests; 0 means diskPatience
	Delays   *session.Delays         // learns which locks were lost with their sessions; may be nil

	// Lead is called on a goroutine of its own when this server has become the leader and has applied all that was
	// committed before. Its context ends with the leadership; it must return soon after that. Until Ready is called
	// the server does not yet count as the leader for others.
	Lead func(ctx context.Context, ready func())
}

// A Node is one server's part of the replicated log. It implements state.Log.
type Node struct {
	Config
	db    *state.DB
	codec *codec
	times *durations
	raft  *raft.Raft
	store *storage
	trans *raft.NetworkTransport
	lead  leadership
	round rounds
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup

	// asking is held for reading by whoever waits for an answer of raft's main loop, which forgets what is in its
	// queues when it ends: Stop lets them finish first.
	asking  sync.RWMutex
	stopped bool // guarded by asking
}

// Open opens the log, restores the newest snapshot and starts to take part. The caller stops it with Stop.
func Open(c Config) (*Node, error) {
	db, err := state.Open(Tables()...)
	if err != nil {
		return nil, err
	}
	n := &Node{Config: c, db: db, codec: newCodec(), times: newDurations(c.Metrics)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	if n.store, err = openStorage(&n.Config); err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		n.stop()
		return nil, errors.Join(err, n.store.close())
	}
	return n, nil
}

func (n *Node) start() error {
	n.trans = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: &stream{n.Listener, n.Advertise, n.dialer}, MaxPool: 3, Timeout: 10 * time.Second, Logger: n.RaftLog,
	})
	conf := n.raftConfig()
	if n.Bootstrap {
		if err := n.bootstrap(conf); err != nil {
			return err
		}
	}
	led := make(chan bool, 8)
	conf.NotifyCh = led
	machine := &fsm{db: n.db, codec: n.codec, log: n.Log, delays: n.Delays, times: n.times}
	r, err := raft.NewRaft(conf, machine, n.store.logs, n.store.stable, n.store.snapshots, n.trans)
	if err != nil {
		n.trans.Close()
		return fmt.Errorf("start raft: %w", err)
	}
	n.raft = r
	n.done.Add(2)
	go n.follow(led)
	go n.watchDisk()
	if n.alone() {
		n.done.Go(n.hurry)
	}
	return nil
}

// follow starts and ends Lead as leadership comes and goes. Stop ends it.
func (n *Node) follow(led <-chan bool) {
	defer n.done.Done()
	for {
		select {
		case leads := <-led:
			if leads {
				n.reign(led)
			}
		case <-n.ctx.Done():
			return
		}
	}
}

// reign runs Lead until the leadership is lost.
func (n *Node) reign(led <-chan bool) {
	ctx, cancel := context.WithCancel(n.ctx)
	var duties sync.WaitGroup
	duties.Go(func() {
		term := n.raft.CurrentTerm()
		for n.ask(func() raft.Future { return n.raft.Barrier(time.Minute) }) != nil {
			if ctx.Err() != nil || n.raft.State() != raft.Leader {
				return
			}
		}
		n.lead.set(term)
		if n.Lead != nil {
			n.Lead(ctx, func() { n.lead.ready.Store(true) })
		} else {
			n.lead.ready.Store(true)
		}
	})
	for lost := false; !lost; {
		select {
		case leads := <-led:
			lost = !leads
		case <-n.ctx.Done():
			lost = true
		}
	}
	n.lead.set(0)
	cancel()
	duties.Wait()
	n.lead.set(0) // the duties may have caught up just then
	n.lead.ready.Store(false)
}

// Stop ends this server's part in the cluster, after which the state can still be read but not written.
func (n *Node) Stop() error {
	n.stop()
	n.asking.Lock()
	n.stopped = true
	n.asking.Unlock()
	err := n.raft.Shutdown().Error()
	n.done.Wait()
	n.trans.CloseStreams()
	return errors.Join(err, n.trans.Close(), n.store.close())
}

// Apply implements state.Log. A ctx that is canceled does not stop a write: a client that has sent its request and closed
// its half of the connection waits for the answer all the same.
func (n *Node) Apply(ctx context.Context, cmd state.Command) (any, error) {
	entry, err := n.codec.encode(cmd)
	if err != nil {
		return nil, err
	}
	if err := n.writable(); err != nil {
		return nil, err
	}
	defer n.times.written[entry[0]].Since(time.Now())
	var wait time.Duration // for a place in the queue; 0 waits until there is one, and needs no timer
	if at, ok := ctx.Deadline(); ok {
		if wait = time.Until(at); wait <= 0 {
			return nil, context.DeadlineExceeded
		}
	}
	var future raft.ApplyFuture
	if err := n.ask(func() raft.Future { future = n.raft.Apply(entry, wait); return future }); err != nil {
		return nil, n.explain(err)
	}
	answer := future.Response().(applied)
	return answer.value, answer.err
}

// ask puts something to raft's main loop and blocks for the answer.
func (n *Node) ask(what func() raft.Future) error {
	n.asking.RLock()
	defer n.asking.RUnlock()
	if n.stopped {
		return raft.ErrRaftShutdown
	}
	return what().Error()
}

func (n *Node) explain(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return state.ErrNoLeader
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore):
		return state.ErrUncertain
	case errors.Is(err, raft.ErrRaftShutdown):
		return state.ErrStopped
	}
	return fmt.Errorf("write to the log: %w", err)
}

// DB implements state.Log.
func (n *Node) DB() *state.DB { return n.db }

// Fresh implements state.Log.
func (n *Node) Fresh(ctx context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	leads := n.Leads()
	if !leads && opts.Consistency != state.Stale && n.raft.State() == raft.Leader {
		n.lead.await(ctx, n.raft.CurrentTerm())
		leads = n.Leads()
	}
	switch {
	case opts.Consistency == state.Stale:
		if meta := n.staleness(leads); opts.MaxStale <= 0 || meta.LastContact <= opts.MaxStale {
			return meta, nil
		}
		return state.ReadMeta{}, state.ErrNoLeader
	case !leads:
		return state.ReadMeta{}, state.ErrNoLeader
	case opts.Consistency == state.Consistent:
		if err := n.round.join(ctx, func() error { return n.ask(n.raft.VerifyLeader) }); err != nil {
			return state.ReadMeta{}, n.explain(err)
		}
	}
	return state.ReadMeta{KnownLeader: true}, nil
}

func (n *Node) staleness(leads bool) state.ReadMeta {
	if leads {
		return state.ReadMeta{KnownLeader: true}
	}
	meta := state.ReadMeta{KnownLeader: n.raft.Leader() != ""}
	if last := n.raft.LastContact(); !last.IsZero() {
		meta.LastContact = time.Since(last)
	}
	return meta
}
