package replica

import (
	"context"
	"time"

	"lictor/rpc"
	"lictor/state"
)

// An Owner answers for the rows that others copy.
type Owner[Z any] struct {
	Log   state.Log
	Kinds []Kind[Z]
	// Fresh tells whether az still says what its token may do; a wait ends when that changes.
	Fresh func(az Z) bool
}

// maxWait bounds the wait for a change.
const maxWait = time.Minute

// List lists the rows of the kinds that are asked for, once one of them has another index than was seen.
func (o *Owner[Z]) List(ctx context.Context, az Z, q *Question) (*Listing, error) {
	if _, err := o.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, min(max(q.Wait, 0), maxWait))
	defer cancel()
	for {
		tx := o.Log.DB().Read()
		list, changed, err := o.list(tx, az, q)
		if err != nil || changed {
			return list, err
		}
		if tx.Watch().Wait(wait) != nil || !o.Fresh(az) { // who asks again is looked at again
			return list, ctx.Err()
		}
	}
}

// list lists the rows of this moment, and tells whether any kind has another index than was seen.
func (o *Owner[Z]) list(tx *state.Tx, az Z, q *Question) (*Listing, bool, error) {
	var list Listing
	changed := false
	quiet := tx.Unwatched()
	for _, seen := range q.Kinds {
		kind, err := o.kind(seen.Kind)
		if err != nil {
			return nil, false, err
		}
		if err := kind.may(quiet, az); err != nil { // an index is told to nobody else, either
			return nil, false, err
		}
		s := Stubs{Index: kind.index(tx)}
		if s.Same = s.Index == seen.Index; !s.Same {
			changed = true
			s.Stubs = kind.stubs(quiet)
		}
		list.Kinds = append(list.Kinds, s)
	}
	return &list, changed, nil
}

// Fetch gives the rows that are asked for, as far as they are there.
func (o *Owner[Z]) Fetch(ctx context.Context, az Z, q *Selection) (*Rows, error) {
	kind, err := o.kind(q.Kind)
	if err != nil {
		return nil, err
	}
	if _, err := o.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	rows, err := kind.fetch(o.Log.DB().Read().Unwatched(), az, q.Keys)
	if err != nil {
		return nil, err
	}
	return &Rows{rows}, nil
}

func (o *Owner[Z]) kind(name string) (Kind[Z], error) {
	for _, k := range o.Kinds {
		if k.name() == name {
			return k, nil
		}
	}
	return nil, rpc.Errorf(rpc.NotImplemented, "unknown kind of rows %q", name)
}
