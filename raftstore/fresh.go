package raftstore

//go:generate go tool msgp -o fresh_gen.go -tests=false -io=false

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// ReadIndexMethod asks the leader from where on a read is fresh. A follower answers reads itself once it has applied
// the log up to there.
var ReadIndexMethod = rpc.Method[ReadIndex, ReadPoint]{Name: "Raft.ReadIndex", Repeatable: true, Servers: true}

// A ReadIndex is the question of ReadIndexMethod.
type ReadIndex struct {
	Consistent bool // after the leader has made sure that it still leads; else under its lease
}

// A ReadPoint is the answer: who has applied the log up to Index sees every write that was acknowledged before the question,
// and all that a reader of any server can have seen before it. It is the newest committed entry, and not the newest one
// that the leader has applied: a follower may have heard of the commit and have applied it before the leader does.
type ReadPoint struct {
	Index uint64
	Term  uint64 // of the entry and of the leader
}

// ReadIndex answers from where on a read is fresh. Anybody may ask.
func (s *Service) ReadIndex(ctx context.Context, _ acl.Authorizer, r *ReadIndex) (ReadPoint, error) {
	return s.Node.readIndex(ctx, *r)
}

// Fresh implements state.Log.
func (n *Node) Fresh(ctx context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	if opts.Consistency == state.Stale {
		return n.stale(opts)
	}
	r := ReadIndex{Consistent: opts.Consistency == state.Consistent}
	if r.Consistent {
		defer n.times.fresh.Since(time.Now())
	}
	from, err := n.readIndex(ctx, r)
	if errors.Is(err, state.ErrNoLeader) {
		from, err = n.askLeader(ctx, r)
	}
	if err != nil {
		return state.ReadMeta{}, err
	}
	if err := n.caughtUp(ctx, from.Index); err != nil {
		return state.ReadMeta{}, err
	}
	return state.ReadMeta{KnownLeader: true}, nil
}

// readIndex is ReadIndex, by the leader.
func (n *Node) readIndex(ctx context.Context, r ReadIndex) (ReadPoint, error) {
	if !n.Leads() {
		if n.raft.State() == raft.Leader {
			n.lead.await(ctx, n.raft.CurrentTerm())
		}
		if !n.Leads() {
			return ReadPoint{}, state.ErrNoLeader
		}
	}
	term := n.lead.caughtUp.Load()
	index := n.store.witness.seen(n.raft.CommitIndex())
	switch {
	case n.store.witness.newest.Load().decides(raft.ServerID(n.ID)): // nobody else can lead
	case !r.Consistent && n.lease.holds(term):
	default:
		if _, err := n.proofs.join(ctx, func() (bool, error) { return true, n.prove(term) }); err != nil {
			return ReadPoint{}, err
		}
	}
	return ReadPoint{Index: index, Term: term}, nil
}

// prove blocks until a quorum has agreed, from now on, that this server leads in this term.
func (n *Node) prove(term uint64) error {
	if !n.enter() {
		return state.ErrNoLeader
	}
	defer n.asks.Done()
	ctx, cancel := context.WithTimeout(n.ctx, n.HeartbeatTimeout)
	defer cancel()
	now := time.Now()
	for _, voter := range n.store.witness.newest.Load().voters {
		if voter != raft.ServerID(n.ID) {
			n.canvass.ask(voter, func() { n.beat(voter, term) })
		}
	}
	leads := func() bool { return n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term }
	if !n.lease.await(ctx, term, now, leads) {
		return state.ErrNoLeader
	}
	return nil
}

// beat sends one heartbeat, which the transport notes.
func (n *Node) beat(to raft.ServerID, term uint64) {
	args := &raft.AppendEntriesRequest{RPCHeader: n.trans.header(), Term: term}
	if err := n.trans.AppendEntries(to, "", args, &raft.AppendEntriesResponse{}); err != nil {
		n.Log.Debug("a voter does not answer", "id", to, "error", err)
	}
}

// A canvass has at most one question to each voter under way.
type canvass struct {
	mu    sync.Mutex             // guards asked
	asked map[raft.ServerID]bool // under way; true if it has to be asked once more
	group *sync.WaitGroup
}

// ask sees to it that a voter is asked from now on: at once, or as soon as the question to it that is under way has
// ended. It does not block.
func (c *canvass) ask(voter raft.ServerID, question func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, under := c.asked[voter]; under {
		c.asked[voter] = true
		return
	}
	if c.asked == nil {
		c.asked = map[raft.ServerID]bool{}
	}
	c.asked[voter] = false
	c.group.Go(func() {
		for again := true; again; {
			question()
			c.mu.Lock()
			if again = c.asked[voter]; again {
				c.asked[voter] = false
			} else {
				delete(c.asked, voter)
			}
			c.mu.Unlock()
		}
	})
}

// askLeader is readIndex, by a follower. Those who ask at the same moment share one question.
func (n *Node) askLeader(ctx context.Context, r ReadIndex) (ReadPoint, error) {
	if _, leader := n.raft.LeaderWithID(); n.AskLeader == nil || leader == "" || string(leader) == n.ID {
		return ReadPoint{}, state.ErrNoLeader
	}
	questions := &n.questions
	if r.Consistent {
		questions = &n.consistentQuestions
	}
	from, err := questions.join(ctx, func() (ReadPoint, error) {
		ctx, cancel := context.WithTimeout(n.ctx, n.HeartbeatTimeout)
		defer cancel()
		from, err := n.AskLeader(ctx, r)
		if err == nil {
			n.hasten(ctx, from)
		}
		return from, err
	})
	if err != nil && ctx.Err() == nil {
		n.Log.Debug("the leader does not say from where on a read is fresh", "error", err)
		return ReadPoint{}, state.ErrNoLeader
	}
	return from, err
}

// hasten makes Raft apply the log up to there as soon as it has the entry.
func (n *Node) hasten(ctx context.Context, upTo ReadPoint) {
	for {
		applied, progress := n.applied.look(upTo.Index)
		stored, arrival := n.store.witness.stored.look(upTo.Index)
		if applied || stored {
			break
		}
		select {
		case <-progress:
		case <-arrival:
		case <-ctx.Done():
			return
		}
	}
	if n.applied.at.Load() < upTo.Index {
		n.trans.commit(upTo)
	}
}

// caughtUp blocks until this server has applied the log up to an index.
func (n *Node) caughtUp(ctx context.Context, index uint64) error {
	applied, members := n.applied.at.Load(), n.store.witness.newest.Load()
	if applied >= index || len(members.servers) == 1 && applied >= members.index {
		return nil // a server that has been alone since then has acknowledged and shown nothing but what it has applied
	}
	limit, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := n.applied.await(limit, index); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return state.ErrNoLeader
	}
	return nil
}

// stale tells how old an answer from what is here would be.
func (n *Node) stale(opts state.ReadOptions) (state.ReadMeta, error) {
	if n.Leads() {
		return state.ReadMeta{KnownLeader: true}, nil
	}
	meta := state.ReadMeta{KnownLeader: n.raft.Leader() != ""}
	last := n.raft.LastContact()
	if !last.IsZero() {
		meta.LastContact = time.Since(last)
	}
	if opts.MaxStale > 0 && (last.IsZero() || meta.LastContact > opts.MaxStale) {
		return state.ReadMeta{}, state.ErrNoLeader
	}
	return meta, nil
}
