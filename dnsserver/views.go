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

// FromViews is a Lookup in the catalog for the agent on a node. Prepared queries fail over to the remotes, of which there
// are none if they are nil.
func FromViews(v *view.Views, node string, remotes prepared.Remotes) Lookup {
	return &views{v, node, remotes}
}

type views struct {
	all     *view.Views
	node    string
	remotes prepared.Remotes
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
	a, err := view.Read(ctx, v.all, prepared.ExecuteQuery, from.options(), prepared.Execute{Name: q.Name, Agent: v.node, IP: q.IP})
	away := false
	f, err := found(a, err, func(r *prepared.Response) *QueryAnswer {
		if r == nil {
			return nil
		}
		r = r.Elsewhere(ctx, from.Token, v.remotes)
		away = r.Failovers > 0
		return &QueryAnswer{Service: r.Service, Datacenter: r.Datacenter, TTL: r.DNS.TTL, Sorted: r.Sorted, ByIP: r.ByIP,
			Instances: instancesOf(catalog.Listing[*catalog.Entry]{Rows: r.Nodes})}
	})
	if away {
		f.Live = nil // what there is elsewhere may change, and this one does not tell
	}
	return f, err
}

func (v *views) Virtual(ctx context.Context, from *Place, service string) (Found[netip.Addr], error) {
	a, err := view.Read(ctx, v.all, catalog.VirtualAddressQuery, from.options(), catalog.VirtualAddress{Service: service})
	return found(a, err, func(address string) netip.Addr {
		addr, _ := netip.ParseAddr(address)
		return addr
	})
}
