// Package raftstore replicates the state over a quorum of servers: the log, its storage, snapshots, peers and
// leadership. It is the only importer of hashicorp/raft. It holds THE list of replicated commands and THE list of
// tables, and knows nothing of what they mean.
package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"lictor/atrest"
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
	// Dial opens a connection that speaks Raft to the server with this id. Its error is syscall.ECONNREFUSED, or wraps
	// it, if and only if no process listens at the address: it is believed to have ended then.
	Dial func(ctx context.Context, id, address string) (net.Conn, error)
	// AddressOf tells where the server with this id is to be reached now. It is asked before each message and must not
	// block. Servers that it does not know, or all if it is nil, are at the address that the configuration has.
	AddressOf func(id string) (address string, ok bool)
	// AskLeader asks the leader by ReadIndexMethod. Without it only the leader answers reads that are not stale.
	AskLeader func(ctx context.Context, r ReadIndex) (ReadPoint, error)

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
	AtRest            *atrest.Ring // encrypts what is in Dir; nil, or without keys, nothing is encrypted

	Log     *slog.Logger
	RaftLog hclog.Logger
	Metrics *telemetry.Registry // may be nil

	Delays *session.Delays // learns which locks were lost with their sessions; may be nil

	reached  func(step string) error // of tests: where crashes and hanging disks are played
	patience time.Duration           // of tests; 0 means diskPatience
	memory   *memory                 // of tests: outlives a Node without Dir; may be nil
	asFound  bool                    // the backend is the one that has the log

	// Lead is called on a goroutine of its own when this server has become the leader and has applied all that was
	// committed before. Its context ends with the leadership; it must return soon after that. Until Ready is called
	// the server does not yet count as the leader for others.
	Lead func(ctx context.Context, ready func())
}

// A Node is one server's part of the replicated log. It implements state.Log.
type Node struct {
	Config
	db         *state.DB
	codec      *codec
	times      *durations
	raft       *raft.Raft
	store      *storage
	trans      *transport
	applied    progress
	lead       leadership
	lease      *lease
	succession *succession
	handing    atomic.Bool  // the leadership is being handed over, and no writes are taken
	writing    atomic.Int64 // writes that have been taken and not answered
	abstain    time.Time    // until when this server may be bound by the lease of a leader that it has forgotten

	proofs                         rounds[bool] // that this server still leads
	questions, consistentQuestions rounds[ReadPoint]
	canvass                        canvass
	gathering                      *gathering

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	// asks are those who wait for an answer of raft's main loop, which forgets what is in its queues when it ends: Stop
	// lets them finish first.
	asks    sync.WaitGroup
	mu      sync.Mutex // guards stopped
	stopped bool
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
	if err := n.store.checkTogether(&n.Config); err != nil {
		n.stop()
		return nil, errors.Join(err, n.store.close())
	}
	if err := recoverByPeers(n.store, &n.Config); err != nil {
		n.stop()
		return nil, errors.Join(err, n.store.close())
	}
	if err := n.start(); err != nil {
		n.stop()
		return nil, errors.Join(err, n.store.close())
	}
	return n, nil
}

