package local

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"lictor/catalog"
	"lictor/health"
	"lictor/rpc"
)

// A registration is a completed service definition on its way in.
type registration struct {
	def     *catalog.ServiceDefinition
	token   string
	source  Source
	parent  string // the service whose sidecar it is
	replace bool   // checks that it does not name go
	kept    bool   // it comes from the data directory
}

// RegisterService adds a service that came over HTTP with its checks, or replaces the one with its id; other checks of
// that one stay, unless replaceChecks. Token is the secret it came with, used where the definition has none. The
// definition has been validated. When RegisterService returns, a restart does not lose the service.
func (s *State) RegisterService(ctx context.Context, d *catalog.ServiceDefinition, token string, replaceChecks bool) error {
	defer s.settle(ctx)
	s.registering.Lock()
	defer s.registering.Unlock()
	all, err := s.expand(registration{def: normalService(d), token: token, source: API, replace: replaceChecks})
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := s.enter(r); err != nil {
			return err
		}
	}
	return nil
}

// expand completes a registration with that of its sidecar and makes sure that all their checks may be run.
func (s *State) expand(r registration) ([]registration, error) {
	all := []registration{r}
	if sidecar, err := s.sidecar(r); err != nil {
		return nil, err
	} else if sidecar != nil {
		all = append(all, *sidecar)
	}
	for _, r := range all {
		for _, c := range r.def.Checks {
			if err := s.permit(c, r.source); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// permit tells why a check may not be registered.
func (s *State) permit(d *catalog.CheckDefinition, source Source) error {
	if !catalog.ValidStatus(d.Status) {
		return rpc.Errorf(rpc.Invalid, "Status for checks must 'passing', 'warning', 'critical'")
	}
	return s.Runner.Allowed(d, source == API)
}

// enter puts a registration on the disk, into the table and to the runner. The caller holds registering.
func (s *State) enter(r registration) error {
	if err := s.keepService(r); err != nil {
		return err
	}
	s.mu.Lock()
	e := &service{def: r.def, row: instanceOf(r.def, s.Node.Node), parent: r.parent}
	e.source, e.token = r.source, firstOf(r.def.Token, r.token)
	s.table.putService(e)
	var runs []*check
	named := map[string]bool{}
	for _, d := range r.def.Checks {
		named[d.ID] = true
		c := &check{def: d, row: checkOf(d, s.Node.Node, e.row, false)}
		c.source, c.token = r.source, firstOf(d.Token, r.token)
		runs = append(runs, s.put(c, true))
	}
	var dropped []string
	for id, c := range e.checks {
		stays := c.row.Type == maintenanceType || r.source == File && (c.source == API || c.alone)
		if r.replace && !named[id] && !stays {
			dropped = append(dropped, id)
		}
	}
	for _, id := range dropped {
		s.drop(e.checks[id])
	}
	s.table.checksChanged(e.row.ID)
	s.mu.Unlock()
	signal(s.syncer.wake)
	for _, id := range dropped {
		if err := s.discard(id); err != nil {
			return err
		}
	}
	return s.start(runs)
}

// keepService puts a registration that came over HTTP on the disk, and takes another one's older files away.
func (s *State) keepService(r registration) error {
	if r.source == File {
		err := s.disk.remove(s.disk.servicePath(r.def.ID))
		for _, d := range r.def.Checks {
			err = firstError(err, s.disk.remove(s.disk.checkPath(d.ID)))
		}
		return err
	}
	if r.kept {
		return nil
	}
	bare := *r.def
	bare.Checks = nil
	file := serviceFile{Token: firstOf(r.def.Token, r.token), Service: &bare, Source: r.source, Sidecar: r.parent}
	if err := s.disk.write(s.disk.servicePath(r.def.ID), &file, true); err != nil {
		return fmt.Errorf("keep service %q: %w", r.def.ID, err)
	}
	for _, d := range r.def.Checks {
		row := checkOf(d, s.Node.Node, instanceOf(r.def, s.Node.Node), false)
		if err := s.keepCheck(d, row, firstOf(d.Token, r.token)); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) keepCheck(d *catalog.CheckDefinition, row *catalog.Check, token string) error {
	file := checkFile{Token: token, Check: row, ChkType: d, Source: API}
	if err := s.disk.write(s.disk.checkPath(row.CheckID), &file, true); err != nil {
		return fmt.Errorf("keep check %q: %w", row.CheckID, err)
	}
	return nil
}

// put enters a check into the table and returns it if it is to be run from now on; inherit says that one with its id and
// type leaves its state to it. The caller holds mu.
func (s *State) put(c *check, inherit bool) *check {
	if old := s.table.check(c.row.CheckID); old != nil {
		same := old.row.Type == c.row.Type
		if inherit && same {
			c.row.Status, c.row.Output = old.row.Status, old.row.Output
		}
		if same && c.row.Type != catalog.TypeTTL && reflect.DeepEqual(old.def, c.def) { // it goes on running undisturbed
			old.row, old.token, old.source, old.alone = c.row, c.token, c.source, c.alone
			s.table.putCheck(old)
			return nil
		}
		stopTimer(&old.deferral)
	}
	s.table.putCheck(c)
	return c
}

// start has the runner run checks, in the place of those with the same ids. One that it cannot run is not registered.
// The caller holds registering, not mu.
func (s *State) start(checks []*check) error {
	var failed error
	for _, c := range checks {
		if c == nil || c.row.Type == maintenanceType {
			continue
		}
		if err := s.run(c, 0); err != nil {
			failed = firstError(failed, rpc.Errorf(rpc.Invalid, "Invalid check: %v", err))
			failed = firstError(failed, s.removeCheck(c.def.ID))
		}
	}
	return failed
}

// run has the runner run a check. Remaining is for how long the state of a TTL check is good, 0 for its whole TTL.
func (s *State) run(c *check, remaining time.Duration) error {
	s.mu.Lock()
	row := c.row
	s.mu.Unlock()
	return s.Runner.Add(health.Check{
		ID: row.CheckID, ServiceID: row.ServiceID, Definition: c.def, Status: row.Status, Output: row.Output,
		Remaining: remaining, Report: func(status, output string) { s.report(c, status, output) },
	})
}

// DeregisterService removes a service with its checks and its sidecar.
func (s *State) DeregisterService(ctx context.Context, id string) error {
	defer s.settle(ctx)
	s.registering.Lock()
	defer s.registering.Unlock()
	return s.remove(id)
}

// remove removes a service with its checks and its sidecar. The caller holds registering.
func (s *State) remove(id string) error {
	s.mu.Lock()
	e := s.table.service(id)
	if e == nil {
		s.mu.Unlock()
		return UnknownService(id)
	}
	sidecar := s.table.service(sidecarID(id))
	checks := sortedKeys(e.checks)
	for _, c := range e.checks {
		stopTimer(&c.deferral)
	}
	s.table.dropService(e)
	s.table.checksChanged(id)
	s.mu.Unlock()
	signal(s.syncer.wake)
	err := s.disk.remove(s.disk.servicePath(id))
	for _, check := range checks {
		err = firstError(err, s.discard(check))
	}
	if sidecar != nil && sidecar.parent == id {
		err = firstError(err, s.remove(sidecarID(id)))
	}
	return err
}

// discard ends what runs and what is kept of a check. The caller holds registering, not mu.
func (s *State) discard(id string) error {
	s.Runner.Remove(id)
	return firstError(s.disk.remove(s.disk.checkPath(id)), s.disk.remove(s.disk.statePath(id)))
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
