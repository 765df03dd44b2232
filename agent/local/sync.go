package local

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

// Catalog is what a State needs of the servers.
type Catalog interface {
	// Register and Deregister make one write, on behalf of a token.
	Register(ctx context.Context, token string, r *catalog.Register) error
	Deregister(ctx context.Context, token string, d *catalog.Deregister) error
	// Registered reads what the catalog has of this node, from the leader.
	Registered(ctx context.Context, token string) (*Remote, error)
}

// The rhythm of anti-entropy.
const (
	retryAfter   = 15 * time.Second // a failure, and up to as much again
	seekLeader   = time.Second      // between attempts while there is no leader, and up to as much again
	writeTimeout = 30 * time.Second
	writers      = 8   // writes that are made at once
	smallCluster = 128 // members, up to which the interval is as configured
)

// A syncer brings the catalog in line with a State. Its one goroutine is all that writes to the catalog.
type syncer struct {
	*State
	wake   chan struct{} // has a token when something is dirty
	resync chan struct{} // has a token when the whole is to be compared
	round  *round        // that is under way, or comes next; guarded by the State's mu
}

func newSyncer(s *State) *syncer {
	return &syncer{State: s, wake: make(chan struct{}, 1), resync: make(chan struct{}, 1), round: &round{done: make(chan struct{})}}
}

// Start begins to keep the catalog in line: at once with a comparison of everything, and again after each change, when
// ServersChanged is called, and on a schedule.
func (s *State) Start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		s.syncer.loop(ctx)
	}()
}

// Stop ends the State's work and waits for it. What is registered stays readable. It may be called twice, and without
// Start.
func (s *State) Stop() {
	s.mu.Lock()
	s.stopped = true
	for _, c := range s.table.checks {
		stopTimer(&c.deferral)
	}
	s.mu.Unlock()
	if s.scheduler != nil {
		s.scheduler.Stop()
	}
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}

// ServersChanged says that there is a new leader, or a first one: the catalog is compared soon.
func (s *State) ServersChanged() { signal(s.syncer.resync) }

// loop compares and writes until ctx is done.
func (s *syncer) loop(ctx context.Context) {
	due := time.Now() // at the start nobody knows what the catalog has
	for ctx.Err() == nil {
		full := !time.Now().Before(due)
		err := s.run(ctx, full)
		s.finish(err)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			due = time.Now().Add(s.retry(err))
		case full:
			due = time.Now().Add(s.interval())
		}
		if s.pause(ctx, time.Until(due), transient(err)) {
			due = time.Now()
		}
	}
}

// run compares everything if full, and then writes what is dirty until nothing is.
func (s *syncer) run(ctx context.Context, full bool) error {
	if full {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		remote, err := s.Catalog.Registered(ctx, s.agentToken())
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.table.compare(remote)
		s.mu.Unlock()
	}
	var fails error
	for {
		s.mu.Lock()
		steps := s.table.writes()
		s.mu.Unlock()
		wrote := false
		for _, step := range steps {
			wrote = wrote || len(step) > 0
			fails = firstError(fails, s.makeAll(ctx, step))
		}
		if !wrote || transient(fails) || ctx.Err() != nil {
			return fails
		}
	}
}

// pause waits until there is something to do, for d at most, and tells whether that is everything. While nothing can be
// written, changes have to wait as well.
func (s *syncer) pause(ctx context.Context, d time.Duration, stuck bool) (full bool) {
	wake := s.wake
	if stuck {
		wake = nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
		return true
	case <-s.resync:
		if n := s.ClusterSize(); n > 1 { // not all members at the same moment
			s.stagger(ctx, n)
		}
		return true
	}
	return false
}

// stagger spreads what all members do when the leader changes over up to three seconds, by their number.
func (s *syncer) stagger(ctx context.Context, members int) {
	timer := time.NewTimer(rand.N(min(3*time.Second, time.Duration(members)*10*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// interval is the time to the next full comparison: longer in a large cluster, and different on each member.
func (s *syncer) interval() time.Duration {
	d := time.Duration(scale(s.ClusterSize())) * s.SyncInterval
	return d + rand.N(d)
}

// scale is the factor by which a cluster's size lengthens the interval: one more for each doubling of a small cluster.
func scale(members int) int {
	if members <= smallCluster {
		return 1
	}
	return 1 + int(math.Ceil(math.Log2(float64(members))-math.Log2(smallCluster)))
}

// retry is the time to the next attempt after a failure.
func (s *syncer) retry(err error) time.Duration {
	if unanswered(err) {
		s.Log.Debug("anti-entropy waits for the servers", "error", err)
		d := time.Duration(scale(s.ClusterSize())) * seekLeader
		return d + rand.N(d)
	}
	d := retryAfter + rand.N(retryAfter)
	s.Log.Error("failed to bring the catalog in line; trying again", "after", d, "error", err)
	return d
}

// makeAll makes writes, several at once, and returns an error that asks for a retry.
func (s *syncer) makeAll(ctx context.Context, writes []*write) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards fails
		fails error
	)
	queue := make(chan *write)
	for range min(writers, len(writes)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for w := range queue {
				if err := s.make(ctx, w); err != nil {
					mu.Lock()
					fails = firstError(fails, err)
					mu.Unlock()
				}
			}
		}()
	}
	for _, w := range writes {
		queue <- w
	}
	close(queue)
	wg.Wait()
	return fails
}

// make makes one write. One that fails for its own sake is shelved until the next full comparison, so that it does not
// hold up others and is not repeated over and over.
func (s *syncer) make(ctx context.Context, w *write) error {
	err := s.send(ctx, w)
	if transient(err) || ctx.Err() != nil {
		return err
	}
	if parts := s.table.singly(w); err != nil && parts != nil {
		return s.makeAll(ctx, parts)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.table.done(w)
		s.Log.Log(ctx, w.level(), w.deed(), "what", w.names())
		return nil
	}
	s.table.shelve(w)
	s.Log.Warn("the catalog does not take a registration of this agent", "what", w.names(), "error", err)
	if refused(err) {
		return nil
	}
	return err
}

func (s *syncer) send(ctx context.Context, w *write) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	token := firstOf(w.token, s.Tokens().Default)
	if w.byAgent {
		token = s.agentToken()
	}
	if w.register != nil {
		return s.Catalog.Register(ctx, token, w.register)
	}
	err := s.Catalog.Deregister(ctx, token, w.deregister)
	if rpc.CodeOf(err) == rpc.NotFound {
		return nil // it is gone as it should be
	}
	return err
}

// agentToken is the secret for the agent's own business.
func (s *syncer) agentToken() string {
	t := s.Tokens()
	return firstOf(t.Agent, t.Default)
}

// refused tells errors that the same write would meet again.
func refused(err error) bool {
	switch rpc.CodeOf(err) {
	case rpc.PermissionDenied, rpc.Invalid, rpc.NotFound, rpc.Conflict:
		return true
	}
	return false
}

// transient tells errors that say nothing about the write.
func transient(err error) bool {
	return err != nil && (unanswered(err) || rpc.CodeOf(err) == rpc.Limited ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}

// unanswered tells errors of calls for which there was no server, or no answer.
func unanswered(err error) bool {
	code := rpc.CodeOf(err)
	return code == rpc.NoLeader || code == rpc.Unreachable || errors.Is(err, state.ErrUncertain)
}
