package configentry

import (
	"iter"
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
	tx = tx.Unwatched()
	see := &sight{tx: tx}
	var all []*catalog.GatewayService
	row := func(e *Entry, service string) *catalog.GatewayService {
		r := &catalog.GatewayService{GatewayKind: e.Kind, CreateIndex: e.CreateIndex, ModifyIndex: e.ModifyIndex}
		r.Gateway.Name, r.Service.Name = e.Name, service
		all = append(all, r)
		return r
	}
	if e := see.find(IngressGateway, gateway); e != nil {
		if g := content[Ingress](see, IngressGateway, gateway); g != nil {
			for _, l := range g.Listeners {
				for _, s := range l.Services {
					r := row(e, s.Name)
					r.Port, r.Protocol, r.Hosts = l.Port, l.Protocol, s.Hosts
				}
			}
		}
	}
	if e := see.find(TerminatingGateway, gateway); e != nil {
		if g := content[Terminating](see, TerminatingGateway, gateway); g != nil {
			for _, s := range g.Services {
				r := row(e, s.Name)
				r.CAFile, r.CertFile, r.KeyFile, r.SNI, r.AutoHostRewrite = s.CAFile, s.CertFile, s.KeyFile, s.SNI, !s.DisableAutoHostRewrite
			}
		}
	}
	return all, index
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
