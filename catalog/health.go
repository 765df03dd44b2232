package catalog

import (
	"lictor/acl"
	"lictor/state"
)

// ServiceHealth answers ServiceHealthQuery.
func (s *Service) ServiceHealth(tx *state.Tx, az acl.Authorizer, q *ServiceHealth) (Listing[*Entry], uint64, error) {
	var l Listing[*Entry]
	filter, err := NewFilter[*Entry](q.Filter)
	if err != nil {
		return l, 0, err
	}
	found := selection{service: q.Service, imported: q.Imported, tags: q.Tags.Items(), meta: q.NodeMeta, connect: q.Connect}
	index := found.index(tx)
	services := []string{q.Service}
	if q.Ingress {
		services, index = s.before(tx, q.Service, index)
		if !az.Allow(acl.Service, q.Service, acl.Read) {
			services, l.Filtered = nil, true
		}
	}
	quiet := tx.Unwatched()
	for _, found.service = range services {
		index = max(index, found.index(tx))
		l.Filtered = found.each(quiet, az, func(n *Node, i *Instance) {
			if e := entry(quiet, n, i); (!q.Ingress || i.Kind == IngressGateway) && (!q.Passing || e.passing()) {
				l.Rows = append(l.Rows, e)
			}
		}) || l.Filtered
	}
	if l.Rows, err = filter.Rows(l.Rows); err != nil {
		return l, 0, err
	}
	s.sort(quiet, q.Near, len(l.Rows), func(i int) string { return l.Rows[i].Node.Node }, func(order []int) { permute(l.Rows, order) })
	return l, index, nil
}

// before lists the gateways that let a service be reached from outside.
func (s *Service) before(tx *state.Tx, service string, index uint64) ([]string, uint64) {
	if s.Gateways == nil {
		return nil, index
	}
	gateways, at := s.Gateways.Before(tx, service)
	return gateways, max(index, at)
}

// entry collects what tells an instance's health.
func entry(tx *state.Tx, n *Node, i *Instance) *Entry {
	e := &Entry{Node: n, Service: i.shown(), Checks: make([]*Check, 0, 2)}
	for c := range checks.Each(tx, "owner", fold(n.Node, "")) {
		e.Checks = append(e.Checks, c.shown())
	}
	for c := range checks.Each(tx, "owner", fold(n.Node, i.ID)) {
		e.Checks = append(e.Checks, c.shown())
	}
	return e
}

// shown is the check as queries give it.
func (c *Check) shown() *Check {
	if c.ServiceTags != nil {
		return c
	}
	copied := *c
	copied.ServiceTags = []string{}
	return &copied
}

func (e *Entry) passing() bool {
	for _, c := range e.Checks {
		if c.Status != Passing {
			return false
		}
	}
	return true
}

// NodeChecks answers NodeChecksQuery.
func (s *Service) NodeChecks(tx *state.Tx, az acl.Authorizer, q *NodeChecks) (Listing[*Check], uint64, error) {
	index := changed(tx, nodeChecksIndex, q.Node, checks.Name())
	c, err := s.newCheckList(tx, az, q.Filter)
	if err != nil {
		return c.Listing, 0, err
	}
	for row := range checks.Prefix(c.tx, "id", fold(q.Node)) {
		c.add(row)
	}
	return c.finish(index, "")
}

// ServiceChecks answers ServiceChecksQuery.
func (s *Service) ServiceChecks(tx *state.Tx, az acl.Authorizer, q *ServiceChecks) (Listing[*Check], uint64, error) {
	index := changed(tx, serviceChecksIndex, q.Service, checks.Name())
	c, err := s.newCheckList(tx, az, q.Filter)
	if err != nil {
		return c.Listing, 0, err
	}
	index = c.onNodes(tx, q.NodeMeta, index)
	for row := range checks.Each(c.tx, "service", fold(q.Service)) {
		c.add(row)
	}
	return c.finish(index, q.Near)
}

// ChecksInState answers ChecksInStateQuery.
func (s *Service) ChecksInState(tx *state.Tx, az acl.Authorizer, q *ChecksInState) (Listing[*Check], uint64, error) {
	c, err := s.newCheckList(tx, az, q.Filter)
	if err != nil {
		return c.Listing, 0, err
	}
	if q.State == AnyState {
		index := c.onNodes(tx, q.NodeMeta, tx.Changed(checks.Name()))
		for row := range checks.All(c.tx) {
			c.add(row)
		}
		return c.finish(index, q.Near)
	}
	index := c.onNodes(tx, q.NodeMeta, changed(tx, statusIndex, q.State, checks.Name()))
	for row := range checks.Each(c.tx, "status", fold(q.State)) {
		c.add(row)
	}
	return c.finish(index, q.Near)
}

// A checkList collects the checks that are an answer.
type checkList struct {
	Listing[*Check]
	service *Service
	tx      *state.Tx // does not watch
	az      acl.Authorizer
	filter  *Filter[*Check]
	meta    Pairs // of the nodes
}

func (s *Service) newCheckList(tx *state.Tx, az acl.Authorizer, filter string) (*checkList, error) {
	f, err := NewFilter[*Check](filter)
	return &checkList{service: s, tx: tx.Unwatched(), az: az, filter: f}, err
}

// onNodes keeps to checks on nodes that have the metadata, and gives the index at which the checks or those nodes last
// changed.
func (c *checkList) onNodes(tx *state.Tx, meta Pairs, index uint64) uint64 {
	if meta.empty() {
		return index
	}
	c.meta = meta
	return max(index, tx.Changed(nodes.Name()))
}

func (c *checkList) add(row *Check) {
	if !c.meta.empty() {
		if n := FindNode(c.tx, row.Node); n == nil || !c.meta.in(n.Meta) {
			return
		}
	}
	if !c.az.Allow(acl.Node, row.Node, acl.Read) || row.ServiceName != "" && !c.az.Allow(acl.Service, row.ServiceName, acl.Read) {
		c.Filtered = true
		return
	}
	c.Rows = append(c.Rows, row.shown())
}

func (c *checkList) finish(index uint64, near string) (Listing[*Check], uint64, error) {
	var err error
	if c.Rows, err = c.filter.Rows(c.Rows); err != nil {
		return Listing[*Check]{}, 0, err
	}
	c.service.sort(c.tx, near, len(c.Rows), func(i int) string { return c.Rows[i].Node }, func(order []int) { permute(c.Rows, order) })
	return c.Listing, index, nil
}
