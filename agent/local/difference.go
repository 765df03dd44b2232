package local

import (
	"slices"

	"lictor/catalog"
)

// What Remote holds of servers' own business on this node, which no agent touches.
const (
	serfHealth    = "serfHealth"
	consulService = "consul"
)

// A Remote is what the catalog has of this node.
type Remote struct {
	Node     *catalog.Node // nil if the catalog does not know the node
	Services []*catalog.Instance
	Checks   []*catalog.Check
}

// compare notes all differences to the catalog, also those that a denied write has left.
func (t *table) compare(r *Remote) {
	t.nodeSynced = sameNode(t.node, r.Node)
	theirs := make(map[string]*catalog.Instance, len(r.Services))
	for _, row := range r.Services {
		theirs[row.ID] = row
		if !t.ofServers(row) {
			t.noteStrangeService(row)
		}
	}
	for id, s := range t.services {
		t.compareService(s, theirs[id])
	}
	checks := make(map[string]*catalog.Check, len(r.Checks))
	for _, row := range r.Checks {
		checks[row.CheckID] = row
		if s := theirs[row.ServiceID]; s == nil || t.services[row.ServiceID] != nil || !t.ofServers(s) {
			t.noteStrangeCheck(row)
		}
	}
	for id, c := range t.checks {
		t.compareCheck(c, checks[id])
	}
}

// ofServers tells whether a service is one that the leader keeps on its server.
func (t *table) ofServers(row *catalog.Instance) bool {
	return t.server && (row.ID == consulService || row.Meta[catalog.DutyMeta] != "")
}

// noteStrangeService has a service removed from the catalog that is not registered here.
func (t *table) noteStrangeService(row *catalog.Instance) {
	if t.services[row.ID] != nil {
		return
	}
	s := &service{row: row, checks: map[string]*check{}, changed: make(chan struct{})}
	s.gone, s.stranger = true, true
	t.services[row.ID] = s
	t.touch(key{aService, row.ID}, &s.entry)
}

// noteStrangeCheck has a check removed from the catalog that is not registered here. Those of a service that is to be
// removed go with it.
func (t *table) noteStrangeCheck(row *catalog.Check) {
	if t.checks[row.CheckID] != nil || row.CheckID == serfHealth || t.server && row.ServiceID == consulService {
		return
	}
	if s := t.services[row.ServiceID]; s != nil && s.gone {
		return
	}
	c := &check{row: row}
	c.gone, c.stranger = true, true
	t.checks[row.CheckID] = c
	t.touch(key{aCheck, row.CheckID}, &c.entry)
}

func (t *table) compareService(s *service, theirs *catalog.Instance) {
	k := key{aService, s.row.ID}
	switch {
	case s.gone && theirs == nil, !s.gone && theirs != nil && sameInstance(s.row, theirs):
		t.settle(k, s.revision)
	default:
		t.dirty[k] = struct{}{}
	}
	if !s.gone && theirs != nil && s.row.EnableTagOverride {
		t.takeTags(s, theirs.Tags)
	}
}

// takeTags keeps the tags that somebody has given the service in the catalog.
func (t *table) takeTags(s *service, tags []string) {
	if slices.Equal(s.row.Tags, tags) {
		return
	}
	row := *s.row
	row.Tags = tags
	s.row = &row
	close(s.changed)
	s.changed = make(chan struct{})
}

func (t *table) compareCheck(c *check, theirs *catalog.Check) {
	k := key{aCheck, c.row.CheckID}
	same := theirs != nil && sameCheck(c.row, theirs) && (c.deferral != nil || c.row.Output == theirs.Output)
	if c.gone && theirs == nil || !c.gone && same {
		t.settle(k, c.revision)
		return
	}
	t.dirty[k] = struct{}{}
}
