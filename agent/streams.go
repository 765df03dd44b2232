package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"lictor/rpc"
	"lictor/view"
)

// A streams holds what a client agent follows at servers. What was opened at one server stays there while others come or another
// one begins to lead, and would stay for as long as it is read: so now and then some of it moves to where it would be opened now.
// A few at a time do, and each agent at moments of its own, so that no server is asked for everything at once.
type streams struct {
	mu  sync.Mutex // guards all
	all map[*stream]struct{}
}

// A stream is followed at one server.
type stream struct {
	choose func() (rpc.Target, bool)
	server string // id
	leave  context.CancelCauseFunc
}

const (
	balanceTime = 2 * time.Minute // between moves, at least; half as long again at most
	balancePart = 4               // of all streams, one in so many moves at once
	balanceMin  = 16              // or so many, if that is more
)

// attach follows something at the server that is chosen until that ends, or ends with view.ErrMoved so that it is attached anew.
func (s *streams) attach(ctx context.Context, choose func() (rpc.Target, bool), follow func(ctx context.Context, t rpc.Target) error) error {
	t, ok := choose()
	if !ok {
		return errNoServers
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	here := &stream{choose, t.ID, leave}
	s.add(here)
	defer s.remove(here)
	err := follow(ctx, t)
	if errors.Is(context.Cause(ctx), view.ErrMoved) {
		return view.ErrMoved
	}
	return err
}

func (s *streams) add(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[st] = struct{}{}
}

func (s *streams) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, st)
}

// balance moves streams until ctx ends.
func (s *streams) balance(ctx context.Context) {
	for sleep(ctx, nil, balanceTime+rand.N(balanceTime/2)) {
		s.move()
	}
}

// move lets some of the streams go that would be opened elsewhere now.
func (s *streams) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := max(balanceMin, len(s.all)/balancePart)
	for st := range s.all {
		if t, ok := st.choose(); !ok || t.ID == st.server {
			continue
		}
		st.leave(view.ErrMoved)
		if left--; left == 0 {
			return
		}
	}
}
