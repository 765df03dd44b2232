package agent

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"lictor/gossip"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

const holdTime = 7 * time.Second

// newTestRouter is a router with two servers of which the first leads.
func newTestRouter(t *testing.T) *router {
	t.Helper()
	metrics, err := telemetry.New(telemetry.Config{Prefix: "consul"})
	if err != nil {
		t.Fatal(err)
	}
	r := &router{roster: newRoster("me", nowhere), hold: holdTime, timeout: time.Minute,
		count: routeCounts{metrics.Counter("a"), metrics.Counter("b"), metrics.Counter("c")}}
	r.roster.set([]gossip.Member{serverMember(1), serverMember(2)})
	r.leader = func() (rpc.Target, bool) { return r.roster.find("id-1") }
	return r
}

func TestCallsWaitForALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, begun, tries := newTestRouter(t), time.Now(), 0
		err := r.deliver(t.Context(), r.leaderOrBest, false, func(context.Context, rpc.Target) error {
			if tries++; time.Since(begun) < time.Second {
				return state.ErrNoLeader
			}
			return nil
		})
		if err != nil || time.Since(begun) > time.Second+pauseMax {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		begun = time.Now()
		err = r.deliver(t.Context(), r.leaderOrBest, false, func(context.Context, rpc.Target) error { return state.ErrNoLeader })
		if took := time.Since(begun); !errors.Is(err, state.ErrNoLeader) || took < holdTime || took > holdTime+pauseMax {
			t.Errorf("%v after %s", err, took)
		}
		begun = time.Now()
		want := rpc.Errorf(rpc.Invalid, "no")
		if err := r.deliver(t.Context(), r.leaderOrBest, true, func(context.Context, rpc.Target) error { return want }); !errors.Is(err, want) || time.Since(begun) > 0 {
			t.Errorf("an error of the call itself: %v after %s", err, time.Since(begun))
		}
	})
}

func TestChangesWakeWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, known := newTestRouter(t), false
		time.AfterFunc(3*time.Second, func() { known = true; r.roster.stir() })
		begun := time.Now()
		err := r.deliver(t.Context(), func() (rpc.Target, bool) { return rpc.Target{ID: "x"}, known }, false,
			func(context.Context, rpc.Target) error { return nil })
		if err != nil || time.Since(begun) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// A connection that breaks under way leaves it open whether the call was carried out: only what may be repeated is.
func TestBrokenConnections(t *testing.T) {
	for name, c := range map[string]struct{ sent, repeatable, again bool }{
		"not sent":             {false, false, true},
		"sent":                 {true, false, false},
		"sent, but repeatable": {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTestRouter(t)
				var asked []string
				err := r.deliver(t.Context(), r.leaderOrBest, c.repeatable, func(_ context.Context, to rpc.Target) error {
					if asked = append(asked, to.ID); len(asked) == 1 {
						return &rpc.ConnError{Target: to, Sent: c.sent, Err: io.EOF}
					}
					return nil
				})
				if !c.again {
					if len(asked) != 1 || rpc.CodeOf(err) != rpc.CodeOf(state.ErrUncertain) {
						t.Errorf("asked %v, then %v", asked, err)
					}
				} else if err != nil || len(asked) != 2 || asked[0] != "id-1" || asked[1] != "id-2" {
					t.Errorf("asked %v, then %v", asked, err)
				}
			})
		})
	}
}

func TestCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRouter(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.deliver(ctx, r.leaderOrBest, true, func(context.Context, rpc.Target) error { return state.ErrNoLeader }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		begun := time.Now()
		err := r.deliver(t.Context(), r.leaderOrBest, true, func(ctx context.Context, _ rpc.Target) error { <-ctx.Done(); return ctx.Err() })
		if rpc.CodeOf(err) != rpc.Internal || time.Since(begun) != r.timeout {
			t.Errorf("a server that does not answer: %v after %s", err, time.Since(begun))
		}
		r.limit = rate.NewLimiter(1, 1)
		do := func() error {
			return r.deliver(t.Context(), r.leaderOrBest, true, func(context.Context, rpc.Target) error { return nil })
		}
		if err := do(); err != nil {
			t.Error(err)
		}
		if err := do(); rpc.CodeOf(err) != rpc.Limited {
			t.Errorf("beyond the rate: %v", err)
		}
	})
}
