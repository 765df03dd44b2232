package query

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/state"
)

// nearest is among how many of the nearest an agent's own instance goes first.
const nearest = 10

// Execute answers ExecuteQuery.
func (k *Keeper) Execute(tx *state.Tx, az acl.Authorizer, e *Execute) (*Response, uint64, error) {
	defer k.Times.Execute.Since(time.Now())
	index := tx.Changed(Queries.Name())
	q, err := e.find(tx)
	if err != nil || q == nil {
		return nil, index, err
	}
	if q.Token != "" && k.Resolve != nil {
		if az, err = k.Resolve(tx, q.Token); err != nil {
			return nil, 0, err
		}
	}
	r := &Response{DNS: q.DNS, FailsOver: q.Service.Failover.any()}
	near, err := k.near(tx, az, r, e, q.Service.Near)
	if err != nil {
		return nil, 0, err
	}
	at, err := k.fill(tx, az, r, &search{Service: &q.Service, near: near})
	if err != nil {
		return nil, 0, err
	}
	if near == e.Agent {
		r.ownFirst(near)
	}
	return r, max(index, at), nil
}

// find finds the query that is to be executed, with its template filled in; nil if there is none.
func (e *Execute) find(tx *state.Tx) (*Query, error) {
	q, err := resolve(tx.Unwatched(), e.Name, e.Segment)
	if err != nil || q == nil || !e.Connect {
		return q, err
	}
	r := *q
	r.Service.Connect = true
	return &r, nil
}

// A search is what to look for in this datacenter, and which node the nearest come first to; "" is none.
type search struct {
	*Service
	near string
}

// fill adds what a search finds, and gives the index at which that has changed.
func (k *Keeper) fill(tx *state.Tx, az acl.Authorizer, r *Response, s *search) (uint64, error) {
	found, at, err := k.Catalog.ServiceHealth(tx, az, &catalog.ServiceHealth{Service: s.Service.Service, Connect: s.Connect,
		NodeMeta: catalog.PairsOf(s.NodeMeta), Near: s.near})
	if err != nil {
		return 0, err
	}
	r.Service, r.Datacenter = s.Service.Service, k.Datacenter
	r.Filtered, r.Sorted = found.Filtered, s.near != ""
	r.Nodes = slices.DeleteFunc(found.Rows, func(i *catalog.Entry) bool { return !s.takes(i) })
	for _, i := range r.Nodes {
		if len(i.Checks) == 0 {
			i.Checks = nil // as it is shown
		}
	}
	return at, nil
}

// near is the node that the nearest come first to; "" if there is none.
func (k *Keeper) near(tx *state.Tx, az acl.Authorizer, r *Response, e *Execute, near string) (string, error) {
	if e.Near != "" {
		near = e.Near
	}
	switch near {
	case NearAgent:
		return e.Agent, nil
	case NearIP:
		r.ByIP = true
		if e.IP == "" {
			return "", nil
		}
		holders, _, err := k.Catalog.AtAddress(tx, az, &catalog.AtAddress{Address: e.IP})
		if err != nil || holders == nil || len(holders.Nodes) == 0 {
			return "", err
		}
		return holders.Nodes[0].Node, nil
	}
	return near, nil
}

// ownFirst puts the instance on a node before others that are about as near.
func (r *Response) ownFirst(node string) {
	for i, e := range r.Nodes[:min(nearest, len(r.Nodes))] {
		if strings.EqualFold(e.Node.Node, node) {
			r.Nodes[0], r.Nodes[i] = r.Nodes[i], r.Nodes[0]
			return
		}
	}
}

// takes tells whether the query gives an instance.
func (s *Service) takes(e *catalog.Entry) bool {
	return s.healthy(e.Checks) && s.tagged(e.Service.Tags) && has(e.Service.Meta, s.ServiceMeta)
}

func (s *Service) healthy(checks []*catalog.Check) bool {
	for _, c := range checks {
		if slices.Contains(s.IgnoreCheckIDs, c.CheckID) {
			continue
		}
		if c.Status == catalog.Critical || s.OnlyPassing && c.Status != catalog.Passing {
			return false
		}
	}
	return true
}

// tagged tells whether an instance has the tags that it must have and none that it must not.
func (s *Service) tagged(have []string) bool {
	for _, want := range s.Tags {
		tag, without := strings.CutPrefix(want, "!")
		if slices.ContainsFunc(have, func(t string) bool { return strings.EqualFold(t, tag) }) == without {
			return false
		}
	}
	return true
}

func has(meta, want map[string]string) bool {
	for k, v := range want {
		if got, ok := meta[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Choose gives at most limit instances, in random order unless they are sorted; 0 or less is all. The Response is
// shared and stays as it is.
func (r *Response) Choose(limit int) []*catalog.Entry {
	nodes := slices.Clone(r.Nodes)
	if !r.Sorted {
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	}
	if limit > 0 && len(nodes) > limit {
		nodes = nodes[:limit]
	}
	return nodes
}
