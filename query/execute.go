package query

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

// nearest is among how many of the nearest an agent's own instance goes first.
const nearest = 10

// Execute answers ExecuteQuery.
func (k *Keeper) Execute(tx *state.Tx, az acl.Authorizer, e *Execute) (*Response, uint64, error) {
	defer k.Times.Execute.Since(time.Now())
	index := tx.Changed(Queries.Name())
	q, err := resolve(tx.Unwatched(), e.Name, e.Segment)
	if err != nil || q == nil {
		return nil, index, err
	}
	if q.Token != "" && k.Resolve != nil {
		if az, err = k.Resolve(tx, q.Token); err != nil {
			return nil, 0, err
		}
	}
	rendered := q.Service
	rendered.Connect = rendered.Connect || e.Connect
	r := &Response{Service: rendered.Service, DNS: q.DNS, Datacenter: k.Datacenter, Rendered: &rendered}
	near, err := k.near(tx, az, r, e)
	if err != nil {
		return nil, 0, err
	}
	at, err := k.find(tx, az, r, near)
	if err != nil {
		return nil, 0, err
	}
	if near == e.Agent {
		r.ownFirst(near)
	}
	return r, max(index, at), nil
}

// find finds the instances that are looked for.
func (k *Keeper) find(tx *state.Tx, az acl.Authorizer, r *Response, near string) (index uint64, err error) {
	s := r.Rendered
	found, index, err := k.Catalog.ServiceHealth(tx, az, &catalog.ServiceHealth{Service: s.Service, Connect: s.Connect,
		NodeMeta: catalog.PairsOf(s.NodeMeta), Near: near})
	if err != nil {
		return 0, err
	}
	r.Filtered, r.Sorted = found.Filtered, near != ""
	r.Nodes = slices.DeleteFunc(found.Rows, func(i *catalog.Entry) bool { return !s.takes(i) })
	for _, i := range r.Nodes {
		if len(i.Checks) == 0 {
			i.Checks = nil // as it is shown
		}
	}
	return index, nil
}

// Seek answers SeekQuery.
func (k *Keeper) Seek(tx *state.Tx, az acl.Authorizer, q *Seek) (*Response, uint64, error) {
	s := new(Service)
	if err := rpc.Decode([]byte(q.Service), s); err != nil {
		return nil, 0, rpc.Errorf(rpc.Invalid, "what is looked for cannot be read: %s", err)
	}
	r := &Response{Service: s.Service, Datacenter: k.Datacenter, Rendered: s}
	index, err := k.find(tx, az, r, "")
	return r, index, err
}

// near is the node that the nearest come first to; "" if there is none.
func (k *Keeper) near(tx *state.Tx, az acl.Authorizer, r *Response, e *Execute) (string, error) {
	near := r.Rendered.Near
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

// Remotes are the other datacenters.
type Remotes interface {
	// Nearest lists all datacenters, the nearest first.
	Nearest(ctx context.Context) []string
	// Execute looks in a datacenter for what a query, with its template filled in, is to find. It does not fail over.
	Execute(ctx context.Context, to rpc.Header, s *Service) (*Response, error)
}

// Elsewhere looks in other datacenters if there is nothing in this one, and gives what the first one has that has
// something, for who holds a token. Those that are not known are passed over, as are those that fail. Remotes may be nil.
func (r *Response) Elsewhere(ctx context.Context, token string, others Remotes) *Response {
	if f := &r.Rendered.Failover; len(r.Nodes) > 0 || others == nil || f.NearestN <= 0 && len(f.Datacenters)+len(f.Targets) == 0 {
		return r
	}
	last, tried := *r, 0
	known := slices.DeleteFunc(others.Nearest(ctx), func(dc string) bool { return dc == r.Datacenter })
	for _, dc := range r.Rendered.Failover.order(known) {
		tried++
		found, err := others.Execute(ctx, rpc.Header{Token: token, Datacenter: dc}, r.Rendered)
		if err != nil {
			continue
		}
		last = *found
		last.DNS = r.DNS
		if len(last.Nodes) > 0 {
			break
		}
	}
	last.Failovers = tried
	return &last
}

// order lists the known datacenters to be looked at: the nearest so many, then the named ones, each once.
func (f *Failover) order(known []string) []string {
	list := slices.Clone(known[:min(max(f.NearestN, 0), len(known))])
	names := slices.Clone(f.Datacenters)
	for _, t := range f.Targets {
		names = append(names, t.Datacenter)
	}
	for _, dc := range names {
		if slices.Contains(known, dc) && !slices.Contains(list, dc) {
			list = append(list, dc)
		}
	}
	return list
}
