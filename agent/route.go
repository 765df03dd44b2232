package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// A router delivers calls to the servers of this datacenter: to the leader, or to whichever is best. While none can
// answer it tries again, for as long as rpc_hold_timeout says, so that an election passes unnoticed.
type router struct {
	roster  *roster
	pool    *rpc.Pool
	leader  func() (rpc.Target, bool) // whom this agent takes for the leader
	hold    time.Duration             // how long to try again while there is no leader
	timeout time.Duration             // of one attempt
	limit   *rate.Limiter             // of calls; nil is none
	home    string                    // this agent's datacenter
	count   routeCounts
}

// routeCounts count the calls of a client agent.
type routeCounts struct{ made, exceeded, failed *telemetry.Counter }

// An attempt makes one call at one server.
type attempt func(ctx context.Context, t rpc.Target) error

// errRate is what a call gets that exceeds limits.rpc_rate. The text is Consul's.
var errRate = rpc.Errorf(rpc.Limited, "RPC rate limit exceeded")

// The pauses between attempts: a change of the roster or of the leader ends them.
const (
	pauseMin = 5 * time.Millisecond
	pauseMax = 200 * time.Millisecond
)

// deliver makes attempts at the servers that choose yields, until one succeeds, fails for a reason of the call's own, or
// the hold time is over. Unless the call may be repeated, an attempt whose connection breaks under way is the last: it may
// have been carried out.
func (r *router) deliver(ctx context.Context, choose func() (rpc.Target, bool), repeatable bool, try attempt) error {
	r.count.made.Add(1)
	if r.limit != nil && !r.limit.Allow() {
		r.count.exceeded.Add(1)
		return errRate
	}
	var end time.Time
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		changed := r.roster.next()
		err := errNoServers
		if t, ok := choose(); ok {
			if err = r.once(ctx, t, try); !r.again(err, t, repeatable) {
				return uncertain(err, repeatable)
			}
		}
		now := time.Now()
		if end.IsZero() {
			end = now.Add(r.hold)
		}
		if left := end.Sub(now); left <= 0 {
			return err
		} else if !sleep(ctx, changed, min(left, pause/2+rand.N(pause/2))) {
			return ctx.Err()
		}
	}
}

// once makes one attempt, bounded in time.
func (r *router) once(ctx context.Context, t rpc.Target, try attempt) error {
	bounded, free := rpc.Within(ctx, r.timeout)
	defer free()
	err := try(bounded, t)
	var broken *rpc.ConnError // a dial has a shorter time of its own
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && !errors.As(err, &broken) {
		return rpc.Errorf(rpc.Internal, "no answer of the server at %s within %s", t.Address, r.timeout)
	}
	return err
}

// again tells whether another attempt may succeed where one failed with err.
func (r *router) again(err error, t rpc.Target, repeatable bool) bool {
	var broken *rpc.ConnError
	switch {
	case err == nil:
		return false
	case errors.As(err, &broken):
		r.roster.shun(t.ID)
		r.count.failed.Add(1)
		return !broken.Sent || repeatable
	}
	return rpc.CodeOf(err) == rpc.NoLeader
}

// uncertain says what the loss of a connection means for a call that changes something.
func uncertain(err error, repeatable bool) error {
	var broken *rpc.ConnError
	if repeatable || !errors.As(err, &broken) || !broken.Sent {
		return err
	}
	return rpc.Errorf(rpc.CodeOf(state.ErrUncertain), "the server at %s went away before it answered, and may have carried out the call or not: %s", broken.Target.Address, broken.Err)
}

// sleep waits for a pause or a change; false is the end of ctx.
func sleep(ctx context.Context, changed <-chan struct{}, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	}
	return true
}

// call brings an encoded call to the leader, or to the best server where any will do.
func (r *router) call(ctx context.Context, h rpc.Header, method string, args []byte, kind rpc.Traits) ([]byte, error) {
	var reply []byte
	choose := r.leaderOrBest
	if kind.Anywhere || h.Direct || r.abroad(h) {
		choose = r.roster.best
	}
	err := r.deliver(ctx, choose, kind.Repeatable, func(ctx context.Context, t rpc.Target) error {
		var err error
		reply, err = r.pool.Call(ctx, t, h, method, args)
		return err
	})
	return reply, err
}

// abroad tells whether a call is for another datacenter.
func (r *router) abroad(h rpc.Header) bool { return h.Datacenter != "" && h.Datacenter != r.home }

// leaderOrBest is the leader, if it is known and in reach, or else a server that will send the call on.
func (r *router) leaderOrBest() (rpc.Target, bool) {
	if t, ok := r.leader(); ok && !r.roster.isShunned(t.ID) {
		return t, true
	}
	return r.roster.best()
}

// noLeader is the error of a call that found nobody to answer it.
func noLeader(err error) bool {
	return errors.Is(err, state.ErrNoLeader) || rpc.CodeOf(err) == rpc.NoLeader
}
