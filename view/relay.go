package view

import (
	"context"

	"lictor/rpc"
	"lictor/state"
)

// relayOnce answers a query of another agent that is about another datacenter. All who ask the same at the same moment,
// whichever agents they are, share one question.
func (v *Views) relayOnce(ctx context.Context, h rpc.Header, q *Ask) (*Packed, error) {
	m, err := v.relayed(h, q)
	if err != nil {
		return nil, err
	}
	out := m.fetch(ctx, q.ReadOptions)
	if out.err != nil {
		return nil, out.err
	}
	return out.result.answer(q.Have, out.meta)
}

// relay sends another agent the answer to a query about another datacenter, now and after each change. All who follow the
// same result share one stream from there.
func (v *Views) relay(ctx context.Context, h rpc.Header, q *Ask, send func(*Packed) error) error {
	m, err := v.relayed(h, q)
	if err != nil {
		return err
	}
	out := m.fetch(ctx, q.ReadOptions)
	if out.err != nil {
		return out.err
	}
	if !m.join() {
		return state.ErrStopped
	}
	defer m.leave()
	for have := q.Have; ; {
		p, err := out.result.answer(have, out.meta)
		if err != nil {
			return err
		}
		if err := send(p); err != nil {
			return err
		}
		have = out.result.tag
		if out = m.await(ctx, &Options{MinIndex: out.result.index}, nil); out.err != nil {
			return out.err
		}
	}
}

// relayed finds the mirror of what another agent asks for.
func (v *Views) relayed(h rpc.Header, q *Ask) (*mirror, error) {
	known, err := v.find(q.Query)
	if err != nil {
		return nil, err
	}
	args, err := known.args(q.Args)
	if err != nil {
		return nil, err
	}
	return v.mirror(known, rpc.Header{Token: h.Token, Datacenter: h.Datacenter}, args)
}
