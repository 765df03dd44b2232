package query

import (
	"context"
	"slices"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o failover_gen.go -tests=false -io=false
//msgp:ignore Remotes

// The methods of failover. ElsewhereMethod executes a query that finds nothing in its own datacenter where else it says;
// its answer is nil if there is no such query. SearchMethod is what one datacenter asks the other.
var (
	ElsewhereMethod = rpc.Method[Elsewhere, *Response]{Name: "PreparedQuery.Elsewhere", Anywhere: true, Repeatable: true}
	SearchMethod    = rpc.Method[Search, *Response]{Name: "PreparedQuery.Search", Anywhere: true, Repeatable: true}
)

// Elsewhere asks what a query finds if this datacenter has nothing. Token is the asker's, with which other datacenters are
// asked unless the query has one of its own.
type Elsewhere struct {
	Execute Execute
	Token   string
	Limit   int // instances at most; 0 or less is all
}

// A Search asks a datacenter for what a query of another one finds there. Its template is filled in.
type Search struct {
	Service Service
	DNS     DNS
	Limit   int
}

// Remotes are the other datacenters.
type Remotes interface {
	// Nearest lists those that are known, the nearest first.
	Nearest() []string
	// Search blocks for what one of them finds with the rights of a token. It does not fail over.
	Search(ctx context.Context, datacenter, token string, s *Search) (*Response, error)
}

// any tells whether there is anywhere else to look.
func (f *Failover) any() bool {
	return f.NearestN > 0 || len(f.Datacenters) > 0 || len(f.Targets) > 0
}

// Elsewhere answers ElsewhereMethod: with what this datacenter has, if by now that is anything, or else with what the
// first one has that has something. Those that are not known are passed over, as are those that fail. Only servers make
// calls to other datacenters, so that the token of a query stays among them.
func (k *Keeper) Elsewhere(ctx context.Context, az acl.Authorizer, e *Elsewhere) (*Response, error) {
	tx := k.Log.DB().Read().Unwatched()
	r, _, err := k.Execute(tx, az, &e.Execute)
	if err != nil || r == nil || len(r.Nodes) > 0 || k.Remotes == nil {
		return r, err
	}
	q, err := e.Execute.find(tx)
	if err != nil || q == nil {
		return nil, err
	}
	token := e.Token
	if q.Token != "" {
		token = q.Token
	}
	s, tried := &Search{q.Service, q.DNS, e.Limit}, 0
	for _, dc := range q.Service.Failover.order(k.Remotes.Nearest()) {
		if dc == k.Datacenter {
			continue
		}
		tried++
		found, err := k.Remotes.Search(ctx, dc, token, s)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || found == nil {
			continue
		}
		r = found
		if len(r.Nodes) > 0 {
			break
		}
	}
	r.Failovers = tried
	return r, nil
}

// Search answers SearchMethod.
func (k *Keeper) Search(ctx context.Context, az acl.Authorizer, s *Search) (*Response, error) {
	defer k.Times.Remote.Since(time.Now())
	if err := s.Service.validate(); err != nil {
		return nil, rpc.Errorf(rpc.Invalid, "Invalid prepared query: %v", err)
	}
	if _, err := k.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	r := &Response{DNS: s.DNS}
	if _, err := k.fill(k.Log.DB().Read().Unwatched(), az, r, &search{Service: &s.Service}); err != nil {
		return nil, err
	}
	r.Nodes = r.Choose(s.Limit)
	return r, nil
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
