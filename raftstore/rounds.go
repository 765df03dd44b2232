package raftstore

import (
	"context"
	"sync"
)

// rounds lets all who wait at the same moment share one check of the leadership. A caller only rides on a check that
// begins after it has come.
type rounds struct {
	mu      sync.Mutex // guards what follows
	running bool
	next    *round // not begun yet
}

type round struct {
	done chan struct{}
	err  error // set before done is closed
}

// join blocks until a check that began after the call has ended.
func (r *rounds) join(ctx context.Context, check func() error) error {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		r.mu.Unlock()
		r.run(check)
	} else {
		r.mu.Unlock()
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run makes one check here, and leaves those that were asked for meanwhile to a goroutine, which ends with the last.
func (r *rounds) run(check func() error) {
	if r.one(check) {
		go func() {
			for r.one(check) {
			}
		}()
	}
}

// one makes the next check and tells whether another one has been asked for.
func (r *rounds) one(check func() error) (more bool) {
	r.mu.Lock()
	mine := r.next
	r.next = nil
	r.mu.Unlock()
	mine.err = check()
	close(mine.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = r.next != nil
	return r.running
}
