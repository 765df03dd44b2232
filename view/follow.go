package view

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"lictor/rpc"
	"lictor/state"
)

// A mirror follows a result while somebody waits for it or goes on reading it. One goroutine does so for all; it ends
// when the mirror is idle, when the servers refuse, or with the views.
//
//	apart -- first reader --> connecting -- answer --> live -- server lost --> broken
//	  ^                           |                      ^                       |
//	  +-- idle, refused, stopped -+----------------------+------- answer -------+
//
// Between two attempts it pauses, for longer each time.
const (
	shortPause = 50 * time.Millisecond
	longPause  = 3 * time.Second
)

// state tells the phase, what is closed when that changes, and why following has ended or is broken.
func (m *mirror) state() (phase int32, turned <-chan struct{}, failed error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.phase.Load(), m.turned, m.failed
}

// turn changes the phase and wakes who waits for that. The caller holds m.mu.
func (m *mirror) turn(phase int32, why error) {
	m.failed = why
	if m.phase.Swap(phase) != phase || phase == broken {
		close(m.turned)
		m.turned = make(chan struct{})
	}
}

// begin makes the mirror follow its result for readers who do not wait, unless too many are followed already.
func (m *mirror) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cancel != nil {
		return true
	}
	return !m.gone && m.views.mayFollow() && m.start()
}

// mayFollow tells whether there is room to follow one more result.
func (v *Views) mayFollow() bool {
	if v.followed.Load() >= v.MaxFollowed {
		v.thin()
	}
	return v.followed.Load() < v.MaxFollowed && v.bytes.Load() <= v.MaxBytes
}

// thinning is how often room is made: names that somebody makes up, each asked for once, do not keep out those that are
// asked for again and again.
const thinning = time.Second

// thin stops following what was read only once since its idleness was last looked at.
func (v *Views) thin() {
	last, now := v.thinned.Load(), int64(v.clock())
	if now-last < int64(thinning) || !v.thinned.CompareAndSwap(last, now) {
		return
	}
	v.entries.Range(func(_, value any) bool {
		if m, ok := value.(*mirror); ok && m.mu.TryLock() {
			if m.waiters == 0 && !m.touched.Load() {
				m.halt(nil)
			}
			m.mu.Unlock()
		}
		return true
	})
}

// join adds a reader who waits. It fails if the views have been stopped.
func (m *mirror) join() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cancel == nil && !m.start() {
		return false
	}
	m.waiters++
	return true
}

func (m *mirror) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touched.Store(true)
	if m.waiters--; m.waiters == 0 && m.gone {
		m.halt(nil)
	}
}

// start starts the goroutine that follows. The caller holds m.mu.
func (m *mirror) start() bool {
	ctx, cancel := context.WithCancel(m.views.ctx)
	if !m.views.spawn(func() { m.follow(ctx) }) {
		cancel()
		return false
	}
	m.cancel = cancel
	m.views.followed.Add(1)
	m.idle = time.AfterFunc(m.views.FollowIdle, func() { m.rest(ctx) })
	m.turn(connecting, nil)
	return true
}

// halt stops the goroutine that follows, if it runs. The caller holds m.mu.
func (m *mirror) halt(why error) {
	if m.cancel == nil {
		return
	}
	m.cancel()
	m.cancel = nil
	m.idle.Stop()
	m.views.followed.Add(-1)
	m.turn(apart, why)
}

// rest stops following if nobody has read what is followed since this was last looked at.
func (m *mirror) rest(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case m.waiters > 0 || m.touched.Swap(false):
		m.idle.Reset(m.views.FollowIdle)
	default:
		m.halt(nil)
	}
}

// follow follows one server after the other until ctx ends or they refuse.
func (m *mirror) follow(ctx context.Context) {
	for pause := shortPause; ; pause = min(2*pause, longPause) {
		heard, err := m.attend(ctx)
		if !m.lose(ctx, err) {
			return
		}
		if heard {
			pause = shortPause
		}
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			m.lose(ctx, ctx.Err())
			return
		}
	}
}

// errBehind tells that what a stream delivers is older than what is held.
var errBehind = errors.New("a server is behind")

// attend follows one server, and tells whether it has heard from it.
func (m *mirror) attend(ctx context.Context) (heard bool, err error) {
	had := m.current.Load()
	err = m.views.Source.Follow(ctx, m.asking(state.ReadOptions{}, had), func(p *Packed) error {
		// The first answer is fresh. What comes later may cross with what a reader has fetched from another server.
		_, older, err := m.take(p, had, !heard)
		if err == nil && older && heard {
			err = errBehind
		}
		if err != nil {
			return err
		}
		had, heard = m.current.Load(), true
		return m.hear(ctx)
	})
	return heard, err
}

// hear notes that what is held is what the server has.
func (m *mirror) hear(ctx context.Context) error {
	if m.phase.Load() == live {
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() == nil {
		m.turn(live, nil)
	}
	return ctx.Err()
}

// lose notes that a server is followed no more, and tells whether another one is to be.
func (m *mirror) lose(ctx context.Context, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		if m.views.ctx.Err() != nil {
			m.halt(state.ErrStopped)
		}
		return false
	case err != nil && (!brief(err) || m.current.Load() == nil && rpc.CodeOf(err) == rpc.NoDatacenter):
		m.refuse(err)
		return false
	}
	if m.phase.Load() == live {
		m.good.Store(int64(m.views.clock()))
	}
	m.turn(broken, err)
	return true
}

// refuse ends following because the servers do not answer this. What they once said may not be shown any more: it is
// taken away from all who read it. The caller holds m.mu.
func (m *mirror) refuse(err error) {
	m.halt(err)
	if r := m.current.Swap(nil); r != nil {
		r.release()
		close(r.changed)
	}
}
