package raftstore

import (
	"context"
	"sync"
	"sync/atomic"
)

// progress is how far something has come in the log.
type progress struct {
	at atomic.Uint64

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed at the next change of at; nil if nobody waits
}

// set moves to an index and wakes who waits for one.
func (p *progress) set(index uint64) {
	p.at.Store(index)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// await blocks until an index is reached.
func (p *progress) await(ctx context.Context, index uint64) error {
	for {
		reached, changed := p.look(index)
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look tells whether an index is reached, else what is closed when it may be.
func (p *progress) look(index uint64) (reached bool, changed <-chan struct{}) {
	if p.at.Load() >= index {
		return true, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.at.Load() >= index, p.changed // it may have come between the two looks
}
