package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/state"
)

// Nodes answers NodesQuery.
func (s *Service) Nodes(tx *state.Tx, az acl.Authorizer, q *Nodes) (Listing[*Node], uint64, error) {
	var l Listing[*Node]
	filter, err := NewFilter[*Node](q.Filter)
	if err != nil {
		return l, 0, err
	}
	index := tx.Changed(nodes.Name())
	quiet := tx.Unwatched()
	for n := range nodes.All(quiet) {
		if !q.NodeMeta.in(n.Meta) {
			continue
		}
		if !az.Allow(acl.Node, n.Node, acl.Read) {
			l.Filtered = true
			continue
		}
		l.Rows = append(l.Rows, n)
	}
	if l.Rows, err = filter.Rows(l.Rows); err != nil {
		return l, 0, err
	}
	s.sort(quiet, q.Near, len(l.Rows), func(i int) string { return l.Rows[i].Node }, func(order []int) { permute(l.Rows, order) })
	return l, index, nil
}

// Node answers NodeQuery.
func (s *Service) Node(tx *state.Tx, az acl.Authorizer, q *OnNode) (*NodeServices, uint64, error) {
	list, index, err := s.NodeServices(tx, az, q)
	if err != nil || list.Node == nil && !list.Filtered {
		return nil, index, err
	}
	answer := &NodeServices{Node: list.Node, Services: map[string]*Instance{}, Filtered: list.Filtered}
	for _, i := range list.Services {
		answer.Services[i.ID] = i
	}
	return answer, index, nil
}

// MarshalJSON writes null for a node that may not be seen.
func (n *NodeServices) MarshalJSON() ([]byte, error) {
	if n == nil || n.Node == nil {
		return []byte("null"), nil
	}
	type plain NodeServices
	return json.Marshal((*plain)(n))
}

// NodeServices answers NodeServicesQuery.
func (s *Service) NodeServices(tx *state.Tx, az acl.Authorizer, q *OnNode) (*NodeServiceList, uint64, error) {
	filter, err := NewFilter[*Instance](q.Filter)
	if err != nil {
		return nil, 0, err
	}
	answer := &NodeServiceList{}
	n := FindNode(tx.Unwatched(), q.Node)
	if n == nil {
		if n = FindNodeByID(tx, q.Node); n == nil {
			return answer, changed(tx, nodeIndex, q.Node, nodes.Name()), nil
		}
	}
	index := max(tx.Changed(nodeIndex+strings.ToLower(n.Node)), tx.Changed(onNodeIndex+strings.ToLower(n.Node)))
	if !az.Allow(acl.Node, n.Node, acl.Read) {
		answer.Filtered = true
		return answer, index, nil
	}
	answer.Node, answer.Services = n, []*Instance{}
	for i := range instances.Prefix(tx.Unwatched(), "id", fold(n.Node)) {
		if !az.Allow(acl.Service, i.Service, acl.Read) {
			answer.Filtered = true
			continue
		}
		answer.Services = append(answer.Services, i.shown())
	}
	kept, err := filter.Rows(answer.Services)
	if kept == nil {
		kept = []*Instance{}
	}
	answer.Services = kept
	return answer, index, err
}

// shown is the instance as queries give it.
func (i *Instance) shown() *Instance {
	if i.Tags != nil {
		return i
	}
	c := *i
	c.Tags = []string{}
	return &c
}

// Services answers ServicesQuery.
func (s *Service) Services(tx *state.Tx, az acl.Authorizer, q *Services) (ServiceTags, uint64, error) {
	answer := ServiceTags{Tags: Lists{}}
	filter, err := NewFilter[*ServiceNode](q.Filter)
	if err != nil {
		return answer, 0, err
	}
	index := tx.Changed(instances.Name())
	byNode := filter != nil || !q.NodeMeta.empty()
	if byNode {
		index = max(index, tx.Changed(nodes.Name()))
	}
	quiet := tx.Unwatched()
	for i := range instances.Prefix(quiet, "service", "") {
		if byNode {
			n := FindNode(quiet, i.Node)
			if n == nil || !q.NodeMeta.in(n.Meta) {
				continue
			}
			if !az.Allow(acl.Service, i.Service, acl.Read) {
				answer.Filtered = true
				continue
			}
			if keep, err := filter.Keep(serviceNode(n, i)); err != nil {
				return answer, 0, err
			} else if !keep {
				continue
			}
		} else if !az.Allow(acl.Service, i.Service, acl.Read) {
			answer.Filtered = true
			continue
		}
		answer.add(i)
	}
	for _, tags := range answer.Tags {
		slices.Sort(tags)
	}
	return answer, index, nil
}

