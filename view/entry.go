package view

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lictor/state"
)

// An entry is the live result of one query with one set of arguments for one kind of reader.
type entry struct {
	views   *Views
	key     key
	query   *query
	eval    func(*state.Tx) (any, uint64, error)
	keySize int64 // bytes of key that the views count
	used    atomic.Bool
	current atomic.Pointer[Result]

	mu      sync.Mutex // guards what follows, and replacing current
	waiters int
	cancel  context.CancelFunc // ends the goroutine that watches; set while that runs
	failed  error              // of the last evaluation, if that failed
	gone    bool               // forgotten by the views
}

// fresh returns the result, evaluated anew if what it was made of has changed.
func (e *entry) fresh() (*Result, error) {
	if r := e.current.Load(); r != nil && r.Fresh() {
		return r, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refresh()
}

// refresh evaluates the query unless the result is fresh. The caller holds e.mu.
func (e *entry) refresh() (*Result, error) {
	old := e.current.Load()
	if old != nil && old.Fresh() {
		return old, nil
	}
	return e.renew(old)
}

// renew evaluates the query after old, which may be nil. The caller holds e.mu. It has a frame of its own, for the sake of the
// many who wait and need not evaluate anything.
func (e *entry) renew(old *Result) (*Result, error) {
	tx := e.views.Log.DB().Read()
	value, index, err := e.eval(tx)
	e.failed = err
	if err != nil {
		return nil, err
	}
	r := &Result{value: value, index: max(index, tx.Floor(), 1), watch: tx.Watch(), changed: make(chan struct{}), views: e.views,
		query: e.query, tag: e.views.nextTag()}
	if old != nil {
		r.follow(old, e.waiters > 0)
	}
	if e.gone {
		r.size.Store(-1)
	}
	e.current.Store(r)
	e.rewatch()
	if old != nil {
		old.release()
		if r.changed != old.changed {
			close(old.changed)
		}
	}
	return r, nil
}

// wait blocks until the result's index is above least, the time is over or ctx is done, and returns the result; or until
// ended is closed, as the reader's token has to be looked at before it is given anything, and then returns nil.
func (e *entry) wait(ctx context.Context, least uint64, limit time.Duration, ended <-chan struct{}) (*Result, error) {
	r, err := e.join()
	if err != nil {
		return nil, err
	}
	defer e.leave()
	if r.index > least {
		return r, nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for r.index <= least {
		select {
		case <-r.changed:
		case <-ended:
			return nil, nil
		case <-timer.C:
			return e.fresh()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.views.ctx.Done():
			return nil, state.ErrStopped
		}
		if isClosed(ended) { // in the same moment
			return nil, nil
		}
		if r, err = e.latest(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// latest is the current result, or the error that came in its place.
func (e *entry) latest() (*Result, error) {
	if r := e.current.Load(); r != nil {
		return r, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		return nil, e.failed
	}
	return e.refresh()
}

// join adds a waiter. The first one starts the goroutine that watches for all.
func (e *entry) join() (*Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.refresh()
	if err != nil {
		return nil, err
	}
	e.waiters++
	e.views.Counts.Blocking.Add(1)
	e.rewatch()
	return r, nil
}

func (e *entry) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.views.Counts.Blocking.Add(-1)
	if e.waiters--; e.waiters == 0 {
		e.unwatch()
	}
}

// rewatch starts the goroutine that watches, if somebody waits and it does not run. The caller holds e.mu.
func (e *entry) rewatch() {
	if e.waiters == 0 || e.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(e.views.ctx)
	if !e.views.spawn(func() { e.watch(ctx) }) {
		cancel()
		return
	}
	e.cancel = cancel
}

// unwatch stops the goroutine that watches. The caller holds e.mu.
func (e *entry) unwatch() {
	if e.cancel != nil {
		e.cancel()
		e.cancel = nil
	}
}

// watch evaluates the query after each change while somebody waits. The last waiter to leave stops it.
func (e *entry) watch(ctx context.Context) {
	for {
		r := e.current.Load()
		if r == nil || r.watch.Wait(ctx) != nil || !e.advance(ctx) {
			return
		}
	}
}

// advance evaluates the query for those who wait. If that fails all of them get the error.
func (e *entry) advance(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if _, err := e.refresh(); err == nil {
		return true
	}
	e.unwatch()
	r := e.current.Swap(nil) // it may be younger than what was watched
	r.release()
	close(r.changed)
	return false
}

// unused tells whether nobody has asked since it was last called.
func (e *entry) unused() bool { return !e.used.Swap(false) }

// forget drops the entry from the views unless somebody waits on it.
func (e *entry) forget() {
	if !e.mu.TryLock() {
		return // in use
	}
	defer e.mu.Unlock()
	if e.waiters > 0 || e.gone {
		return
	}
	e.gone = true
	if r := e.current.Load(); r != nil {
		r.release()
	}
	e.views.drop(e.key, e.keySize)
}
