package local

import (
	"context"
	"maps"
	"slices"
	"time"
)

// settleTimeout bounds how long a change over HTTP waits for the catalog.
const settleTimeout = 2 * time.Second

// settle blocks until the catalog has what is dirty now, so that who has registered a service finds it there. It does
// not wait for longer than it takes to see that the catalog cannot be written.
func (s *State) settle(ctx context.Context) {
	s.mu.Lock()
	mine := slices.Collect(maps.Keys(s.table.dirty))
	s.mu.Unlock()
	if len(mine) == 0 || s.stop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		s.mu.Lock()
		round := s.syncer.round
		waits := slices.ContainsFunc(mine, func(k key) bool { _, dirty := s.table.dirty[k]; return dirty })
		waits = waits && !s.stopped && !round.stuck
		s.mu.Unlock()
		if !waits {
			return
		}
		select {
		case <-round.done:
			if round.err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// A round is one go of the syncer. Its error is set before done is closed.
type round struct {
	stuck bool // the one before failed, so this one comes late
	done  chan struct{}
	err   error
}

// finish ends the round and begins the next one.
func (s *syncer) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round.err = err
	close(s.round.done)
	s.round = &round{stuck: err != nil, done: make(chan struct{})}
}
