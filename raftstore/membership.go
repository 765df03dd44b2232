package raftstore

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"lictor/state"
)

// A membership is one configuration of the servers, as it stands in the log.
type membership struct {
	index   uint64 // in the log
	servers []raft.Server
	voters  []raft.ServerID
}

func newMembership(index uint64, c raft.Configuration) *membership {
	m := &membership{index: index, servers: c.Servers}
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			m.voters = append(m.voters, s.ID)
		}
	}
	return m
}

// find finds a server by its id.
func (m *membership) find(id raft.ServerID) (raft.Server, bool) {
	for _, s := range m.servers {
		if s.ID == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// votes tells whether a server has a vote.
func (m *membership) votes(id raft.ServerID) bool { return slices.Contains(m.voters, id) }

// decides tells whether a server is the only one with a vote, so that it is a quorum by itself.
func (m *membership) decides(id raft.ServerID) bool { return len(m.voters) == 1 && m.voters[0] == id }

// quorum is how many voters it takes to decide.
func (m *membership) quorum() int { return len(m.voters)/2 + 1 }

// AddVoter gives a server a vote, and makes it a member at this address if it is none. Like all changes of the members it
// is for the leader, blocks until the change is committed, and fails if the members have changed meanwhile. A deadline of
// ctx bounds the wait for changes that are under way already.
func (n *Node) AddVoter(ctx context.Context, id, address string) error {
	return n.change(ctx, id, func(have raft.Server, member bool, index uint64, wait time.Duration) raft.Future {
		if member && have.Suffrage == raft.Voter && string(have.Address) == address {
			return nil
		}
		return n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), index, wait)
	})
}

// AddNonVoter makes a server a member without a vote. A member that has a vote keeps it, at this address.
func (n *Node) AddNonVoter(ctx context.Context, id, address string) error {
	return n.change(ctx, id, func(have raft.Server, member bool, index uint64, wait time.Duration) raft.Future {
		if member && string(have.Address) == address {
			return nil
		}
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), index, wait)
	})
}

// Demote takes a member's vote. A leader that is to lose its own hands the leadership over first.
func (n *Node) Demote(ctx context.Context, id string) error {
	return n.change(ctx, id, func(have raft.Server, member bool, index uint64, wait time.Duration) raft.Future {
		if !member || have.Suffrage != raft.Voter {
			return nil
		}
		return n.raft.DemoteVoter(raft.ServerID(id), index, wait)
	})
}

// Remove makes a server a member no more. The last voter cannot be removed.
func (n *Node) Remove(ctx context.Context, id string) error {
	return n.change(ctx, id, func(_ raft.Server, member bool, index uint64, wait time.Duration) raft.Future {
		if !member {
			return nil
		}
		return n.raft.RemoveServer(raft.ServerID(id), index, wait)
	})
}

// change changes the members as they stand now. No future means that there is nothing to change.
func (n *Node) change(ctx context.Context, id string, how func(have raft.Server, member bool, index uint64, wait time.Duration) raft.Future) error {
	if !n.Leads() {
		return state.ErrNoLeader
	}
	var wait time.Duration
	if at, ok := ctx.Deadline(); ok {
		if wait = time.Until(at); wait <= 0 {
			return context.DeadlineExceeded
		}
	}
	members := n.store.witness.newest.Load()
	have, member := members.find(raft.ServerID(id))
	return n.explainPeers(n.ask(func() raft.Future {
		if future := how(have, member, members.index, wait); future != nil {
			return future
		}
		return done{}
	}))
}

// done is the future of what needs not be done.
type done struct{}

func (done) Error() error { return nil }

// askMembersEvery is how often a server that leaves asks whether it is still a member.
const askMembersEvery = 200 * time.Millisecond

// Removed blocks until this server is no longer a member, or ctx is done: what a server that leaves waits for, after it has
// handed over the leadership and told the others, whose leader takes it out. Its own log may not get to say so; ask, if
// it is not nil, asks the leader who the members are. Removed returns at once if this server is the only voter: there
// is nobody to leave to.
func (n *Node) Removed(ctx context.Context, ask func(context.Context) ([]Server, error)) error {
	for asked := time.Now(); ; {
		members := n.store.witness.newest.Load()
		if _, member := members.find(raft.ServerID(n.ID)); !member || n.alone() {
			return nil
		}
		if ask != nil && time.Since(asked) >= askMembersEvery {
			asked = time.Now()
			is := func(s Server) bool { return s.ID == n.ID }
			if servers, err := ask(ctx); err == nil && len(servers) > 0 && !slices.ContainsFunc(servers, is) {
				return nil
			}
		}
		if err := n.pause(ctx); err != nil {
			return err
		}
	}
}
