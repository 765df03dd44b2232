package health

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"lictor/catalog"
)

// A Scheduler runs checks until it is stopped. It may be used from any goroutine.
//
// A check that waits for its next run is one timer of the Go runtime and nothing else. The runtime keeps timers in heaps
// per processor and starts a goroutine when one is due, so ten thousand idle checks have no stacks, no tickers that fire
// for nothing and no heap of our own with a goroutine to guard it. A run takes one of MaxConcurrent places, on the
// goroutine that its timer started; what finds no place free waits in a queue, without a goroutine. The timer is set
// again when the run is over, so that a check never overlaps itself and slow checks do not pile up.
type Scheduler struct {
	environment
	ctx    context.Context // of all that runs; done when the Scheduler is stopped
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows, and the timers of the entries; never held while a check runs or reports
	checks  map[string]*entry
	queue   []*entry // due, and waiting for a place
	workers int      // places taken
	stopped bool

	running sync.WaitGroup // what Stop waits for
}

// An entry is a check that is being run.
type entry struct {
	Check
	ctx    context.Context // done when the check is removed
	cancel context.CancelFunc
	prober prober      // of a check that runs at intervals
	timer  *time.Timer // guarded by Scheduler.mu: the next run, or when a TTL runs out; nil for an alias

	reporting sync.Mutex // serialises results; guards what follows
	handler   StatusHandler
	status    string    // last reported
	output    string    // of a TTL check: last reported
	deadline  time.Time // of a TTL check: when it runs out

	reaper reaper
}

// New makes a Scheduler without checks. Stop ends it.
func New(conf Config) *Scheduler {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.OutputMaxSize <= 0 {
		conf.OutputMaxSize = DefaultOutputMaxSize
	}
	if conf.MaxConcurrent <= 0 {
		conf.MaxConcurrent = DefaultMaxConcurrent
	}
	s := &Scheduler{environment: newEnvironment(conf), checks: map[string]*entry{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Allowed tells why a check must not be registered, as Config.Allowed does.
func (s *Scheduler) Allowed(d *catalog.CheckDefinition, remote bool) error {
	return s.conf.Allowed(d, remote)
}

// Add runs a check from now on, in the place of the one with its id if there is one. The first run comes at a random
// moment within the first interval. Add fails if the definition chooses no type of check, or one that this agent cannot
// run; then nothing has changed. After Stop it does nothing.
func (s *Scheduler) Add(c Check) error {
	k, ok := kindOf(c.Definition)
	if !ok {
		return fmt.Errorf("check %q: no type of check", c.ID)
	}
	return s.add(c, k.start)
}

// add runs a check from now on, as start drives it.
func (s *Scheduler) add(c Check, start func(*Scheduler, *entry) error) error {
	if c.Status == "" {
		c.Status = catalog.Critical
	}
	e := &entry{Check: c, status: c.Status, output: c.Output, handler: StatusHandler{Thresholds: thresholds(c.Definition)}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	e.ctx, e.cancel = context.WithCancel(s.ctx)
	if err := start(s, e); err != nil {
		e.cancel()
		return fmt.Errorf("check %q: %w", c.ID, err)
	}
	s.drop(c.ID)
	s.checks[c.ID] = e
	return nil
}

// Remove ends a check, and the run that it may be in; it does not wait for that. A report that is under way may still
// come. Removing a check that is not there does nothing.
func (s *Scheduler) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
}

// drop ends a check. The caller holds mu.
func (s *Scheduler) drop(id string) {
	if e := s.checks[id]; e != nil {
		delete(s.checks, id)
		e.end()
	}
}

// end stops what drives an entry. The caller holds Scheduler.mu.
func (e *entry) end() {
	e.cancel()
	if e.timer != nil {
		e.timer.Stop()
	}
	e.reaper.end()
}

// Stop ends all checks and waits until nothing runs and nothing is reported any more. It may be called twice.
func (s *Scheduler) Stop() {
	s.mu.Lock()
	s.stopped = true
	for id := range s.checks {
		s.drop(id)
	}
	s.queue = nil
	s.cancel()
	s.mu.Unlock()
	s.running.Wait()
}

// arm sets an entry's first run. The caller holds mu.
func (s *Scheduler) arm(e *entry) {
	e.timer = time.AfterFunc(rand.N(interval(e.Definition)), func() { s.due(e) })
}

// again sets an entry's timer anew, unless the entry is gone.
func (s *Scheduler) again(e *entry, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.ctx.Err() == nil {
		e.timer.Reset(after)
	}
}

// due runs an entry, and then what waits in the queue; or puts it into the queue if all places are taken.
func (s *Scheduler) due(e *entry) {
	s.mu.Lock()
	if e.ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	if s.workers >= s.conf.MaxConcurrent {
		s.queue = append(s.queue, e)
		s.mu.Unlock()
		return
	}
	s.workers++
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	for ; e != nil; e = s.next() {
		s.run(e)
	}
}

// next takes the first of the queue, or gives the place back.
func (s *Scheduler) next() *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		e := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if e.ctx.Err() == nil {
			return e
		}
	}
	s.workers--
	return nil
}

// run probes an entry once.
func (s *Scheduler) run(e *entry) {
	r := e.prober.probe(e.ctx)
	e.reporting.Lock()
	if status, ok := e.handler.Next(r.status); ok {
		s.report(e, status, r.output)
	}
	e.reporting.Unlock()
	s.again(e, interval(e.Definition))
}

// report hands a result on, unless the check is gone. The caller holds e.reporting.
func (s *Scheduler) report(e *entry, status, output string) {
	if e.ctx.Err() != nil {
		return
	}
	if status != e.status {
		s.conf.Log.Info("the status of a check changed", "check", e.ID, "service", e.ServiceID, "from", e.status, "to", status)
	}
	e.status, e.output = status, output
	s.watch(e, status)
	if e.Report != nil {
		e.Report(status, output)
	}
}

// begin joins what Stop waits for; false if it is too late.
func (s *Scheduler) begin(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.ctx.Err() != nil {
		return false
	}
	s.running.Add(1)
	return true
}
