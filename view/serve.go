package view

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// Answer answers a query of another agent, as fresh as it wants it, from the result that local reads share.
func (v *Views) Answer(ctx context.Context, h rpc.Header, q *Ask) (*Packed, error) {
	if v.mirrors(h) {
		return v.relayOnce(ctx, h, q)
	}
	e, az, meta, err := v.asked(ctx, h, q)
	if err != nil {
		return nil, err
	}
	r, err := e.fresh()
	e.observe(r)
	if err != nil {
		return nil, acl.Reworded(err, az)
	}
	return r.answer(q.Have, meta)
}

// asked finds what another agent asks for, once the state is as fresh as it wants it.
func (v *Views) asked(ctx context.Context, h rpc.Header, q *Ask) (*entry, acl.Authorizer, state.ReadMeta, error) {
	az, meta, err := v.admit(ctx, h, q.ReadOptions)
	if err != nil {
		return nil, az, meta, err
	}
	known, err := v.find(q.Query)
	if err != nil {
		return nil, az, meta, err
	}
	e, err := known.entry(v, az, q.Args)
	return e, az, meta, err
}

// answer is the result for who holds another or the same one.
func (r *Result) answer(have Tag, meta state.ReadMeta) (*Packed, error) {
	p := &Packed{Index: r.index, Tag: r.tag, LastContact: meta.LastContact, KnownLeader: meta.KnownLeader}
	if p.Unchanged = r.tag == have; p.Unchanged {
		return p, nil
	}
	var err error
	p.Body, err = r.packed()
	return p, err
}

// contact is how long a server may be without a leader before it sends away those who follow a result, and how often it
// looks: they find a better one.
const contact = 5 * time.Second

// Stream sends another agent the answer to a query, as fresh as it wants it, and again each time that a blocking query
// for it would end. What changes while send blocks is sent as one. It returns when ctx ends or send fails, when the
// query does, or when this server has lost its leader.
func (v *Views) Stream(ctx context.Context, h rpc.Header, q *Ask, send func(*Packed) error) error {
	if v.mirrors(h) {
		return v.relay(ctx, h, q, send)
	}
	look := time.NewTicker(contact - rand.N(contact/5))
	defer look.Stop()
	for have := q.Have; ; {
		ended, err := v.stream(ctx, h, q, follower{&have, look.C, send})
		if !ended || err != nil {
			return err
		}
		q.Consistency = state.Stale // it has begun fresh
	}
}

// A follower is who is sent a result and its changes.
type follower struct {
	have *Tag // the newest that it holds
	look <-chan time.Time
	send func(*Packed) error
}

// stream is Stream until what the follower's token may do has to be looked up again.
func (v *Views) stream(ctx context.Context, h rpc.Header, q *Ask, to follower) (ended bool, err error) {
	e, az, meta, err := v.asked(ctx, h, q)
	if err != nil {
		return false, err
	}
	r, err := e.join()
	e.observe(r)
	if err != nil {
		return false, acl.Reworded(err, az)
	}
	defer e.leave()
	for {
		p, err := r.answer(*to.have, meta)
		if err != nil {
			return false, err
		}
		if err = to.send(p); err != nil {
			return false, err
		}
		*to.have = r.tag
		if meta, err = v.await(ctx, r, to.look, acl.Ended(az)); errors.Is(err, errEnded) {
			return true, nil
		} else if err != nil {
			return false, err
		}
		if r, err = e.latest(); err != nil {
			return false, acl.Reworded(err, az)
		}
	}
}

// errEnded tells that the reader's token has to be looked at.
var errEnded = errors.New("a token has changed")

// await blocks until the result has changed. At each tick of look it makes sure that there still is a leader.
func (v *Views) await(ctx context.Context, r *Result, look <-chan time.Time, ended <-chan struct{}) (state.ReadMeta, error) {
	for {
		select {
		case <-r.changed:
			if isClosed(ended) { // in the same moment
				return state.ReadMeta{}, errEnded
			}
			return v.inContact(ctx)
		case <-ended:
			return state.ReadMeta{}, errEnded
		case <-look:
			if meta, err := v.inContact(ctx); err != nil {
				return meta, err
			}
		case <-ctx.Done():
			return state.ReadMeta{}, ctx.Err()
		case <-v.ctx.Done():
			return state.ReadMeta{}, state.ErrStopped
		}
	}
}

// inContact tells how fresh the state is, which is an error if it has been without a leader for too long.
func (v *Views) inContact(ctx context.Context) (state.ReadMeta, error) {
	return v.Log.Fresh(ctx, state.ReadOptions{Consistency: state.Stale, MaxStale: contact})
}

// admit finds what the reader may do, and blocks until the state is as fresh as opts ask.
func (v *Views) admit(ctx context.Context, h rpc.Header, opts state.ReadOptions) (acl.Authorizer, state.ReadMeta, error) {
	if h.Datacenter != "" && h.Datacenter != v.Datacenter {
		return nil, state.ReadMeta{}, rpc.ErrNoDatacenter
	}
	az, err := v.Resolve(ctx, h.Token)
	if err != nil {
		return nil, state.ReadMeta{}, err
	}
	meta, err := v.Log.Fresh(ctx, opts)
	return az, meta, err
}
