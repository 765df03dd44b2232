package dnsserver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"lictor/catalog"
	"lictor/rpc"
)

// memory is a Lookup in plain maps, in datacenter dc1. A change makes all earlier answers stale.
type memory struct {
	mu       sync.Mutex
	now      *moment
	nodes    map[string]*catalog.Node
	services map[string][]Instance
	virtual  map[string]netip.Addr
	asked    atomic.Int64
	fail     error
}

type moment struct{ over atomic.Bool }

func (m *moment) Fresh() bool { return !m.over.Load() }

func newMemory() *memory {
	return &memory{now: &moment{}, nodes: map[string]*catalog.Node{}, services: map[string][]Instance{}, virtual: map[string]netip.Addr{}}
}

// change makes a change.
func (m *memory) change(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	m.now.over.Store(true)
	m.now = &moment{}
}

func (m *memory) node(n *catalog.Node) *catalog.Node {
	n.Datacenter = "dc1"
	m.change(func() { m.nodes[strings.ToLower(n.Node)] = n })
	return n
}

func (m *memory) service(n *catalog.Node, s *catalog.Instance, status string) {
	m.change(func() {
		m.services[strings.ToLower(s.Service)] = append(m.services[strings.ToLower(s.Service)], Instance{n, s, status})
	})
}

func answerOf[T any](m *memory, from *Place, find func() T) (Found[T], error) {
	m.asked.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if from.Datacenter != "" && from.Datacenter != "dc1" {
		return Found[T]{}, rpc.ErrNoDatacenter
	}
	if m.fail != nil {
		return Found[T]{}, m.fail
	}
	return Found[T]{Value: find(), Live: m.now}, nil
}

func (m *memory) Service(_ context.Context, from *Place, q ServiceQuestion) (Found[[]Instance], error) {
	return answerOf(m, from, func() (out []Instance) {
		if q.Ingress {
			return nil
		}
		if q.Connect {
			for _, all := range m.services {
				for _, i := range all {
					if i.Service.Proxy.DestinationServiceName == q.Name {
						out = append(out, i)
					}
				}
			}
			return out
		}
		for _, i := range m.services[q.Name] {
			if q.Tag == "" || tagged(i.Service.Tags, q.Tag) {
				out = append(out, i)
			}
		}
		return out
	})
}

func tagged(tags []string, tag string) bool {
	for _, t := range tags {
		if strings.EqualFold(t, tag) {
			return true
		}
	}
	return false
}

func (m *memory) Node(_ context.Context, from *Place, name string) (Found[*catalog.Node], error) {
	return answerOf(m, from, func() *catalog.Node { return m.nodes[name] })
}

func (m *memory) Address(_ context.Context, from *Place, addr netip.Addr) (Found[Owner], error) {
	return answerOf(m, from, func() (o Owner) {
		for _, n := range m.nodes {
			if n.Address == addr.String() {
				o.Nodes = append(o.Nodes, n.Node)
			}
		}
		for name, all := range m.services {
			for _, i := range all {
				if i.Service.Address == addr.String() {
					o.Services = append(o.Services, name)
				}
			}
		}
		return o
	})
}

func (m *memory) Virtual(_ context.Context, from *Place, service string) (Found[netip.Addr], error) {
	return answerOf(m, from, func() netip.Addr { return m.virtual[service] })
}

func (m *memory) Query(context.Context, *Place, QueryQuestion) (Found[*QueryAnswer], error) {
	return Found[*QueryAnswer]{Live: m.now}, nil
}
