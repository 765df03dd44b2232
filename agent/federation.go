package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"lictor/coordinate"
	"lictor/gossip"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A federation is a server's way to the servers of other datacenters, which it knows from the WAN pool.
type federation struct {
	agent *Agent

	mu     sync.Mutex // guards others
	others map[string]*distant
}

func newFederation(a *Agent) *federation { return &federation{agent: a, others: map[string]*distant{}} }

// ranking is how often servers are put in order anew: how near they are is only learned with time.
const ranking = time.Minute

// follow keeps what is known of the servers of other datacenters, until the events end.
func (f *federation) follow(events <-chan gossip.Event) {
	tick := time.NewTicker(ranking)
	defer tick.Stop()
	for {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				return
			case e.Type == gossip.EventsLost:
				f.set(f.agent.wan.Members())
			default:
				f.note(e.Member, e.Type == gossip.MemberJoin || e.Type == gossip.MemberUpdate)
			}
		case <-tick.C:
			f.set(f.agent.wan.Members())
		}
	}
}

// set learns of all members of the WAN pool at once.
func (f *federation) set(members []gossip.Member) {
	byDatacenter := map[string][]gossip.Member{}
	for _, m := range members {
		if f.counts(m) {
			byDatacenter[m.Meta.Datacenter] = append(byDatacenter[m.Meta.Datacenter], m)
		}
	}
	for name, members := range byDatacenter {
		f.forget(f.open(name).roster.set(members))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, r := range f.others {
		if byDatacenter[name] == nil {
			delete(f.others, name)
			f.forget(r.roster.set(nil))
		}
	}
}

// note learns of a change of one member.
func (f *federation) note(m gossip.Member, here bool) {
	if f.counts(m) {
		f.forget(f.open(m.Meta.Datacenter).roster.note(m, here))
	}
}

// counts tells whether a member is a server of another datacenter.
func (f *federation) counts(m gossip.Member) bool {
	return m.Ours && m.Meta.Server && m.Meta.Datacenter != f.agent.cfg.Node.Datacenter
}

func (f *federation) forget(gone []rpc.Target) {
	for _, t := range gone {
		f.agent.route.pool.Forget(t)
	}
}

// open finds a datacenter, or makes what there is to know of it.
func (f *federation) open(name string) *distant {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.others[name]
	if r == nil {
		r = newDistant(f.agent, name)
		f.others[name] = r
	}
	return r
}

// find finds the datacenter that a call is for. A call that another datacenter has sent here is sent on only if it is to go
// through here, or is owned elsewhere, and that once. It is left as it is to be sent.
func (f *federation) find(ctx context.Context, h *rpc.Header) (*distant, error) {
	f.mu.Lock()
	r := f.others[h.Datacenter]
	f.mu.Unlock()
	if r == nil || h.Hops == directly {
		return nil, rpc.ErrNoDatacenter
	}
	if h.Hops != onward {
		h.Hops = directly
	}
	h.Token = f.agent.carried(ctx, h.Token)
	return r, nil
}

// What Header.Hops says of a call: that it is to be sent on once more, or not at all; or that a datacenter which does not own
// what it is about has sent it on to the one that does.
const (
	through  = 1
	directly = 2
	onward   = 3
)

// call brings an encoded call to another datacenter, through a third one if there is no other way.
func (f *federation) call(ctx context.Context, h rpc.Header, method string, args []byte, kind rpc.Traits) ([]byte, error) {
	from := h.Hops
	r, err := f.find(ctx, &h)
	if err != nil {
		return nil, err
	}
	if from == through { // the other datacenter has found no way
		r.suspect()
	}
	reply, err := r.call(ctx, h, method, args, kind)
	var lost *lostError
	if from == 0 && errors.As(err, &lost) {
		err = f.around(ctx, r, err, func(hub *distant) error {
			round := h
			round.Hops = through
			var err error
			reply, err = hub.call(ctx, round, method, args, kind)
			return err
		})
	}
	return reply, err
}

// around tries a way through another datacenter, and once more if that is none any more. If there is none, the error stays what
// it was.
func (f *federation) around(ctx context.Context, to *distant, direct error, try func(hub *distant) error) error {
	for range 2 {
		hub := to.seek().wait(ctx)
		if hub == nil {
			break
		}
		err := try(hub)
		if rpc.CodeOf(err) != rpc.NoDatacenter {
			return err
		}
		to.lose(hub)
	}
	return direct
}

// hubs are the nearest other datacenters that may know a way to one.
func (f *federation) hubs(to *distant) []*distant {
	var hubs []*distant
	for _, name := range f.agent.datacenterNames() {
		f.mu.Lock()
		hub := f.others[name]
		f.mu.Unlock()
		if hub != nil && hub != to && !hub.dark.Load() && len(hubs) < hubsMost {
			hubs = append(hubs, hub)
		}
	}
	return hubs
}

// Fetch implements view.Source.
func (f *federation) Fetch(ctx context.Context, q *view.Ask) (*view.Packed, error) {
	args, err := q.MarshalMsg(nil)
	if err != nil {
		return nil, err
	}
	reply, err := f.call(ctx, q.Header, fetchMethod, args, rpc.Traits{Repeatable: true})
	if err != nil {
		return nil, err
	}
	p := new(view.Packed)
	return p, rpc.Decode(reply, p)
}

// Follow implements view.Source.
func (f *federation) Follow(ctx context.Context, q *view.Ask, deliver func(*view.Packed) error) error {
	args, err := q.MarshalMsg(nil)
	if err != nil {
		return err
	}
	return f.stream(ctx, q.Header, followMethod, args, func(body []byte) error {
		p := new(view.Packed)
		if err := rpc.Decode(body, p); err != nil {
			return err
		}
		return deliver(p)
	})
}

// stream delivers what a server of another datacenter sends, until that ends. It goes through a third one if there is no
// other way.
func (f *federation) stream(ctx context.Context, h rpc.Header, method string, args []byte, deliver func([]byte) error) error {
	from := h.Hops
	r, err := f.find(ctx, &h)
	if err != nil {
		return err
	}
	if from == through {
		r.suspect()
	}
	err = r.stream(ctx, h, method, args, deliver)
	var lost *lostError
	if from == 0 && errors.As(err, &lost) {
		err = f.around(ctx, r, err, func(hub *distant) error {
			round := h
			round.Hops = through
			return hub.stream(ctx, round, method, args, deliver)
		})
	}
	return err
}

// save lets a server of another datacenter make an archive.
func (f *federation) save(ctx context.Context, h rpc.Header, opts state.ReadOptions, w io.Writer, before func(uint64, state.ReadMeta)) error {
	return f.transfer(ctx, h, func(r *router, choose func() (rpc.Target, bool), h rpc.Header) error {
		return r.save(ctx, choose, h, opts, w, before)
	})
}

// restore sends an archive to another datacenter.
func (f *federation) restore(ctx context.Context, h rpc.Header, archive io.Reader, report io.Writer) error {
	return f.transfer(ctx, h, func(r *router, choose func() (rpc.Target, bool), h rpc.Header) error {
		return r.restore(ctx, choose, h, archive, report)
	})
}

// transfer lets a server of another datacenter have or give an archive. It goes through a third one if there is no other way.
func (f *federation) transfer(ctx context.Context, h rpc.Header, do func(r *router, choose func() (rpc.Target, bool), h rpc.Header) error) error {
	from := h.Hops
	r, err := f.find(ctx, &h)
	if err != nil {
		return err
	}
	by := func(hub *distant, h rpc.Header) error {
		return hub.transfer(func(choose func() (rpc.Target, bool)) error { return do(hub.route, choose, h) })
	}
	err = by(r, h)
	var lost *lostError
	if from != 0 || !errors.As(err, &lost) {
		return err
	}
	hub := r.seek().wait(ctx)
	if hub == nil {
		return err
	}
	h.Hops = through
	err = by(hub, h)
	if rpc.CodeOf(err) == rpc.NoDatacenter {
		r.lose(hub) // what has been streamed cannot be had again, so no other way is tried
	}
	return err
}

// wanDistance is how far a server of another datacenter is, as far as that is known.
func (a *Agent) wanDistance(name string) time.Duration {
	own, err := a.wan.Coordinate()
	if err != nil {
		return 0
	}
	other, ok := a.wan.CachedCoordinate(name)
	if !ok {
		return 0
	}
	from, to := coordinate.Coordinate(own), coordinate.Coordinate(other)
	return from.Distance(&to)
}
