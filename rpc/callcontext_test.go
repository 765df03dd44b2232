package rpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ends are the ways in which a call's context ends, a second after they are called.
var ends = map[string]struct {
	new func() *callContext
	err error
}{
	"canceled": {func() *callContext {
		c := new(callContext)
		time.AfterFunc(time.Second, func() { c.cancel(context.Canceled) })
		return c
	}, context.Canceled},
	"deadline": {func() *callContext { return &callContext{deadline: time.Now().Add(time.Second)} }, context.DeadlineExceeded},
	"both": {func() *callContext {
		c := &callContext{deadline: time.Now().Add(time.Second)}
		time.AfterFunc(2*time.Second, func() { c.cancel(context.Canceled) })
		return c
	}, context.DeadlineExceeded},
}

func TestCallContextEnds(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := end.new()
				derived, cancel := context.WithTimeout(c, time.Hour)
				defer cancel()
				var called atomic.Bool
				context.AfterFunc(c, func() { called.Store(true) })
				stop := context.AfterFunc(c, func() { t.Error("called though stopped") })
				if !stop() || stop() {
					t.Error("stop does not tell the truth")
				}
				late := end.new() // nobody asks for Done
				time.Sleep(time.Second - 1)
				synctest.Wait()
				if c.Err() != nil || late.Err() != nil || called.Load() {
					t.Error("ends too early")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !errors.Is(late.Err(), end.err) {
					t.Errorf("the error is %v", late.Err())
				}
				for _, ctx := range []context.Context{c, derived, late} {
					<-ctx.Done()
					if !errors.Is(ctx.Err(), end.err) || !errors.Is(context.Cause(ctx), end.err) {
						t.Errorf("%v, because of %v", ctx.Err(), context.Cause(ctx))
					}
				}
				if !called.Load() {
					t.Error("the function was not called")
				}
				if c.AfterFunc(func() { called.Store(false) })() {
					t.Error("stopped what has been called")
				}
				synctest.Wait()
				if called.Load() {
					t.Error("a function was not called after the end")
				}
				time.Sleep(time.Hour)
				if !errors.Is(c.Err(), end.err) {
					t.Errorf("the error has become %v", c.Err())
				}
			})
		})
	}
}

// What nobody waits for costs nothing.
func TestCallContextIsCheap(t *testing.T) {
	c := &callContext{deadline: time.Now().Add(time.Hour)}
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := c.Deadline(); !ok || c.Err() != nil || c.Value("x") != nil {
			t.Error("wrong answers")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	c.cancel(context.Canceled)
	if c.done != nil || c.timer != nil {
		t.Error("there are a channel and a timer that nobody asked for")
	}
}

func TestWatch(t *testing.T) {
	const fine, ping, dead, stalled = verdictFine, verdictPing, verdictDead, verdictStalled
	type tick struct {
		heard, busy bool
		writes      uint32
	}
	quiet, idle, heard := tick{busy: true}, tick{}, tick{heard: true, busy: true}
	var silence []tick
	var patience []verdict
	for range idleTicks - 1 {
		silence, patience = append(silence, idle), append(patience, fine)
	}
	cases := map[string]struct {
		ticks    []tick
		verdicts []verdict
	}{
		"answers":      {[]tick{quiet, heard, quiet, heard, quiet, quiet, heard}, []verdict{ping, fine, ping, fine, ping, ping, fine}},
		"dies":         {[]tick{heard, quiet, quiet, quiet}, []verdict{fine, ping, ping, dead}},
		"dies idle":    {append(silence, idle, idle, idle), append(patience, ping, ping, dead)},
		"idle, a call": {append(silence, quiet, quiet, quiet), append(patience, ping, ping, dead)},
		"stalled": {[]tick{{true, true, 3}, {true, true, 3}, {true, true, 3}, {true, true, 3}, {true, true, 3}, {true, true, 3}},
			[]verdict{fine, fine, fine, fine, fine, stalled}},
		"slow": {[]tick{{true, true, 3}, {true, true, 3}, {true, true, 3}, {true, true, 3}, {true, true, 5}, {true, true, 5}, {true, true, 6}, {true, true, 6}},
			[]verdict{fine, fine, fine, fine, fine, fine, fine, fine}},
	}
	for name, c := range cases {
		var w watch
		for i, k := range c.ticks {
			if got := w.tick(k.heard, k.busy, k.writes); got != c.verdicts[i] {
				t.Errorf("%s: tick %d is judged %v, not %v", name, i, got, c.verdicts[i])
			}
		}
	}
}
