package local

import (
	"time"

	"lictor/catalog"
)

// restoreServices enters the services that the data directory holds, unless the configuration defines them.
func (l loader) restoreServices() error {
	services, err := loadAll(&l.disk, "services", (*serviceFile).valid)
	if err != nil {
		return err
	}
	for _, f := range services {
		if err := l.restoreService(f); err != nil {
			return err
		}
	}
	return nil
}

// restoreChecks enters the checks that the data directory holds.
func (l loader) restoreChecks() error {
	checks, err := loadAll(&l.disk, "checks", (*checkFile).valid)
	if err != nil {
		return err
	}
	for _, f := range checks {
		if err := l.restoreCheck(f); err != nil {
			return err
		}
	}
	return nil
}

func (l loader) restoreService(f *serviceFile) error {
	d := normalService(f.Service)
	if row, _ := l.Service(d.ID); row != nil || f.Source != API {
		return l.disk.remove(l.disk.servicePath(d.ID))
	}
	if err := d.Validate(); err != nil {
		l.Log.Warn("a service that was kept is not valid and stays away", "service", d.ID, "error", err)
		return nil
	}
	return l.enter(registration{def: d, token: f.Token, source: API, parent: f.Sidecar, kept: true})
}

func (l loader) restoreCheck(f *checkFile) error {
	id := f.Check.CheckID
	of, _ := l.Service(f.Check.ServiceID)
	if l.CheckRow(id) != nil || f.Source != API || f.Check.ServiceID != "" && of == nil {
		return l.disk.remove(l.disk.checkPath(id))
	}
	c := &check{def: f.ChkType, row: f.Check}
	c.source, c.token = API, f.Token
	c.def.ID, c.def.ServiceID = id, f.Check.ServiceID
	c.row.Node = l.Node.Node
	c.row.Output = ""
	if c.row.Type == maintenanceType {
		return l.install(c, false)
	}
	c.row.Status = catalog.Critical // until it is heard of: nobody knows what has happened since
	err := c.def.Validate()
	if err == nil {
		err = l.permit(c.def, API)
	}
	if err == nil {
		err = l.install(c, false)
	}
	if err != nil {
		l.Log.Warn("a check that was kept cannot be run any more and stays away", "check", id, "error", err)
	}
	return nil
}

// restoreStates gives TTL checks the states that are still good.
func (l loader) restoreStates() error {
	states, err := loadAll(&l.disk, "checks/state", (*stateFile).valid)
	if err != nil {
		return err
	}
	for _, f := range states {
		if c, remaining := l.restoreState(f); c != nil {
			err = l.run(c, remaining)
		} else {
			err = l.disk.remove(l.disk.statePath(f.CheckID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreState gives a check the state that was kept, and tells for how long that is good; nil if it is not any more.
func (l loader) restoreState(f *stateFile) (*check, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.table.check(f.CheckID)
	remaining := time.Until(time.UnixMilli(f.Expires))
	if c == nil || c.row.Type != catalog.TypeTTL || remaining <= 0 || f.Status == "" || !catalog.ValidStatus(f.Status) {
		return nil, 0
	}
	l.apply(c, f.Status, f.Output)
	return c, remaining
}
