package session

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"

	"lictor/state"
	"lictor/telemetry"
)

// Expiry ends sessions that are not renewed in time. It works on the leader, in memory alone: a new leader lets every
// session live for its whole time again. As Consul does, it waits for twice the TTL, which is only the shortest time
// that a client can rely on. NewExpiry makes one; nil knows of no TTLs.
type Expiry struct {
	log    state.Log
	logger *slog.Logger
	ended  *telemetry.Sample // session_ttl.invalidate: how long it takes to end sessions
	wake   chan struct{}     // holds one token if the first deadline is nearer than it was

	mu     sync.Mutex // guards what follows
	timers map[string]*timer
	queue  deadlines
}

// A timer is the deadline of one session. One that is out of the queue is being acted on.
type timer struct {
	id    string
	at    time.Time
	place int // in the queue; -1 if it is not there
}

const (
	graceFactor = 2                // times the TTL
	retryEnd    = time.Second      // after an attempt to end sessions has failed
	rescan      = 10 * time.Second // after which sessions are found that came with a snapshot
)

// NewExpiry makes an Expiry that does nothing until Run.
func NewExpiry(log state.Log, logger *slog.Logger, metrics *telemetry.Registry) *Expiry {
	e := &Expiry{log: log, logger: logger, ended: metrics.Sample("session_ttl.invalidate"), wake: make(chan struct{}, 1)}
	metrics.GaugeFunc("session_ttl.active", func() float64 { return float64(e.active()) })
	return e
}

// active is how many sessions with a TTL there are, as far as this server looks after them.
func (e *Expiry) active() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.timers)
}

// Run ends sessions from now on until ctx is done, which it blocks for. The leader runs it.
func (e *Expiry) Run(ctx context.Context) {
	e.mu.Lock()
	e.timers, e.queue = map[string]*timer{}, nil
	e.mu.Unlock()
	defer e.stop()
	e.load()
	look := time.NewTicker(rescan)
	defer look.Stop()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		alarm.Reset(e.next())
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-look.C:
			e.load()
		case <-alarm.C:
			e.end(ctx, e.due(time.Now()))
		}
	}
}

func (e *Expiry) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timers, e.queue = nil, nil
}

// load sets timers for the sessions that have none yet.
func (e *Expiry) load() {
	now := time.Now()
	for s := range Sessions.All(e.log.DB().Read().Unwatched()) {
		ttl := s.ttl()
		if ttl <= 0 {
			continue
		}
		e.mu.Lock()
		if e.timers[s.ID] == nil {
			e.set(s.ID, now.Add(graceFactor*ttl))
		}
		e.mu.Unlock()
	}
}

// Reset gives a session its whole time again. It tells whether that was in time: a session that is being ended cannot
// be saved any more.
func (e *Expiry) Reset(s *Session) bool {
	ttl := s.ttl()
	if e == nil || ttl <= 0 {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timers == nil { // Run will find it
		return true
	}
	if t := e.timers[s.ID]; t != nil && t.place < 0 {
		return false
	}
	e.set(s.ID, time.Now().Add(graceFactor*ttl))
	return true
}

// set puts the deadline of a session into the queue, or moves it there. The caller holds mu.
func (e *Expiry) set(id string, at time.Time) {
	t := e.timers[id]
	switch {
	case t == nil:
		t = &timer{id: id, at: at}
		e.timers[id] = t
		heap.Push(&e.queue, t)
	case t.place < 0:
		t.at = at
		heap.Push(&e.queue, t)
	default:
		t.at = at
		heap.Fix(&e.queue, t.place)
	}
	if t.place == 0 {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// next is how long it is until the first deadline.
func (e *Expiry) next() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return rescan
	}
	return max(0, time.Until(e.queue[0].at))
}

// due takes out of the queue what is over.
func (e *Expiry) due(now time.Time) []string {
	tx := e.log.DB().Read().Unwatched()
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for len(e.queue) > 0 && !e.queue[0].at.After(now) {
		t := heap.Pop(&e.queue).(*timer)
		if Find(tx, t.id) == nil {
			delete(e.timers, t.id)
			continue
		}
		ids = append(ids, t.id)
	}
	return ids
}

// end ends sessions, or tries again later.
func (e *Expiry) end(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	defer e.ended.Since(time.Now())
	_, err := e.log.Apply(ctx, &Destroy{IDs: ids})
	if err != nil && ctx.Err() == nil {
		e.logger.Warn("failed to end sessions whose TTL is over", "sessions", len(ids), "error", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		if err != nil {
			e.set(id, time.Now().Add(retryEnd))
		} else {
			delete(e.timers, id)
		}
	}
}

// deadlines is a heap of timers, the nearest first.
type deadlines []*timer

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	t := x.(*timer)
	t.place = len(*d)
	*d = append(*d, t)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	t := old[len(old)-1]
	t.place = -1
	*d = old[:len(old)-1]
	return t
}
