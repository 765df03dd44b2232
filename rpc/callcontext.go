package rpc

import (
	"context"
	"sync"
	"time"
)

// A callContext is the context of one call. It has neither channel nor timer until somebody asks for Done, which most
// handlers never do. It implements AfterFunc, so that contexts made from it need no goroutine.
type callContext struct {
	deadline time.Time // zero: none

	mu    sync.Mutex // guards what follows
	err   error
	done  chan struct{}
	timer *time.Timer
	after map[*func()]bool // to be called at the end
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *callContext) Value(any) any { return nil }

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		c.watch()
	}
	return c.done
}

// watch sees to it that an end is told. The caller has locked mu.
func (c *callContext) watch() {
	switch {
	case c.err != nil:
		c.tell()
	case c.timer == nil && !c.deadline.IsZero():
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.cancel(context.DeadlineExceeded) })
	}
}

// tell tells the end to who waits for it. The caller has locked mu.
func (c *callContext) tell() {
	if c.done != nil {
		close(c.done)
	}
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.err = context.DeadlineExceeded
		c.tell()
	}
	return c.err
}

// AfterFunc calls f on a goroutine of its own when the context has ended, unless stop has been called before.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = map[*func()]bool{}
	}
	c.after[&f] = true
	c.watch()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := c.after[&f]
		delete(c.after, &f)
		return stopped
	}
}

// cancel ends the context, unless it has ended.
func (c *callContext) cancel(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.tell()
	}
}
