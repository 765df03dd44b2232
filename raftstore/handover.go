package raftstore

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"lictor/rpc"
	"lictor/state"
)

// Texts that API clients see.
const (
	textToItself   = "cannot transfer leadership to itself"
	textNobody     = "cannot find peer"
	textNoVote     = "%s has no vote"
	textUnderWay   = "leadership transfer in progress"
	textNotReady   = "no server has the whole log in time to take over"
	textNotElected = "leadership transfer timeout"
)

// handingPause is how often the log of who takes over is looked at, and what has come of it.
const handingPause = time.Millisecond

// Handover hands the leadership to whichever voter first has the whole log, and blocks until another server is known to
// lead. It does nothing if this server does not lead, or if nobody else has a vote. A leader calls it before it leaves or
// stops: writes are refused for as long as an election takes, some ten milliseconds, and not for a heartbeat time-out.
func (n *Node) Handover(ctx context.Context) error {
	others := n.otherVoters()
	if n.raft.State() != raft.Leader || len(others) == 0 {
		return nil
	}
	if err := n.hand(ctx, others); err != nil {
		return err
	}
	for {
		if _, leader := n.raft.LeaderWithID(); leader != "" && string(leader) != n.ID {
			return nil
		}
		if err := n.pause(ctx); err != nil {
			return err
		}
	}
}

// transfer hands the leadership to a server, or to whichever is ready if p names none.
func (n *Node) transfer(ctx context.Context, p Peer) error {
	if !n.Leads() {
		return state.ErrNoLeader
	}
	to := n.otherVoters()
	if p != (Peer{}) {
		found, _, err := n.find(p)
		switch {
		case err != nil:
			return err
		case found.ID == n.ID:
			return rpc.Errorf(rpc.Internal, textToItself)
		case !found.Voter:
			return rpc.Errorf(rpc.Internal, textNoVote, found.ID)
		}
		to = []raft.ServerID{raft.ServerID(found.ID)}
	}
	if len(to) == 0 {
		return rpc.Errorf(rpc.Internal, textNobody)
	}
	return n.hand(ctx, to)
}

func (n *Node) otherVoters() []raft.ServerID {
	var others []raft.ServerID
	for _, id := range n.store.witness.newest.Load().voters {
		if string(id) != n.ID {
			others = append(others, id)
		}
	}
	return others
}

// hand makes one of these servers stand for election and blocks until this server no longer leads. Writes are refused
// meanwhile, and those under way are let finish first, so that none is left uncertain. Raft could do it, but whoever
// waits for its transfer to a server that is out of reach waits for ever if the leadership is lost.
func (n *Node) hand(ctx context.Context, to []raft.ServerID) error {
	ctx, cancel := context.WithTimeout(ctx, n.ElectionTimeout)
	defer cancel()
	if !n.handing.CompareAndSwap(false, true) {
		return rpc.Errorf(rpc.Conflict, textUnderWay)
	}
	defer n.handing.Store(false)
	if !n.enter() {
		return state.ErrStopped
	}
	defer n.asks.Done()
	term := n.raft.CurrentTerm()
	settled := func() bool { return n.writing.Load() == 0 && n.raft.CommitIndex() == n.raft.LastIndex() }
	heir, err := n.heir(ctx, to, term, settled)
	if err != nil {
		return err
	}
	n.Log.Info("the leadership is handed over", "to", heir, "term", term)
	n.lease.void(term)
	if err := n.trans.askToStand(heir, term); err != nil {
		return rpc.Errorf(rpc.Internal, "hand the leadership to %s: %s", heir, err)
	}
	for n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term {
		if err := n.pause(ctx); err != nil {
			return rpc.Errorf(rpc.Internal, textNotElected)
		}
	}
	return nil
}

// resign asks whichever voter has the whole log to stand for election, if one is soon found, when this server, which
// leads or has led in this term, has no disk to lead with.
func (n *Node) resign(term uint64) {
	ctx, cancel := context.WithTimeout(n.ctx, resignTime)
	defer cancel()
	n.lease.void(term)
	heir, err := n.heir(ctx, n.otherVoters(), term, func() bool { return true })
	if err == nil {
		err = n.trans.askToStand(heir, term)
	}
	if err != nil {
		n.Log.Debug("nobody was asked to stand for election", "error", err)
	}
}

const resignTime = 200 * time.Millisecond

// heir finds the first of these servers that has all of the log, once that is settled.
func (n *Node) heir(ctx context.Context, of []raft.ServerID, term uint64, settled func() bool) (raft.ServerID, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan raft.ServerID, len(of))
	for _, id := range of {
		n.done.Go(func() {
			for !settled() || !n.hasAll(id, term) {
				if n.pause(ctx) != nil {
					return
				}
			}
			found <- id
		})
	}
	select {
	case id := <-found:
		return id, nil
	case <-ctx.Done():
		return "", rpc.Errorf(rpc.Internal, textNotReady)
	}
}

// hasAll asks a server whether its log is as long as this one's.
func (n *Node) hasAll(id raft.ServerID, term uint64) bool {
	index, lastTerm := n.lastEntry()
	var answer raft.AppendEntriesResponse
	err := n.trans.AppendEntries(id, "", &raft.AppendEntriesRequest{RPCHeader: n.trans.header(), Term: term,
		PrevLogEntry: index, PrevLogTerm: lastTerm, LeaderCommitIndex: n.raft.CommitIndex()}, &answer)
	return err == nil && answer.Success
}

var errStopping = errors.New("the server is stopping")

// pause waits for a moment.
func (n *Node) pause(ctx context.Context) error {
	t := time.NewTimer(handingPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ctx.Done():
		return errStopping
	}
}
