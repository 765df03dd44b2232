package local

import (
	"time"

	"lictor/catalog"
)

// restoreServices enters the services that the data directory holds, unless the configuration defines them. As with the
// other functions of this file, the caller holds registering, and nobody else knows the State yet.
func (s *State) restoreServices() error {
	services, err := loadAll(&s.disk, "services", (*serviceFile).valid)
	if err != nil {
		return err
	}
	for _, f := range services {
		if err := s.restoreService(f); err != nil {
			return err
		}
	}
	return nil
}

// restoreChecks enters the checks that the data directory holds.
func (s *State) restoreChecks() error {
	checks, err := loadAll(&s.disk, "checks", (*checkFile).valid)
	if err != nil {
		return err
	}
	for _, f := range checks {
		if err := s.restoreCheck(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) restoreService(f *serviceFile) error {
	d := normalService(f.Service)
	if row, _ := s.Service(d.ID); row != nil || f.Source != API {
		return s.disk.remove(s.disk.servicePath(d.ID))
	}
	if err := d.Validate(); err != nil {
		s.Log.Warn("a service that was kept is not valid and stays away", "service", d.ID, "error", err)
		return nil
	}
	return s.enter(registration{def: d, token: f.Token, source: API, parent: f.Sidecar, kept: true})
}

func (s *State) restoreCheck(f *checkFile) error {
	id := f.Check.CheckID
	of, _ := s.Service(f.Check.ServiceID)
	if s.CheckRow(id) != nil || f.Source != API || f.Check.ServiceID != "" && of == nil {
		return s.disk.remove(s.disk.checkPath(id))
	}
	c := &check{def: f.ChkType, row: f.Check}
	c.source, c.token = API, f.Token
	c.def.ID, c.def.ServiceID = id, f.Check.ServiceID
	c.row.Node = s.Node.Node
	c.row.Output = ""
	if c.row.Type == maintenanceType {
		return s.install(c, false)
	}
	c.row.Status = catalog.Critical // until it is heard of: nobody knows what has happened since
	err := c.def.Validate()
	if err == nil {
		err = s.permit(c.def, API)
	}
	if err == nil {
		err = s.install(c, false)
	}
	if err != nil {
		s.Log.Warn("a check that was kept cannot be run any more and stays away", "check", id, "error", err)
	}
	return nil
}

// restoreStates gives TTL checks the states that are still good.
func (s *State) restoreStates() error {
	states, err := loadAll(&s.disk, "checks/state", (*stateFile).valid)
	if err != nil {
		return err
	}
	for _, f := range states {
		if c, remaining := s.restoreState(f); c != nil {
			err = s.run(c, remaining)
		} else {
			err = s.disk.remove(s.disk.statePath(f.CheckID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreState gives a check the state that was kept, and tells for how long that is good; nil if it is not any more.
func (s *State) restoreState(f *stateFile) (*check, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.table.check(f.CheckID)
	remaining := time.Until(time.UnixMilli(f.Expires))
	if c == nil || c.row.Type != catalog.TypeTTL || remaining <= 0 || f.Status == "" || !catalog.ValidStatus(f.Status) {
		return nil, 0
	}
	s.apply(c, f.Status, f.Output)
	return c, remaining
}
