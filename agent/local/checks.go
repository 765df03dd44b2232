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
func (s *State) RegisterCheck(ctx context.Context, d *catalog.CheckDefinition, token string) error {
	defer s.settle(ctx)
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
	s.table.checksChanged(c.row.ServiceID)
	s.mu.Unlock()
	signal(s.syncer.wake)
	return s.start([]*check{r})
}

// DeregisterCheck removes a check.
func (s *State) DeregisterCheck(ctx context.Context, id string) error {
	defer s.settle(ctx)
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
	s.table.checksChanged(c.row.ServiceID)
	s.mu.Unlock()
	signal(s.syncer.wake)
	return s.discard(id)
}

// drop takes a check out of the table. The caller holds mu.
func (s *State) drop(c *check) {
	stopTimer(&c.deferral)
	s.table.dropCheck(c)
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
	s.table.checksChanged(row.ServiceID)
}

func (s *State) touchCheck(c *check) {
	s.table.touch(key{aCheck, c.row.CheckID}, &c.entry)
	signal(s.syncer.wake)
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

// Reap deregisters the service of a check that has been critical for as long as its definition allows. It is what
// health.Config.Reap calls.
func (s *State) Reap(serviceID, checkID string) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	c := s.table.check(checkID)
	due := c != nil && c.row.ServiceID == serviceID && c.row.Status == catalog.Critical
	s.mu.Unlock()
	if !due {
		return
	}
	s.Log.Info("deregister a service whose check has been critical for too long",
		"service", serviceID, "check", checkID, "after", c.def.DeregisterCriticalServiceAfter.String())
	if err := s.remove(serviceID); err != nil {
		s.Log.Error("failed to deregister a critical service", "service", serviceID, "error", err)
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
