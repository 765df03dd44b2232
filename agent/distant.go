package agent

import (
	"context"
	"errors"
	"sync/atomic"

	"lictor/rpc"
	"lictor/telemetry"
)

// A distant is another datacenter as a server sees it. What is under way to it is bounded, so that one that is slow costs
// this server little and others nothing.
type distant struct {
	name      string
	roster    *roster
	route     *router // over roster; without a leader
	calls     room
	streams   room
	transfers room
	probing   atomic.Bool // a call tries servers that were all out of reach a moment ago
	turned    *telemetry.Counter
}

// How much may be under way from one server to one datacenter. What is more is turned away at once.
const (
	callsMost     = 1024
	streamsMost   = 4096
	transfersMost = 8
)

// A room counts what is under way.
type room struct {
	n    atomic.Int64
	most int64
}

// take makes place for one more, if there is any. Who has taken a place leaves it.
func (r *room) take() bool {
	if r.n.Add(1) > r.most {
		r.n.Add(-1)
		return false
	}
	return true
}

func (r *room) leave() { r.n.Add(-1) }

func newDistant(a *Agent, name string) *distant {
	r := &distant{name: name, roster: newRoster(a.id, a.wanDistance)}
	r.roster.datacenter = name
	r.calls.most, r.streams.most, r.transfers.most = callsMost, streamsMost, transfersMost
	r.turned = a.metrics.Counter("rpc.cross-dc.shed", telemetry.Label{Name: "datacenter", Value: name})
	route := *a.route
	route.roster = r.roster
	r.route = &route
	return r
}

func (r *distant) streaming() *room    { return &r.streams }
func (r *distant) transferring() *room { return &r.transfers }

// deliver makes attempts at one server after the other until one answers. Which of them is asked does not matter: each sends
// on to its leader what is for that. Unless the call may be repeated, an attempt whose connection breaks under way is the
// last.
func (r *distant) deliver(ctx context.Context, repeatable bool, try attempt) error {
	if !r.calls.take() {
		return r.shed(&r.calls)
	}
	defer r.calls.leave()
	err := rpc.ErrNoDatacenter
	for attempts := len(r.roster.all()); attempts > 0; attempts-- {
		t, ok := r.roster.best()
		if !ok {
			break
		}
		if r.roster.isShunned(t.ID) {
			// All were out of reach a moment ago. One call at a time tries them again; the others need not wait for it.
			if !r.probing.CompareAndSwap(false, true) {
				break
			}
			defer r.probing.Store(false)
		}
		err = r.route.once(ctx, t, try)
		var broken *rpc.ConnError
		if !errors.As(err, &broken) {
			r.roster.trust(t.ID)
			break
		}
		if !r.route.again(err, t, repeatable) {
			return uncertain(err, repeatable)
		}
	}
	return r.plain(err)
}

// plain words an error of the way so that its reader knows which datacenter is meant, and need not try again: that has been
// done, here and there.
func (r *distant) plain(err error) error {
	var broken *rpc.ConnError
	switch {
	case errors.As(err, &broken):
		return rpc.Errorf(rpc.NoDatacenter, "%s %q: %s", rpc.ErrNoDatacenter, r.name, err)
	case err != nil && noLeader(err):
		return rpc.Errorf(rpc.NoDatacenter, "datacenter %q: %s", r.name, err)
	}
	return err
}

// shed turns away what is too much.
func (r *distant) shed(full *room) error {
	r.turned.Add(1)
	return rpc.Errorf(rpc.Limited, "datacenter %q is slow: this server already waits for %d answers from there, and asks no more", r.name, full.most)
}
