package health

import (
	"sync"
	"time"

	"lictor/catalog"
)

// A reaper knows since when a check is critical, and wakes when that has been so for too long.
type reaper struct {
	mu    sync.Mutex // guards what follows; nothing is called while it is held
	since time.Time  // zero unless critical
	timer *time.Timer
	ended bool
}

// CriticalSince tells since when the reports of a check have been critical without a break; ok is false if the last was
// not, or if there is none. The state that a check begins with does not count: it is no evidence against a service that
// has just been registered, and a check that waits for its first run must not cost it its place.
func (s *Scheduler) CriticalSince(id string) (since time.Time, ok bool) {
	s.mu.Lock()
	e := s.checks[id]
	s.mu.Unlock()
	if e == nil {
		return time.Time{}, false
	}
	e.reaper.mu.Lock()
	defer e.reaper.mu.Unlock()
	return e.reaper.since, !e.reaper.since.IsZero()
}

// watch notes a status of an entry, and starts or ends the time after which its service is to go.
func (s *Scheduler) watch(e *entry, status string) {
	r := &e.reaper
	r.mu.Lock()
	defer r.mu.Unlock()
	if status != catalog.Critical {
		r.since = time.Time{}
		r.disarm()
		return
	}
	if !r.since.IsZero() || r.ended {
		return
	}
	r.since = time.Now()
	if e.Definition.DeregisterCriticalServiceAfter > 0 && e.ServiceID != "" && s.conf.Reap != nil {
		after := max(time.Duration(e.Definition.DeregisterCriticalServiceAfter), MinReap)
		r.timer = time.AfterFunc(after, func() { s.reap(e, after) })
	}
}

// reap says that a service is to go, if its check is still critical, and keeps saying so until the check is removed.
func (s *Scheduler) reap(e *entry, after time.Duration) {
	if !s.begin(e) {
		return
	}
	defer s.running.Done()
	if !e.reaper.due(after) {
		return
	}
	s.conf.Reap(e.ServiceID, e.ID)
	e.reaper.rearm(after)
}

// due tells whether the check has been critical that long; a timer may fire while the status changes.
func (r *reaper) due(after time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended && !r.since.IsZero() && time.Since(r.since) >= after
}

func (r *reaper) rearm(after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil && !r.ended {
		r.timer.Reset(after)
	}
}

func (r *reaper) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.disarm()
}

// disarm stops the timer. The caller holds mu.
func (r *reaper) disarm() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}
