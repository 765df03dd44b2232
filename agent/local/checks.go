package local

import (
	"context"
	"math/rand/v2"
	"time"

	"lictor/catalog"
	"lictor/rpc"
)

// RegisterCheck adds a check that came over HTTP, of a service or of the node, or replaces the one with its id. Token is
// the secret it came with, used where the definition has none. The definition has been validated. When RegisterCheck
// returns, a restart does not lose the check.
func (s *State) RegisterCheck(_ context.Context, d *catalog.CheckDefinition, token string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	return s.enterCheck(normalCheck(d), token, API)
}

// enterCheck puts a check on the disk, into the table and to the runner. The caller holds registering.
func (s *State) enterCheck(d *catalog.CheckDefinition, token string, source Source) error {
	of, _ := s.Service(d.ServiceID)
	if d.ServiceID != "" && of == nil {
		return rpc.Errorf(rpc.NotFound, "ServiceID %q does not exist", d.ServiceID)
	}
	if err := s.permit(d, source); err != nil {
		return err
	}
	c := &check{def: d, row: checkOf(d, s.Node.Node, of, true), alone: true}
	c.source, c.token = source, firstOf(d.Token, token)
	if source == File {
		if err := s.disk.remove(s.disk.checkPath(d.ID)); err != nil {
			return err
		}
	} else if err := s.keepCheck(d, c.row, c.token); err != nil {
		return err
	}
	return s.install(c, source == File || d.Status == "")
}

// install puts a check that is kept already into the table and to the runner; inherit says that one with its id leaves
// its state to it. The caller holds registering.
func (s *State) install(c *check, inherit bool) error {
	s.mu.Lock()
	if e := s.table.service(c.row.ServiceID); e != nil {
		c.token = firstOf(c.token, e.token)
	}
	r := s.put(c, inherit)
	s.refresh(c.row.ServiceID)
	s.mu.Unlock()
	signal(s.wake)
	return s.start([]run{r})
}

// DeregisterCheck removes a check.
func (s *State) DeregisterCheck(_ context.Context, id string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	return s.removeCheck(id)
}

// removeCheck removes a check. The caller holds registering.
func (s *State) removeCheck(id string) error {
	s.mu.Lock()
	c := s.table.check(id)
	if c == nil {
		s.mu.Unlock()
		return UnknownCheck(id)
	}
	s.drop(c)
	s.refresh(c.row.ServiceID)
	s.mu.Unlock()
	signal(s.wake)
	return s.discard(id)
}

// drop takes a check out of the table. The caller holds mu.
func (s *State) drop(c *check) {
	s.quiet(c)
	s.table.dropCheck(c)
}

// quiet ends what waits for a check that goes or is replaced. The caller holds mu.
func (s *State) quiet(c *check) {
	stopTimer(&c.deferral)
	stopTimer(&c.reaper)
	stopTimer(&c.expiry)
	if target, ok := s.aliasOf(c.def); ok {
		s.alias.remove(target, c)
	}
}

func stopTimer(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// report takes the result of a check that the runner has run.
func (s *State) report(c *check, status, output string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table.check(c.row.CheckID) == c {
		s.apply(c, status, output)
	}
}

// apply gives a check a new state and sees that the catalog gets it in time. The caller holds mu.
func (s *State) apply(c *check, status, output string) {
	if s.settings.DiscardCheckOutput {
		output = ""
	}
	s.watchCritical(c, status)
	if status == c.row.Status && output == c.row.Output {
		return
	}
	steady := status == c.row.Status
	row := *c.row
	row.Status, row.Output = status, output
	c.row = &row
	if steady && s.settings.CheckUpdateInterval > 0 {
		s.deferOutput(c)
	} else {
		stopTimer(&c.deferral)
		s.touchCheck(c)
	}
	s.refresh(row.ServiceID)
}

func (s *State) touchCheck(c *check) {
	s.table.touch(key{aCheck, c.row.CheckID}, &c.entry)
	signal(s.wake)
}

// deferOutput has a change of output written later, at a moment that differs from check to check.
func (s *State) deferOutput(c *check) {
	if _, dirty := s.table.dirty[key{aCheck, c.row.CheckID}]; dirty || c.deferral != nil {
		return // it goes along with what is to be written anyway
	}
	d := s.settings.CheckUpdateInterval
	c.deferral = s.after(d/2+rand.N(d), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.deferral != nil && s.table.check(c.row.CheckID) == c {
			c.deferral = nil
			s.touchCheck(c)
		}
	})
}

// watchCritical starts or ends the time after which a critical check has its service deregistered.
func (s *State) watchCritical(c *check, status string) {
	d := time.Duration(c.def.DeregisterCriticalServiceAfter)
	if status != catalog.Critical || d <= 0 || c.row.ServiceID == "" {
		stopTimer(&c.reaper)
		return
	}
	if c.reaper == nil {
		c.reaper = s.after(d, func() { s.reap(c) })
	}
}

// reap deregisters the service of a check that has been critical for too long.
func (s *State) reap(c *check) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	due := c.reaper != nil && s.table.check(c.row.CheckID) == c
	s.mu.Unlock()
	if !due {
		return
	}
	s.Log.Info("deregister a service whose check has been critical for too long",
		"service", c.row.ServiceID, "check", c.row.CheckID, "after", c.def.DeregisterCriticalServiceAfter.String())
	if err := s.remove(c.row.ServiceID); err != nil {
		s.Log.Error("failed to deregister a critical service", "service", c.row.ServiceID, "error", err)
	}
}

// after runs do once d has passed, unless the State is stopped before. Stop waits for it.
func (s *State) after(d time.Duration, do func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if s.begin() {
			defer s.running.Done()
			do()
		}
	})
}

// begin joins those that Stop waits for, unless it is too late.
func (s *State) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running.Add(1)
	return true
}
