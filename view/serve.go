package view

import (
	"context"
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
	e, meta, err := v.asked(ctx, h, q)
	if err != nil {
		return nil, err
	}
	r, err := e.fresh()
	if err != nil {
		return nil, err
	}
	return r.answer(q.Have, meta)
}

// asked finds what another agent asks for, once the state is as fresh as it wants it.
func (v *Views) asked(ctx context.Context, h rpc.Header, q *Ask) (*entry, state.ReadMeta, error) {
	az, meta, err := v.admit(ctx, h, q.ReadOptions)
	if err != nil {
		return nil, meta, err
	}
	known, err := v.find(q.Query)
	if err != nil {
		return nil, meta, err
	}
	e, err := known.entry(v, az, q.Args)
	return e, meta, err
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
	e, meta, err := v.asked(ctx, h, q)
	if err != nil {
		return err
	}
	r, err := e.join()
	if err != nil {
		return err
	}
	defer e.leave()
	look := time.NewTicker(contact - rand.N(contact/5))
	defer look.Stop()
	for have := q.Have; ; {
		p, err := r.answer(have, meta)
		if err != nil {
			return err
		}
		if err = send(p); err != nil {
			return err
		}
		have = r.tag
		if meta, err = v.await(ctx, r, look.C); err != nil {
			return err
		}
		if r, err = e.latest(); err != nil {
			return err
		}
	}
}

// await blocks until the result has changed. At each tick of look it makes sure that there still is a leader.
func (v *Views) await(ctx context.Context, r *Result, look <-chan time.Time) (state.ReadMeta, error) {
	for {
		select {
		case <-r.changed:
			return v.inContact(ctx)
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