func (n *Node) start() error {
	conf := n.raftConfig()
	n.HeartbeatTimeout, n.ElectionTimeout, n.LeaseTimeout = conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout
	has, err := n.HasState()
	if err != nil {
		return fmt.Errorf("look at the log: %w", err)
	}
	if has {
		n.abstain = time.Now().Add(n.LeaseTimeout)
	}
	n.patience = cmp.Or(n.patience, diskPatience)
	n.lease = newLease(n.ID, n.LeaseTimeout)
	n.succession = newSuccession(n)
	n.canvass.group = &n.done
	n.trans = newTransport(n)
	if n.Config.Bootstrap {
		if err := n.bootstrap(conf); err != nil {
			return errors.Join(err, n.trans.Close())
		}
	}
	last, err := n.store.logs.LastIndex()
	if err != nil {
		return errors.Join(fmt.Errorf("look at the log: %w", err), n.trans.Close())
	}
	n.store.witness.stored.set(last)
	led := make(chan bool, 8)
	conf.NotifyCh = led
	machine := &fsm{db: n.db, codec: n.codec, log: n.Log, delays: n.Delays, times: n.times, reached: &n.applied, members: n.store.witness}
	r, err := raft.NewRaft(conf, machine, n.store.logs, n.store.stable, n.store.snapshots, n.trans)
	if err != nil {
		return errors.Join(fmt.Errorf("start raft: %w", err), n.trans.Close())
	}
	n.store.witness.started.Store(true)
	n.raft = r
	n.Metrics.Collect(n.gauges)
	n.gathering = newGathering(r.Apply, func() bool { return n.writing.Load() >= queued })
	n.done.Add(4)
	go n.follow(led)
	n.done.Go(n.gathering.follow)
	go n.watchDisk()
	go n.trans.serve()
	go n.succession.run()
	if n.alone() {
		n.trans.standNow(n.raft.CurrentTerm()) // rather than after a heartbeat time-out, in which no leader could make itself heard anyway
	}
	return nil
}

// abstains is for how long this server still answers no candidate: it may have promised a leader, in a life that it has
// forgotten, to wait.
func (n *Node) abstains() time.Duration { return time.Until(n.abstain) }

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
	term := n.raft.CurrentTerm()
	duties.Go(func() {
		n.times.begun.Inc()
		begun := time.Now()
		for n.begin() != nil {
			if !n.sleep(beginPause) || ctx.Err() != nil || n.raft.State() != raft.Leader {
				return
			}
		}
		n.times.barrier.Since(begun)
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
	n.lease.lost()
	if n.ailing() != nil {
		n.resign(term)
	}
	cancel()
	duties.Wait()
	n.lead.set(0) // the duties may have caught up just then
	n.lead.ready.Store(false)
}

// Stop ends this server's part in the cluster, after which the state can still be read but not written. Handover first
// keeps the others from missing their leader.
func (n *Node) Stop() error {
	n.stop()
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.asks.Wait()
	n.gathering.stop()
	err := errors.Join(n.trans.wire.Close(), n.raft.Shutdown().Error())
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
	n.writing.Add(1) // before handing is looked at: who has set that waits for those that were sooner
	defer n.writing.Add(-1)
	if n.raft.State() != raft.Leader || n.handing.Load() {
		return nil, n.notLeading()
	}
	if err := n.writable(); err != nil {
		return nil, err
	}
	defer n.times.written[entry[0]].Since(time.Now())
	deadline, limited := ctx.Deadline()
	if limited && time.Until(deadline) <= 0 {
		return nil, context.DeadlineExceeded
	}
	if !n.enter() {
		return nil, state.ErrStopped
	}
	defer n.asks.Done()
	response, err := n.gathering.apply(entry, deadline)
	if err != nil {
		return nil, n.explain(err)
	}
	answer := response.(applied)
	return answer.value, answer.err
}

// ask puts something to raft's main loop and blocks for the answer.
func (n *Node) ask(what func() raft.Future) error {
	if !n.enter() {
		return raft.ErrRaftShutdown
	}
	defer n.asks.Done()
	return what().Error()
}

// enter makes Stop wait for asks.Done, unless Stop has begun.
func (n *Node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stopped {
		n.asks.Add(1)
	}
	return !n.stopped
}

// notLeading is why this server takes no writes.
func (n *Node) notLeading() error {
	if n.raft.State() == raft.Shutdown {
		return state.ErrStopped
	}
	return state.ErrNoLeader
}

// explain says what an answer of raft means for who wrote. ErrNoLeader and ErrStopped are certain that nothing was
// written: Raft gives these answers in place of an entry in the log.
func (n *Node) explain(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return state.ErrNoLeader
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore):
		return state.ErrUncertain
	case errors.Is(err, raft.ErrRaftShutdown):
		return state.ErrStopped
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return context.DeadlineExceeded
	}
	return fmt.Errorf("write to the log: %w", err)
}

// DB implements state.Log.
func (n *Node) DB() *state.DB { return n.db }
