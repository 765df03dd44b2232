package dnsserver

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"lictor/catalog"
	prepared "lictor/query"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// FromViews is a Lookup in the catalog for the agent on a node. The servers are called only for prepared queries that find
// nothing here and say where else to look.
func FromViews(v *view.Views, node string, servers rpc.Caller) Lookup {
	return &views{v, node, servers}
}

type views struct {
	all     *view.Views
	node    string
	servers rpc.Caller
}

// options say how a read is made for a place.
func (p *Place) options() *view.Options {
	o := &view.Options{Header: rpc.Header{Token: p.Token, Datacenter: p.Datacenter}}
	if p.AllowStale {
		o.Consistency, o.MaxStale, o.Cached = state.Stale, p.MaxStale, true
	}
	return o
}

// found makes what a lookup gives of what a view answered.
func found[R, T any](a view.Answer[R], err error, value func(R) T) (Found[T], error) {
	if err != nil {
		return Found[T]{}, err
	}
	return Found[T]{Value: value(a.Value()), Live: a.Result, LastContact: a.LastContact}, nil
}

func (v *views) Service(ctx context.Context, from *Place, q ServiceQuestion) (Found[[]Instance], error) {
	args := catalog.ServiceHealth{Service: q.Name, Connect: q.Connect, Ingress: q.Ingress}
	if q.Tag != "" {
		args.Tags = catalog.ListOf(q.Tag)
	}
	a, err := view.Read(ctx, v.all, catalog.ServiceHealthQuery, from.options(), args)
	return found(a, err, instancesOf)
}

func instancesOf(l catalog.Listing[*catalog.Entry]) []Instance {
	out := make([]Instance, len(l.Rows))
	for i, e := range l.Rows {
		out[i] = Instance{Node: e.Node, Service: e.Service, Status: worst(e.Checks)}
	}
	return out
}

// worst is the state that stands for several checks.
func worst(checks []*catalog.Check) string {
	status := catalog.Passing
	for _, c := range checks {
		switch c.Status {
		case catalog.Passing:
		case catalog.Warning:
			status = catalog.Warning
		default:
			return catalog.Critical
		}
	}
	return status
}

func (v *views) Node(ctx context.Context, from *Place, name string) (Found[*catalog.Node], error) {
	a, err := view.Read(ctx, v.all, catalog.NodeQuery, from.options(), catalog.OnNode{Node: name})
	return found(a, err, func(n *catalog.NodeServices) *catalog.Node {
		if n == nil {
			return nil
		}
		return n.Node
	})
}

func (v *views) Address(ctx context.Context, from *Place, addr netip.Addr) (Found[Owner], error) {
	a, err := view.Read(ctx, v.all, catalog.AddressQuery, from.options(), catalog.AtAddress{Address: addr.Unmap().String()})
	return found(a, err, ownersOf)
}

func ownersOf(h *catalog.Holders) Owner {
	var o Owner
	if h == nil {
		return o
	}
	for _, n := range h.Nodes {
		o.Nodes = append(o.Nodes, n.Node)
	}
	for _, e := range h.Instances {
		if s := strings.ToLower(e.Service.Service); !slices.Contains(o.Services, s) {
			o.Services = append(o.Services, s)
		}
	}
	return o
}

func (v *views) Query(ctx context.Context, from *Place, q QueryQuestion) (Found[*QueryAnswer], error) {
	opts, args := from.options(), prepared.Execute{Name: q.Name, Agent: v.node, IP: q.IP}
	a, err := view.Read(ctx, v.all, prepared.ExecuteQuery, opts, args)
	if err != nil {
		return Found[*QueryAnswer]{}, err
	}
	if r := a.Value(); r == nil || len(r.Nodes) > 0 || !r.FailsOver {
		return found(a, nil, queryAnswerOf)
	}
	r, err := prepared.ElsewhereMethod.Call(ctx, v.servers, opts.Header, &prepared.Elsewhere{Execute: args, Token: from.Token})
	if err != nil {
		return Found[*QueryAnswer]{}, err
	}
	return Found[*QueryAnswer]{Value: queryAnswerOf(r)}, nil // nobody tells how long that holds
}

func queryAnswerOf(r *prepared.Response) *QueryAnswer {
	if r == nil {
		return nil
	}
	return &QueryAnswer{Service: r.Service, Datacenter: r.Datacenter, TTL: r.DNS.TTL, Sorted: r.Sorted, ByIP: r.ByIP,
		Instances: instancesOf(catalog.Listing[*catalog.Entry]{Rows: r.Nodes})}
}

func (v *views) Virtual(ctx context.Context, from *Place, service string) (Found[netip.Addr], error) {
	a, err := view.Read(ctx, v.all, catalog.VirtualAddressQuery, from.options(), catalog.VirtualAddress{Service: service})
	return found(a, err, func(address string) netip.Addr {
		addr, _ := netip.ParseAddr(address)
		return addr
	})
}