func (s *ServiceTags) add(i *Instance) {
	tags, ok := s.Tags[i.Service]
	if !ok {
		tags = []string{}
	}
	for _, t := range i.Tags {
		if !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	s.Tags[i.Service] = tags
}

// ServiceNodes answers ServiceNodesQuery.
func (s *Service) ServiceNodes(tx *state.Tx, az acl.Authorizer, q *ServiceNodes) (Listing[*ServiceNode], uint64, error) {
	var l Listing[*ServiceNode]
	filter, err := NewFilter[*ServiceNode](q.Filter)
	if err != nil {
		return l, 0, err
	}
	found := selection{service: q.Service, imported: q.Imported, tags: q.Tags.Items(), meta: q.NodeMeta, connect: q.Connect}
	index := found.index(tx)
	quiet := tx.Unwatched()
	l.Filtered = found.each(quiet, az, func(n *Node, i *Instance) { l.Rows = append(l.Rows, serviceNode(n, i)) })
	if l.Rows, err = filter.Rows(l.Rows); err != nil {
		return l, 0, err
	}
	s.sort(quiet, q.Near, len(l.Rows), func(i int) string { return l.Rows[i].Node }, func(order []int) { permute(l.Rows, order) })
	return l, index, nil
}

// GatewayServices answers GatewayQuery.
func (s *Service) GatewayServices(tx *state.Tx, az acl.Authorizer, q *GatewayServices) (Listing[*GatewayService], uint64, error) {
	var l Listing[*GatewayService]
	if err := acl.Require(az, acl.Service, q.Gateway, acl.Read); err != nil {
		return l, 0, err
	}
	index := changed(tx, serviceIndex, q.Gateway, instances.Name())
	if s.Gateways == nil {
		return l, index, nil
	}
	behind, at := s.Gateways.Behind(tx, q.Gateway)
	for _, g := range behind {
		if az.Allow(acl.Service, g.Service.Name, acl.Read) {
			l.Rows = append(l.Rows, g)
		} else {
			l.Filtered = true
		}
	}
	return l, max(index, at), nil
}

// Gateways tells which services gateways stand before, from what catalog knows nothing of. It watches what it reads.
type Gateways interface {
	// Behind lists the services that a gateway stands before.
	Behind(tx *state.Tx, gateway string) (services []*GatewayService, index uint64)
	// Before lists the gateways through which a service is reached from outside of the mesh.
	Before(tx *state.Tx, service string) (gateways []string, index uint64)
}

// A selection is the instances that a query asks for.
type selection struct {
	service  string
	tags     []string
	meta     Pairs
	connect  bool
	imported bool
}

// index watches the instances and gives the index at which they last changed.
func (q *selection) index(tx *state.Tx) uint64 {
	if q.connect {
		return changed(tx, connectIndex, q.service, instances.Name())
	}
	return changed(tx, serviceIndex, q.service, instances.Name())
}

// each visits the instances with their nodes and tells whether some were left out that the token may not see.
func (q *selection) each(tx *state.Tx, az acl.Authorizer, visit func(*Node, *Instance)) (filtered bool) {
	by := "service"
	if q.connect {
		by = "connect"
	}
	for i := range instances.Each(tx, by, fold(q.service)) {
		n := FindNode(tx, i.Node)
		if n == nil || (i.PeerName != "") != q.imported || !q.meta.in(n.Meta) || !i.tagged(q.tags) {
			continue
		}
		if !az.Allow(acl.Node, n.Node, acl.Read) || !az.Allow(acl.Service, i.Service, acl.Read) {
			filtered = true
			continue
		}
		visit(n, i)
	}
	return filtered
}

// tagged tells whether the instance has all of the tags, in any case.
func (i *Instance) tagged(all []string) bool {
	for _, want := range all {
		if !slices.ContainsFunc(i.Tags, func(t string) bool { return strings.EqualFold(t, want) }) {
			return false
		}
	}
	return true
}

// AtAddress answers AddressQuery.
func (s *Service) AtAddress(tx *state.Tx, az acl.Authorizer, q *AtAddress) (*Holders, uint64, error) {
	h := &Holders{}
	for n := range nodes.Each(tx, "address", fold(q.Address)) {
		if az.Allow(acl.Node, n.Node, acl.Read) {
			h.Nodes = append(h.Nodes, n)
		}
	}
	for i := range instances.Each(tx, "address", fold(q.Address)) {
		n := FindNode(tx, i.Node)
		if n != nil && az.Allow(acl.Node, n.Node, acl.Read) && az.Allow(acl.Service, i.Service, acl.Read) {
			h.Instances = append(h.Instances, &Entry{Node: n, Service: i.shown()})
		}
	}
	return h, tx.Unwatched().Changed(nodes.Name(), instances.Name()), nil
}

// VirtualAddress answers VirtualAddressQuery.
func (s *Service) VirtualAddress(tx *state.Tx, az acl.Authorizer, q *VirtualAddress) (string, uint64, error) {
	index := tx.Unwatched().Changed(virtuals.Name())
	if !az.Allow(acl.Service, q.Service, acl.Read) {
		return "", index, nil
	}
	if v := virtuals.Get(tx, fold(q.Service)); v != nil {
		return v.Address(), index, nil
	}
	return "", index, nil
}

// Usage answers UsageQuery.
func (s *Service) Usage(tx *state.Tx, az acl.Authorizer, _ *Count) (Usage, uint64, error) {
	u := Usage{ConnectServiceInstances: map[string]int{}}
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return u, 0, err
	}
	for _, kind := range []string{ConnectProxy, MeshGatewayKind, TerminatingGateway, IngressGateway, APIGateway, connectNative} {
		u.ConnectServiceInstances[kind] = 0
	}
	index := tx.Changed(nodes.Name(), instances.Name())
	quiet := tx.Unwatched()
	for range nodes.All(quiet) {
		u.Nodes++
	}
	names := map[string]bool{}
	for i := range instances.All(quiet) {
		u.count(i)
		names[strings.ToLower(i.Service)] = true
	}
	u.Services = len(slices.Collect(maps.Keys(names)))
	return u, index, nil
}

// connectNative is how instances that take part in the mesh by themselves are counted.
const connectNative = "connect-native"

func (u *Usage) count(i *Instance) {
	u.ServiceInstances++
	if _, ok := u.ConnectServiceInstances[i.Kind]; ok {
		u.ConnectServiceInstances[i.Kind]++
	} else if i.Service != "consul" {
		u.BillableServiceInstances++
	}
	if i.Connect.Native {
		u.ConnectServiceInstances[connectNative]++
	}
}
