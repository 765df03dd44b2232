package view

import (
	"context"
	"sync"
	"time"

	"lictor/state"
)

// An outcome is what a question to the servers has led to.
type outcome struct {
	result *Result
	meta   state.ReadMeta
	err    error
}

// flights lets all who ask the same at the same moment share one question to the servers. A caller only rides on a
// question that begins after it has come.
type flights struct {
	mu      sync.Mutex // guards what follows
	running int
	next    *flight // not begun yet
}

// A flight is one question for several callers.
type flight struct {
	done   chan struct{}
	out    outcome // set before done is closed
	ctx    context.Context
	cancel context.CancelFunc
	riders int         // guarded by flights.mu
	late   *time.Timer // begins the flight although another one is still under way
}

// patience is how long a question waits for the one before it: a server that hangs holds up only those who have asked it.
const patience = 20 * time.Millisecond

// join blocks until a question that began after the call is answered, or ctx is done. A question for one is asked by its
// caller, one for several by a goroutine of its own, which the end of the views or the last caller's going away ends.
func (f *flights) join(ctx context.Context, v *Views, ask func(context.Context) outcome) outcome {
	f.mu.Lock()
	if f.running == 0 {
		f.running++
		f.mu.Unlock()
		defer f.landed(v, ask)
		return alone(ctx, v, ask)
	}
	mine := f.next
	if mine == nil {
		mine = &flight{done: make(chan struct{})}
		mine.ctx, mine.cancel = context.WithCancel(v.ctx)
		mine.late = time.AfterFunc(patience, func() { f.depart(mine, v, ask) })
		f.next = mine
	}
	mine.riders++
	f.mu.Unlock()
	select {
	case <-mine.done:
		return mine.out
	case <-ctx.Done():
		f.leave(mine)
		return outcome{err: ctx.Err()}
	}
}

// alone asks for one caller, whose ctx ends it, as the end of the views does.
func alone(ctx context.Context, v *Views, ask func(context.Context) outcome) outcome {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(v.ctx, cancel)()
	return ask(ctx)
}

// landed lets the next question begin, if there is one.
func (f *flights) landed(v *Views, ask func(context.Context) outcome) {
	f.mu.Lock()
	f.running--
	next := f.next
	f.mu.Unlock()
	if next != nil {
		f.depart(next, v, ask)
	}
}

// depart begins a question, unless it has begun or nobody waits for it any more.
func (f *flights) depart(mine *flight, v *Views, ask func(context.Context) outcome) {
	f.mu.Lock()
	if f.next != mine {
		f.mu.Unlock()
		return
	}
	f.next = nil
	f.running++
	f.mu.Unlock()
	mine.late.Stop()
	fly := func() {
		mine.out = ask(mine.ctx)
		mine.cancel()
		close(mine.done)
		f.landed(v, ask)
	}
	if !v.spawn(fly) {
		mine.out = outcome{err: state.ErrStopped}
		mine.cancel()
		close(mine.done)
		f.landed(v, ask)
	}
}

// leave ends a question that nobody waits for any more.
func (f *flights) leave(mine *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mine.riders--; mine.riders > 0 {
		return
	}
	mine.cancel()
	if f.next == mine {
		mine.late.Stop()
		f.next = nil
	}
}
