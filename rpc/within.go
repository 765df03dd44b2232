package rpc

import (
	"context"
	"sync"
	"time"
)

// Within returns ctx with an end after d, and what frees it, which is to be called once nobody waits any more. Unlike
// context.WithTimeout it takes no timer for a call: the connection watches over all deadlines with one.
func Within(ctx context.Context, d time.Duration) (bounded context.Context, free func()) {
	b := &within{Context: ctx, deadline: time.Now().Add(d)}
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(b.deadline) {
		b.deadline = sooner
	}
	return b, b.free
}

// A within has neither channel nor timer of its own until somebody asks for Done.
type within struct {
	context.Context
	deadline time.Time

	mu     sync.Mutex // guards what follows
	inner  context.Context
	cancel func()
	freed  bool
}

func (b *within) Deadline() (time.Time, bool) { return b.deadline, true }

func (b *within) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inner == nil {
		b.inner, b.cancel = context.WithDeadline(b.Context, b.deadline)
		if b.freed {
			b.cancel()
		}
	}
	return b.inner.Done()
}

// Value lets contexts that are made from b be told of its end by inner itself.
func (b *within) Value(key any) any {
	b.mu.Lock()
	inner := b.inner
	b.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return b.Context.Value(key)
}

func (b *within) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inner != nil {
		return b.inner.Err()
	}
	if err := b.Context.Err(); err != nil {
		return err
	}
	if b.freed {
		return context.Canceled
	}
	if !time.Now().Before(b.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func (b *within) free() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed = true
	if b.cancel != nil {
		b.cancel()
	}
}

// ending is what a waiting call has to watch: a channel, and a deadline that the connection watches, or the zero time.
func ending(ctx context.Context) (<-chan struct{}, time.Time) {
	if b, ok := ctx.(*within); ok {
		return b.Context.Done(), b.deadline
	}
	return ctx.Done(), time.Time{}
}
