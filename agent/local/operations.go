package local

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"lictor/catalog"
)

// A write brings the catalog nearer to what is registered here. Register or Deregister is set.
type write struct {
	token      string // "" means the agent's default
	byAgent    bool   // made with the agent's own token
	register   *catalog.Register
	deregister *catalog.Deregister
	covers     []covered
	node       bool          // registers the node itself
	as         *catalog.Node // what it says of the node, if it is node
}

// covered is an entry as it is carried by a write.
type covered struct {
	key
	revision uint64
}

// maxChecks bounds the checks in one write.
const maxChecks = 64

// writes lists what the dirty entries ask for. All writes of one step may run at once; a step needs the ones before.
func (t *table) writes() [][]*write {
	if !t.nodeSynced {
		return [][]*write{{t.nodeWrite()}} // the rest refers to the node, and comes when it is there
	}
	var services, removals, checks []*write
	var loose []*check
	taken := map[key]bool{}
	keys := t.dirtyKeys()
	following := t.following(keys)
	for _, k := range keys {
		if s := t.services[k.id]; k.kind == aService && s != nil {
			w := t.serviceWrite(s)
			if s.gone {
				w.covers = append(w.covers, following[k.id]...)
			}
			for _, c := range w.covers {
				taken[c.key] = true
			}
			if s.gone {
				removals = append(removals, w)
			} else {
				services = append(services, w)
			}
		}
	}
	for _, k := range keys {
		c := t.checks[k.id]
		switch {
		case k.kind != aCheck || taken[k] || c == nil:
		case c.gone:
			removals = append(removals, t.checkRemoval(c))
		default:
			loose = append(loose, c)
		}
	}
	checks = t.checkWrites(loose)
	return [][]*write{removals, services, checks}
}

// following lists the checks that are to be removed from the catalog, by their service: they go with it.
func (t *table) following(keys []key) map[string][]covered {
	f := map[string][]covered{}
	for _, k := range keys {
		if c := t.checks[k.id]; k.kind == aCheck && c != nil && c.gone && c.row.ServiceID != "" {
			f[c.row.ServiceID] = append(f[c.row.ServiceID], covered{k, c.revision})
		}
	}
	return f
}

// dirtyKeys are the dirty keys in a fixed order.
func (t *table) dirtyKeys() []key {
	keys := make([]key, 0, len(t.dirty))
	for k := range t.dirty {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(a.id, b.id) })
	return keys
}

// base is what every registration says of the node.
func (t *table) base() *catalog.Register {
	n := t.node
	return &catalog.Register{
		Node: n.Node, ID: n.ID, Address: n.Address, TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta,
		Locality: n.Locality, Datacenter: n.Datacenter, SkipNodeUpdate: t.nodeSynced,
	}
}

func (t *table) nodeWrite() *write {
	return &write{byAgent: true, node: true, as: t.node, register: t.base()}
}

// serviceWrite carries a service with those of its checks that have changed and the same token.
func (t *table) serviceWrite(s *service) *write {
	w := &write{token: s.token, byAgent: s.stranger, covers: []covered{{key{aService, s.row.ID}, s.revision}}}
	if s.gone {
		w.deregister = &catalog.Deregister{Node: t.node.Node, Datacenter: t.node.Datacenter, ServiceID: s.row.ID}
		return w
	}
	w.register = t.base()
	w.register.Service = copyInstance(s.row)
	for _, id := range sortedKeys(s.checks) {
		c := s.checks[id]
		k := key{aCheck, id}
		if _, dirty := t.dirty[k]; dirty && c.token == s.token {
			w.register.Checks = append(w.register.Checks, copyCheck(c.row))
			w.covers = append(w.covers, covered{k, c.revision})
		}
	}
	return w
}

func (t *table) checkRemoval(c *check) *write {
	id := c.row.CheckID
	return &write{
		token: c.token, byAgent: c.stranger, covers: []covered{{key{aCheck, id}, c.revision}},
		deregister: &catalog.Deregister{Node: t.node.Node, Datacenter: t.node.Datacenter, CheckID: id},
	}
}

// checkWrites carries checks together that have the same token.
func (t *table) checkWrites(checks []*check) []*write {
	open := map[string]*write{}
	var all []*write
	for _, c := range checks {
		w := open[c.token]
		if w == nil || len(w.register.Checks) == maxChecks {
			w = &write{token: c.token, register: t.base()}
			open[c.token] = w
			all = append(all, w)
		}
		w.register.Checks = append(w.register.Checks, copyCheck(c.row))
		w.covers = append(w.covers, covered{key{aCheck, c.row.CheckID}, c.revision})
	}
	return all
}

// singly takes a write of several checks apart, to find the one that is refused; nil if there is nothing to take apart.
func (t *table) singly(w *write) []*write {
	if w.register == nil || w.register.Service != nil || len(w.register.Checks) < 2 {
		return nil
	}
	var all []*write
	for i, row := range w.register.Checks {
		part := *w.register
		part.Checks = []*catalog.Check{row}
		all = append(all, &write{token: w.token, register: &part, covers: w.covers[i : i+1]})
	}
	return all
}

// shelve notes that the catalog has not taken a write, which is not to be repeated before the next comparison.
func (t *table) shelve(w *write) {
	if w.node && w.as == t.node {
		t.nodeSynced = true // what stands on a node that others have registered may still be taken
	}
	for _, c := range w.covers {
		if e := t.entryOf(c.key); e != nil && e.revision == c.revision {
			delete(t.dirty, c.key)
		}
	}
}

// done notes that the catalog has taken a write.
func (t *table) done(w *write) {
	if w.node && w.as == t.node {
		t.nodeSynced = true
	}
	for _, c := range w.covers {
		t.settle(c.key, c.revision)
	}
}

// level is how much a write matters to who reads the log: services and the node come seldom, checks often.
func (w *write) level() slog.Level {
	if w.node || w.covers[0].kind == aService {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// deed says what a write has done, for messages.
func (w *write) deed() string {
	if w.deregister != nil {
		return "Deregistered in the catalog"
	}
	return "Synced to the catalog"
}

// names lists what a write is about, for messages.
func (w *write) names() []string {
	names := []string{}
	for _, c := range w.covers {
		names = append(names, c.id)
	}
	if w.node {
		names = append(names, w.register.Node)
	}
	return names
}

// copyInstance and copyCheck make rows that whoever answers a write may complete.
func copyInstance(row *catalog.Instance) *catalog.Instance {
	c := *row
	c.TaggedAddresses = maps.Clone(row.TaggedAddresses)
	return &c
}

func copyCheck(row *catalog.Check) *catalog.Check {
	c := *row
	return &c
}
