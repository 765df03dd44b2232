package agent

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// errNoServers is what a client agent answers while it knows no server. The text is Consul's.
var errNoServers = rpc.Errorf(rpc.NoLeader, "No known Consul servers")

// A client is an agent's way to the servers, where it is none itself: calls go to them, and answers to queries come from
// views that they keep up to date.
type client struct {
	agent  *Agent
	known  rpc.Registry[acl.Authorizer] // which methods there are; answers none
	leader atomic.Pointer[rpc.Target]   // as a server has told; nil if none has
}

// openClient makes what methods and queries go to on a client agent.
func (a *Agent) openClient() error {
	c := &client{agent: a}
	(&services{}).methods(&c.known)
	a.route = a.newRouter(func() (rpc.Target, bool) {
		if t := c.leader.Load(); t != nil {
			return *t, true
		}
		return rpc.Target{}, false
	})
	a.caller, a.snapshots = c, c
	if a.resolve == nil {
		a.resolve = a.resolver(nil)
	}
	a.views = view.New(view.Config{Source: c, Counts: view.NewCounts(a.metrics, false), Datacenter: a.cfg.Node.Datacenter, HoldTimeout: a.cfg.Raft.Performance.RPCHoldTimeout,
		DefaultWait: a.cfg.Queries.DefaultTime, MaxWait: a.cfg.Queries.MaxTime})
	a.cleanups.add(func() error { a.views.Stop(); return nil })
	(&services{}).queries(a.views)
	a.running.Go(c.followLeader)
	return nil
}

// Call implements rpc.Caller.
func (c *client) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	kind, ok := c.known.Traits(method)
	if !ok {
		return rpc.Errorf(rpc.NotImplemented, "unknown method %q", method)
	}
	body, err := rpc.Append(nil, args)
	if err != nil {
		return err
	}
	answer, err := c.agent.route.call(ctx, h, method, body, kind)
	if err != nil {
		return err
	}
	return rpc.Decode(answer, reply)
}

// choose says which servers may answer a read: any if it may be stale or another datacenter's, else preferably the leader,
// which need not ask anybody.
func (c *client) choose(h rpc.Header, opts state.ReadOptions) func() (rpc.Target, bool) {
	if opts.Consistency == state.Stale || c.agent.route.abroad(h) {
		return c.agent.route.roster.best
	}
	return c.agent.route.leaderOrBest
}

// Fetch implements view.Source.
func (c *client) Fetch(ctx context.Context, q *view.Ask) (*view.Packed, error) {
	args, err := q.MarshalMsg(nil)
	if err != nil {
		return nil, err
	}
	route := c.agent.route
	p := new(view.Packed)
	err = route.deliver(ctx, c.choose(q.Header, q.ReadOptions), true, func(ctx context.Context, t rpc.Target) error {
		reply, err := route.pool.Call(ctx, t, q.Header, fetchMethod, args)
		if err != nil {
			return err
		}
		return rpc.Decode(reply, p)
	})
	return p, err
}

// Follow implements view.Source.
func (c *client) Follow(ctx context.Context, q *view.Ask, deliver func(*view.Packed) error) error {
	t, ok := c.choose(q.Header, q.ReadOptions)()
	if !ok {
		return errNoServers
	}
	args, err := q.MarshalMsg(nil)
	if err != nil {
		return err
	}
	return c.agent.route.follow(ctx, t, q.Header, followMethod, args, func(body []byte) error {
		p := new(view.Packed)
		if err := rpc.Decode(body, p); err != nil {
			return err
		}
		return deliver(p)
	})
}

// follow opens a stream at a server and delivers what comes until that fails, the server ends it or ctx is done.
func (r *router) follow(ctx context.Context, t rpc.Target, h rpc.Header, method string, args []byte, deliver func([]byte) error) error {
	s, err := r.pool.Stream(ctx, t, h, method, args)
	if err != nil {
		r.again(err, t, false)
		return err
	}
	defer s.Close()
	for {
		body, err := s.Next(ctx)
		if err != nil {
			r.again(err, t, false)
			return err
		}
		if err := deliver(body); err != nil {
			return err
		}
	}
}

// followLeader lets a server tell who leads, and another one when that goes, until the agent stops.
func (c *client) followLeader() {
	route := c.agent.route
	for c.agent.ctx.Err() == nil {
		changed := route.roster.next()
		t, ok := route.roster.best()
		pause := pauseMax
		if ok {
			err := route.follow(c.agent.ctx, t, rpc.Header{}, leaderMethod, nil, c.learn)
			c.leader.Store(nil)
			if err != nil && !errors.Is(err, io.EOF) && c.agent.ctx.Err() == nil {
				c.agent.log.Debug("a server no longer tells who leads", "server", t.Address, "error", err)
			}
		}
		sleep(c.agent.ctx, changed, pause/2+rand.N(pause/2))
	}
}

// learn takes the id of a new leader, or "" while there is none.
func (c *client) learn(id []byte) error {
	t, ok := c.agent.route.roster.find(string(id))
	if !ok {
		c.leader.Store(nil)
		return nil
	}
	c.leader.Store(&t)
	c.agent.route.roster.stir()
	c.agent.local.ServersChanged()
	return nil
}

// Save implements httpapi.Snapshots.
func (c *client) Save(ctx context.Context, h rpc.Header, opts state.ReadOptions, w io.Writer, before func(uint64, state.ReadMeta)) error {
	return c.agent.route.save(ctx, c.choose(h, opts), h, opts, w, before)
}

// Restore implements httpapi.Snapshots.
func (c *client) Restore(ctx context.Context, h rpc.Header, r io.Reader, report io.Writer) error {
	return c.agent.route.restore(ctx, c.agent.route.leaderOrBest, h, r, report)
}
