package health

import (
	"fmt"
	"time"

	"lictor/catalog"
)

// What a TTL check says when nobody has told of it in time.
const (
	ttlExpired     = "TTL expired"
	ttlExpiredLast = "TTL expired (last output before timeout follows): %s"
)

// startTTL sets the time after which a check is critical unless it is told of.
func startTTL(s *Scheduler, e *entry) error {
	left := time.Duration(e.Definition.TTL)
	if e.Remaining > 0 {
		left = min(left, e.Remaining)
	}
	e.deadline = time.Now().Add(left)
	e.timer = time.AfterFunc(left, func() { s.expire(e) })
	return nil
}

// SetTTL reports a new status and output of a TTL check, which are good for its TTL from now on. It fails if there is no
// TTL check of that id. The caller must not hold a lock that the check's Report takes.
func (s *Scheduler) SetTTL(id, status, output string) error {
	s.mu.Lock()
	e := s.checks[id]
	s.mu.Unlock()
	if e == nil || e.Definition.Type() != catalog.TypeTTL {
		return fmt.Errorf("CheckID %q does not have associated TTL", id)
	}
	e.reporting.Lock()
	defer e.reporting.Unlock()
	ttl := time.Duration(e.Definition.TTL)
	e.deadline = time.Now().Add(ttl)
	s.again(e, ttl)
	s.report(e, status, output)
	return nil
}

// expire makes a check critical that nobody has told of in time.
func (s *Scheduler) expire(e *entry) {
	if !s.begin(e) {
		return
	}
	defer s.running.Done()
	e.reporting.Lock()
	defer e.reporting.Unlock()
	if time.Now().Before(e.deadline) { // it was told of while the timer fired
		return
	}
	text := ttlExpired
	if e.output != "" {
		text = fmt.Sprintf(ttlExpiredLast, e.output)
	}
	s.report(e, catalog.Critical, text)
}
