package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lictor/coordinate"
	"lictor/rpc"
	"lictor/telemetry"
)

// A distant is another datacenter as a server sees it. What is under way to it is bounded, so that one that is slow costs
// this server little and others nothing.
type distant struct {
	agent     *Agent
	name      string
	roster    *roster
	route     *router // over roster; without a leader
	calls     room
	streams   room
	transfers room
	dark      atomic.Bool // all servers are out of reach; look is under way
	proving   proving
	turned    *telemetry.Counter

	searching sync.Mutex // guards way
	way       *search    // nil: none has been looked for
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
	r := &distant{agent: a, name: name, roster: newRoster(a.id, a.wanDistance)}
	r.roster.datacenter = name
	r.proving.servers, r.proving.vigils = map[string]*proof{}, map[rpc.Target]*vigilance{}
	r.calls.most, r.streams.most, r.transfers.most = callsMost, streamsMost, transfersMost
	r.turned = a.metrics.Counter("rpc.cross-dc.shed", telemetry.Label{Name: "datacenter", Value: name})
	route := *a.route
	route.roster = r.roster
	r.route = &route
	return r
}

// deliver makes attempts at one server after the other until one answers. Which of them is asked does not matter: each sends
// on to its leader what is for that. Unless the call may be repeated, an attempt whose connection breaks under way is the
// last. While all servers are out of reach it fails at once with a lostError.
func (r *distant) deliver(ctx context.Context, repeatable bool, try attempt) error {
	if !r.calls.take() {
		return r.shed(&r.calls)
	}
	defer r.calls.leave()
	return r.each(repeatable, func(t rpc.Target) error {
		return r.route.once(ctx, t, func(ctx context.Context, t rpc.Target) error {
			doubt := time.AfterFunc(doubtAfter, func() { r.vigil(ctx, t) })
			defer doubt.Stop()
			return try(ctx, t)
		})
	})
}

// transfer lets do stream from or to one server after the other until it gets a connection.
func (r *distant) transfer(do func(choose func() (rpc.Target, bool)) error) error {
	if !r.transfers.take() {
		return r.shed(&r.transfers)
	}
	defer r.transfers.leave()
	return r.each(false, func(t rpc.Target) error { return do(func() (rpc.Target, bool) { return t, true }) })
}

// each is what deliver says, of attempts that somebody has made room for.
func (r *distant) each(repeatable bool, try func(t rpc.Target) error) error {
	lost := &lostError{r.name, nil}
	for range r.roster.all() {
		t, ok := r.roster.best()
		if !ok || r.dark.Load() {
			break
		}
		err := try(t)
		var broken *rpc.ConnError
		if !errors.As(err, &broken) {
			r.roster.trust(t.ID)
			return r.plain(err)
		}
		if !r.route.again(err, t, repeatable) {
			return uncertain(err, repeatable)
		}
		lost.cause = err
	}
	r.darken()
	return lost
}

// A lostError tells that no server of a datacenter is in reach.
type lostError struct {
	datacenter string
	cause      error // nil if that was found out before
}

func (e *lostError) Error() string {
	if e.cause == nil {
		return rpc.ErrNoDatacenter.Error()
	}
	return fmt.Sprintf("%s %q: %s", rpc.ErrNoDatacenter, e.datacenter, e.cause)
}

// ErrorCode is the error's code.
func (*lostError) ErrorCode() string { return string(rpc.NoDatacenter) }

// plain words an error so that its reader need not try again: that has been done there.
func (r *distant) plain(err error) error {
	var broken *rpc.ConnError
	switch {
	case errors.As(err, &broken):
		return &lostError{r.name, err}
	case err != nil && noLeader(err):
		return rpc.Errorf(rpc.NoDatacenter, "datacenter %q: %s", r.name, err)
	}
	return err
}

// The pauses between looks at a datacenter that is dark.
const (
	lookMin = 250 * time.Millisecond
	lookMax = 4 * time.Second
	lookFor = 5 * time.Second
)

// darken notes that all servers are out of reach. From then on nobody waits for them, and one goroutine looks whether one has
// come back; it ends then, or with the agent.
func (r *distant) darken() {
	if len(r.roster.all()) > 0 && r.dark.CompareAndSwap(false, true) {
		r.agent.running.Go(r.look)
	}
}

func (r *distant) look() {
	defer r.dark.Store(false)
	for pause := lookMin; r.agent.ctx.Err() == nil; pause = min(2*pause, lookMax) {
		changed := r.roster.next()
		list := r.roster.all()
		if len(list) == 0 || r.anyAnswers(list) || !sleep(r.agent.ctx, changed, pause) {
			return
		}
	}
}

// anyAnswers tells whether a server answers. It asks all at once and returns with the first answer.
func (r *distant) anyAnswers(list []rpc.Target) bool {
	ctx, cancel := context.WithTimeout(r.agent.ctx, lookFor)
	defer cancel()
	answers := make(chan bool, len(list))
	for _, t := range list {
		go func() { answers <- r.answers(ctx, t) }()
	}
	for range list {
		if <-answers {
			return true
		}
	}
	return false
}

// answers tells whether a server answers before ctx ends.
func (r *distant) answers(ctx context.Context, t rpc.Target) bool {
	_, err := r.route.pool.Call(ctx, t, rpc.Header{Datacenter: r.name, Hops: directly}, coordinate.NamesMethod.Name, nil)
	var broken *rpc.ConnError
	if errors.As(err, &broken) || ctx.Err() != nil {
		return false
	}
	r.roster.trust(t.ID)
	return true
}

// call brings an encoded call to a server.
func (r *distant) call(ctx context.Context, h rpc.Header, method string, args []byte, kind rpc.Traits) ([]byte, error) {
	var reply []byte
	err := r.deliver(ctx, kind.Repeatable, func(ctx context.Context, t rpc.Target) error {
		var err error
		reply, err = r.route.pool.Call(ctx, t, h, method, args)
		return err
	})
	return reply, err
}

// stream delivers what a server sends, until that ends.
func (r *distant) stream(ctx context.Context, h rpc.Header, method string, args []byte, deliver func([]byte) error) error {
	if !r.streams.take() {
		return r.shed(&r.streams)
	}
	defer r.streams.leave()
	t, ok := r.roster.best()
	if !ok || r.dark.Load() {
		return &lostError{r.name, nil}
	}
	defer r.attend(t)()
	return r.plain(r.route.follow(ctx, t, h, method, args, deliver))
}

// shed turns away what is too much.
func (r *distant) shed(full *room) error {
	r.turned.Add(1)
	return rpc.Errorf(rpc.Limited, "datacenter %q is slow: this server already waits for %d answers from there, and asks no more", r.name, full.most)
}
