package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lictor/acl"
	"lictor/raftstore"
	"lictor/rpc"
)

// With bootstrap_expect = n, the first n servers that find one another make a cluster. Exactly one of them must begin it,
// or there would be two logs: the server that wants to asks each of the others for a promise to follow it, and begins only
// if all give it. A server that has promised does not begin itself and promises nobody else until the promise has expired,
// so that of two sets of servers that overlap at most one begins. The others learn of the cluster from its log.

// inviteMethod asks a server for its promise to follow a new cluster that the first of these ids begins. It answers "" or
// the reason not to.
var inviteMethod = rpc.Method[[]string, string]{Name: "Servers.Invite", Anywhere: true, Repeatable: true, Servers: true}

const (
	promiseTime   = 10 * time.Second // how long a promise holds
	inviteTimeout = 2 * time.Second
	lookEvery     = 500 * time.Millisecond
)

// A promise is to follow another server's cluster.
type promise struct {
	mu    sync.Mutex // guards what follows
	to    string     // id of a server; "" if none was given
	until time.Time
}

// give promises to follow a server, unless another one has the promise.
func (p *promise) give(to string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != to && time.Now().Before(p.until) {
		return false
	}
	p.to, p.until = to, time.Now().Add(promiseTime)
	return true
}

// withdraw frees this server, unless the promise has gone to another one meanwhile.
func (p *promise) withdraw(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to == to {
		p.until = time.Time{}
	}
}

// invited answers inviteMethod. Anybody may ask: it gives nothing away and holds for seconds.
func (s *server) invited(_ context.Context, _ acl.Authorizer, ids *[]string) (string, error) {
	has, err := s.node.HasState()
	if err != nil {
		return "", err
	}
	switch {
	case has:
		return "is part of a cluster already", nil
	case len(*ids) < s.agent.cfg.Server.BootstrapExpect || !slices.Contains(*ids, s.agent.id):
		return fmt.Sprintf("expects %d servers", s.agent.cfg.Server.BootstrapExpect), nil
	case !s.promise.give((*ids)[0]):
		return "follows another server", nil
	}
	return "", nil
}

// startBootstrap makes a cluster of the servers that bootstrap_expect asks for, as soon as they are there, unless there is
// one already.
func (a *Agent) startBootstrap() {
	if a.server == nil || a.cfg.Server.BootstrapExpect < 2 {
		return
	}
	a.running.Go(func() {
		said := ""
		for {
			if has, err := a.server.node.HasState(); err != nil || has {
				if err != nil {
					a.log.Error("no cluster is made", "error", err)
				}
				return
			}
			changed := a.route.roster.next()
			if why := a.server.bootstrap(a.ctx); why != "" && why != said {
				a.log.Warn("no cluster is made of the expected servers yet", "reason", why)
				said = why
			}
			if !sleep(a.ctx, changed, lookEvery/2+rand.N(lookEvery)) {
				return
			}
		}
	})
}

// bootstrap begins a cluster if all servers are there and agree. It returns what is in the way, if that is worth telling.
func (s *server) bootstrap(ctx context.Context) string {
	expect := s.agent.cfg.Server.BootstrapExpect
	var ids []string
	var first []raftstore.Server
	for _, m := range s.agent.lan.Members() {
		if !serves(m) || m.Meta.ReadReplica {
			continue
		}
		switch {
		case m.Meta.Bootstrap:
			return fmt.Sprintf("server %s has bootstrap set: it makes a cluster of its own, which this server joins", m.Name)
		case m.Meta.Expect != 0 && m.Meta.Expect != expect:
			return fmt.Sprintf("server %s has bootstrap_expect = %d, and this one %d: all must have the same", m.Name, m.Meta.Expect, expect)
		}
		ids = append(ids, m.Meta.ID)
		first = append(first, raftstore.Server{ID: m.Meta.ID, Name: m.Name, Address: targetOf(m).Address, Voter: true})
	}
	if len(ids) < expect || !s.turn(ids) {
		return ""
	}
	own := slices.Index(ids, s.agent.id)
	ids[0], ids[own] = ids[own], ids[0]
	begun := time.Now()
	if !s.promise.give(s.agent.id) {
		return ""
	}
	if why := s.invite(ctx, ids); why != "" {
		s.promise.withdraw(s.agent.id)
		return why
	}
	if time.Since(begun) > promiseTime/2 {
		return "" // this process was stopped meanwhile: the promises may not hold any more
	}
	s.agent.log.Info("the expected servers are there and make a cluster", "servers", len(ids))
	if err := s.node.Bootstrap(first); err != nil {
		return err.Error()
	}
	return ""
}

// turn tells whether it is for this server to begin: at once for the one with the lowest id, and for each next one only
// when the one before it has had its time.
func (s *server) turn(ids []string) bool {
	if s.gathered.IsZero() {
		s.gathered = time.Now()
	}
	rank := 0
	for _, id := range ids {
		if id < s.agent.id {
			rank++
		}
	}
	return time.Since(s.gathered) >= time.Duration(rank)*promiseTime
}

// invite asks the other servers for their promise.
func (s *server) invite(ctx context.Context, ids []string) string {
	ctx, cancel := context.WithTimeout(ctx, inviteTimeout)
	defer cancel()
	answers := make([]string, len(ids))
	var all sync.WaitGroup
	for i, id := range ids[1:] {
		all.Go(func() { answers[i] = s.inviteOne(ctx, id, ids) })
	}
	all.Wait()
	for _, why := range answers {
		if why != "" {
			return why
		}
	}
	return ""
}

func (s *server) inviteOne(ctx context.Context, id string, ids []string) string {
	t, ok := s.agent.route.roster.find(id)
	if !ok {
		return fmt.Sprintf("server %s has gone", id)
	}
	var why string
	if err := s.ask(ctx, t, inviteMethod.Name, &ids, &why); err != nil {
		return fmt.Sprintf("server at %s: %s", t.Address, err)
	}
	if why != "" {
		return fmt.Sprintf("server at %s %s", t.Address, why)
	}
	return ""
}
