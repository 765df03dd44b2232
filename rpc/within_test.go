package rpc_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

// Calls end when their times do, each by its own, whichever was made first.
func TestCallsEndWithin(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		begun := time.Now()
		var calls sync.WaitGroup
		for _, length := range []time.Duration{3, 1, 2, 2} {
			calls.Go(func() {
				ctx, free := rpc.Within(p.Context(), length*time.Second)
				defer free()
				if _, err := p.call(ctx, "Wait", make([]byte, 100_000)); !errors.Is(err, context.DeadlineExceeded) {
					p.Errorf("the caller gets %v", err)
				}
				if took := time.Since(begun); took != length*time.Second {
					p.Errorf("a call within %d s took %v", length, took)
				}
			})
		}
		for range 4 {
			if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				p.Errorf("the handler gets %v", err)
			}
		}
		calls.Wait()
		p.answers()
	})
}

func TestACallEndsBeforeItsTimeWithItsParent(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		parent, cancel := context.WithCancel(p.Context())
		time.AfterFunc(time.Second, cancel)
		ctx, free := rpc.Within(parent, time.Minute)
		defer free()
		within(p, time.Second, func() {
			if _, err := p.call(ctx, "Wait", nil); !errors.Is(err, context.Canceled) {
				p.Errorf("the caller gets %v", err)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				p.Errorf("the handler gets %v", err)
			}
		})
		sooner, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		ctx, free = rpc.Within(sooner, time.Minute)
		defer free()
		within(p, time.Second, func() {
			if _, err := p.call(ctx, "Wait", nil); !errors.Is(err, context.DeadlineExceeded) {
				p.Errorf("the caller gets %v", err)
			}
			<-ended
		})
	})
}

// For whoever asks, it is a context like others.
func TestWithinIsAContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "x"))
		for _, asked := range []bool{false, true} {
			ctx, free := rpc.Within(parent, time.Second)
			if asked {
				derived, stop := context.WithCancel(ctx)
				defer stop()
				time.AfterFunc(2*time.Second, func() {
					if !errors.Is(derived.Err(), context.DeadlineExceeded) {
						t.Errorf("what is made from it ends with %v", derived.Err())
					}
				})
			}
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != time.Second || ctx.Value(key{}) != "x" || ctx.Err() != nil {
				t.Errorf("until %v; %v", at, ctx.Err())
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("ended with %v", ctx.Err())
			}
			<-ctx.Done()
			free()
			time.Sleep(2 * time.Second)
		}
		freed, free := rpc.Within(parent, time.Hour)
		free()
		if <-freed.Done(); !errors.Is(freed.Err(), context.Canceled) {
			t.Errorf("freed: %v", freed.Err())
		}
		ctx, free := rpc.Within(parent, time.Hour)
		defer free()
		cancel()
		if <-ctx.Done(); !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("canceled: %v", ctx.Err())
		}
	})
}
