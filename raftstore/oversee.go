package raftstore

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"lictor/rpc"
)

const (
	overseeAtLeast = time.Second            // how often the leader looks at the servers
	overseeSoon    = 250 * time.Millisecond // and while some of them are on their way to a vote
	changeTime     = 10 * time.Second       // how long one change may wait for others
)

// MembersChanged makes the leader look at the servers now. It does not block.
func (s *Service) MembersChanged() {
	select {
	case s.nudges() <- struct{}{}:
	default:
	}
}

// nudges is how Oversee is woken.
func (s *Service) nudges() chan struct{} {
	s.once.Do(func() { s.nudge = make(chan struct{}, 1) })
	return s.nudge
}

// Oversee looks after the servers until ctx ends: it takes in those that join, gives them a vote when they are stable,
// and removes those that have left or are dead (see plan). It is a duty of the leader. It looks at least so often, and
// tells what it has seen.
func (s *Service) Oversee(ctx context.Context, every time.Duration, tell func(Fitness)) {
	s.stable.forget()
	since := time.Now()
	for {
		soon := false
		if f, config, err := s.look(ctx); err == nil {
			tell(f)
			soon = s.carryOut(ctx, plan(situation{f.Servers, config, since, time.Now()}))
			for i := range f.Servers {
				soon = soon || f.Servers[i].Role == RoleNonVoter && !f.Servers[i].ReadReplica
			}
		}
		pause := min(every, overseeAtLeast)
		if soon {
			pause = min(every, overseeSoon)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.nudges():
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// carryOut makes changes one after the other, and tells whether it has made any. After one that fails it is time to look
// again.
func (s *Service) carryOut(ctx context.Context, changes []change) (some bool) {
	log := s.Node.Log
	for _, c := range changes {
		attrs := []any{"server", c.server.ID, "name", c.server.Name, "address", c.server.Address, "why", c.why}
		if err := s.make(ctx, c); err != nil {
			if ctx.Err() == nil && rpc.CodeOf(err) != rpc.NoLeader {
				log.Warn("failed to "+string(c.action)+" a server", append(attrs, "error", err)...)
			}
			return some
		}
		log.Info(string(c.action)+" a server", attrs...)
		some = true
	}
	return some
}

// make makes one change.
func (s *Service) make(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	x := c.server
	switch c.action {
	case addServer:
		return s.Node.AddNonVoter(ctx, x.ID, x.Address)
	case promoteServer:
		return s.Node.AddVoter(ctx, x.ID, x.Address)
	case moveServer:
		if x.Votes() {
			return s.Node.AddVoter(ctx, x.ID, x.Address)
		}
		return s.Node.AddNonVoter(ctx, x.ID, x.Address)
	case demoteServer:
		return s.Node.Demote(ctx, x.ID)
	case handOver:
		return s.Node.hand(ctx, []raft.ServerID{raft.ServerID(x.ID)})
	}
	if err := s.Node.Remove(ctx, x.ID); err != nil {
		return err
	}
	if s.Forget != nil && x.Status != leftStatus {
		s.Forget(x.Member)
	}
	return nil
}
