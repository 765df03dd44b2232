package raftstore

import (
	"context"
	"sync"
)

// rounds lets all who wait at the same moment share one question. A caller only rides on a question that is asked after
// it has come.
type rounds[T any] struct {
	mu      sync.Mutex // guards what follows
	running bool
	next    *round[T] // not asked yet
}

type round[T any] struct {
	done   chan struct{}
	answer T // set before done is closed, like err
	err    error
}

// join blocks until a question that was asked after the call has been answered.
func (r *rounds[T]) join(ctx context.Context, ask func() (T, error)) (T, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round[T]{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		r.mu.Unlock()
		r.run(ask)
	} else {
		r.mu.Unlock()
	}
	select {
	case <-mine.done:
		return mine.answer, mine.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// run asks one question here, and leaves those that are due after it to a goroutine, which ends with the last.
func (r *rounds[T]) run(ask func() (T, error)) {
	if r.one(ask) {
		go func() {
			for r.one(ask) {
			}
		}()
	}
}

// one asks the next question and tells whether another one is due.
func (r *rounds[T]) one(ask func() (T, error)) (more bool) {
	r.mu.Lock()
	mine := r.next
	r.next = nil
	r.mu.Unlock()
	mine.answer, mine.err = ask()
	close(mine.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = r.next != nil
	return r.running
}
