package local

import (
	"slices"

	"lictor/catalog"
)

// A table is what is registered on this agent beside what is known of the catalog: a state machine without clock,
// disk or network. Its owner guards it.
type table struct {
	node       *catalog.Node
	nodeSynced bool
	server     bool
	services   map[string]*service
	checks     map[string]*check
	nodeChecks map[string]*check        // those of no service, without what is gone
	watches    map[string]chan struct{} // closed when checks of a service change, by its id; "" is the node
	dirty      map[key]struct{}         // entries that the catalog may not have as they are
	revision   uint64
}

func newTable(node *catalog.Node, server bool) *table {
	return &table{
		node: node, server: server,
		services: map[string]*service{}, checks: map[string]*check{}, nodeChecks: map[string]*check{}, dirty: map[key]struct{}{},
		watches: map[string]chan struct{}{},
	}
}

// service finds a service that is registered here.
func (t *table) service(id string) *service {
	if s := t.services[id]; s != nil && !s.gone {
		return s
	}
	return nil
}

// check finds a check that is registered here.
func (t *table) check(id string) *check {
	if c := t.checks[id]; c != nil && !c.gone {
		return c
	}
	return nil
}

// putService adds a service or replaces the one with its id, whose checks it takes over.
func (t *table) putService(s *service) {
	s.checks = map[string]*check{}
	if old := t.services[s.row.ID]; old != nil {
		s.checks = old.checks
		close(old.changed)
	}
	s.changed = make(chan struct{})
	t.services[s.row.ID] = s
	t.touch(key{aService, s.row.ID}, &s.entry)
	for _, c := range s.checks {
		if c.row.ServiceName != s.row.Service || !slices.Equal(c.row.ServiceTags, s.row.Tags) {
			row := *c.row
			row.ServiceName, row.ServiceTags = s.row.Service, s.row.Tags
			c.row = &row
			t.touch(key{aCheck, row.CheckID}, &c.entry)
		}
	}
}

// putCheck adds a check or replaces the one with its id.
func (t *table) putCheck(c *check) {
	if old := t.checks[c.row.CheckID]; old != nil {
		t.unlink(old)
	}
	t.checks[c.row.CheckID] = c
	if s := t.service(c.row.ServiceID); s != nil {
		s.checks[c.row.CheckID] = c
	} else if c.row.ServiceID == "" {
		t.nodeChecks[c.row.CheckID] = c
	}
	t.touch(key{aCheck, c.row.CheckID}, &c.entry)
}

func (t *table) unlink(c *check) {
	if s := t.services[c.row.ServiceID]; s != nil {
		delete(s.checks, c.row.CheckID)
	} else if c.row.ServiceID == "" {
		delete(t.nodeChecks, c.row.CheckID)
	}
}

// dropService marks a service and its checks as deregistered.
func (t *table) dropService(s *service) {
	for _, c := range s.checks {
		t.dropCheck(c)
	}
	s.gone = true
	close(s.changed)
	s.changed = make(chan struct{})
	t.touch(key{aService, s.row.ID}, &s.entry)
}

// dropCheck marks a check as deregistered.
func (t *table) dropCheck(c *check) {
	t.unlink(c)
	c.gone = true
	t.touch(key{aCheck, c.row.CheckID}, &c.entry)
}

// touch notes that an entry has changed.
func (t *table) touch(k key, e *entry) {
	t.revision++
	e.revision = t.revision
	t.dirty[k] = struct{}{}
}

// entryOf finds the entry of a key; nil if it is forgotten.
func (t *table) entryOf(k key) *entry {
	switch k.kind {
	case aService:
		if s := t.services[k.id]; s != nil {
			return &s.entry
		}
	case aCheck:
		if c := t.checks[k.id]; c != nil {
			return &c.entry
		}
	}
	return nil
}

// settle notes that the catalog has an entry as it was at a revision, or will not take it.
func (t *table) settle(k key, revision uint64) {
	e := t.entryOf(k)
	if e == nil || e.revision != revision {
		return
	}
	delete(t.dirty, k)
	if !e.gone {
		return
	}
	if k.kind == aService {
		delete(t.services, k.id)
	} else {
		delete(t.checks, k.id)
	}
}

// watchChecks gives a channel that is closed when checks of a service change, or the service comes or goes.
func (t *table) watchChecks(service string) <-chan struct{} {
	w := t.watches[service]
	if w == nil {
		w = make(chan struct{})
		t.watches[service] = w
	}
	return w
}

// checksChanged wakes who watches the checks of a service.
func (t *table) checksChanged(service string) {
	if w := t.watches[service]; w != nil {
		close(w)
		delete(t.watches, service)
	}
}
