package configentry

import (
	"iter"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Their answers hold what the token may read.
var (
	GetQuery  = rpc.Query[Get, Listing]{Name: "ConfigEntry.Get"}
	ListQuery = rpc.Query[List, Listing]{Name: "ConfigEntry.List"}
)

// A Listing is an answer with any number of entries.
type Listing = catalog.Listing[*Entry]

// Get asks for one entry; the answer has it or none.
type Get struct{ Kind, Name string }

// List asks for the entries of one kind, or with "" of all. Filter may speak of Kind, Name and Meta.
type List struct {
	Kind   string
	Filter string
}

// Get answers GetQuery.
func (s *Service) Get(tx *state.Tx, az acl.Authorizer, q *Get) (Listing, uint64, error) {
	if !KnownKind(q.Kind) {
		return Listing{}, 0, unknownKind(q.Kind)
	}
	if err := may(az, q.Kind, q.Name, acl.Read); err != nil {
		return Listing{}, 0, err
	}
	e := Find(tx, q.Kind, q.Name)
	if e == nil {
		return Listing{}, tx.Unwatched().Changed(kindIndex + q.Kind), nil
	}
	return Listing{Rows: []*Entry{e}}, e.ModifyIndex, nil
}

// List answers ListQuery.
func (s *Service) List(tx *state.Tx, az acl.Authorizer, q *List) (Listing, uint64, error) {
	var l Listing
	filter, err := catalog.NewFilter[*filtered](q.Filter)
	if err != nil {
		return l, 0, err
	}
	quiet := tx.Unwatched()
	var index uint64
	var all iter.Seq[*Entry]
	switch {
	case q.Kind == "":
		index, all = tx.Changed(Entries.Name()), Entries.All(quiet)
	case KnownKind(q.Kind):
		index, all = tx.Changed(kindIndex+q.Kind), Entries.Prefix(quiet, "id", state.Key(q.Kind))
	default:
		return l, 0, unknownKind(q.Kind)
	}
	for e := range all {
		if may(az, e.Kind, e.Name, acl.Read) != nil {
			l.Filtered = true
			continue
		}
		if filter != nil {
			row, err := e.filtered()
			if err != nil {
				return l, 0, err
			}
			if keep, err := filter.Keep(row); err != nil || !keep {
				if err != nil {
					return l, 0, err
				}
				continue
			}
		}
		l.Rows = append(l.Rows, e)
	}
	return l, index, nil
}

// Gateways are catalog.Gateways by the entries of ingress-gateway and terminating-gateway.
type Gateways struct{}

// Behind implements catalog.Gateways.
func (Gateways) Behind(tx *state.Tx, gateway string) ([]*catalog.GatewayService, uint64) {
	index := tx.Changed(kindIndex+IngressGateway, kindIndex+TerminatingGateway)
	watched := tx
	see := &sight{tx: tx.Unwatched()}
	b := &behind{sight: see, names: func() []string {
		names, at := catalog.ServiceNames(watched)
		index = max(index, at, watched.Changed(kindIndex+ServiceDefaults, kindIndex+ProxyDefaults)) // which say what they speak
		return names
	}}
	if g := content[Ingress](see, IngressGateway, gateway); g != nil {
		e := see.find(IngressGateway, gateway)
		for _, l := range g.Listeners {
			for _, s := range l.Services {
				b.add(e, s.Name, l.Protocol, catalog.GatewayService{Port: l.Port, Protocol: l.Protocol, Hosts: s.Hosts})
			}
		}
	}
	if g := content[Terminating](see, TerminatingGateway, gateway); g != nil {
		e := see.find(TerminatingGateway, gateway)
		for _, s := range g.Services {
			b.add(e, s.Name, "", catalog.GatewayService{CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile, SNI: s.SNI,
				AutoHostRewrite: !s.DisableAutoHostRewrite})
		}
	}
	return append(b.named, b.wild...), index
}

// behind collects what is behind a gateway: services that are named, and those that a wildcard stands for.
type behind struct {
	*sight
	names       func() []string // all services there are
	named, wild []*catalog.GatewayService
}

// add adds a service, or with the wildcard each service that speaks the protocol, or any if that is "".
func (b *behind) add(e *Entry, service, protocol string, row catalog.GatewayService) {
	row.GatewayKind, row.CreateIndex, row.ModifyIndex = e.Kind, e.CreateIndex, e.ModifyIndex
	row.Gateway.Name, row.Service.Name = e.Name, service
	if service != wildcard {
		b.named = append(b.named, &row)
		return
	}
	row.FromWildcard = true
	explicit := e.Mentions
	for _, name := range b.names() {
		if slices.Contains(explicit, strings.ToLower(name)) || protocol != "" && b.protocol(name) != protocol {
			continue
		}
		one := row
		one.Service.Name = name
		b.wild = append(b.wild, &one)
	}
}

// Before implements catalog.Gateways.
func (Gateways) Before(tx *state.Tx, service string) ([]string, uint64) {
	index := tx.Changed(kindIndex+IngressGateway, kindIndex+ServiceDefaults, kindIndex+ProxyDefaults)
	tx = tx.Unwatched()
	var names []string
	for e := range Entries.Each(tx, "mentions", state.Key(strings.ToLower(service))) {
		if e.Kind == IngressGateway {
			names = append(names, e.Name)
		}
	}
	if layered(Protocol(tx, service)) {
		for e := range Entries.Each(tx, "mentions", state.Key(wildcard)) {
			if e.Kind == IngressGateway {
				names = append(names, e.Name)
			}
		}
	}
	return lowered(names), index
}
