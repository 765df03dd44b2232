package query

import (
	"strings"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. GetQuery fails if there is no such query; the answers of the last two are nil then.
var (
	ListQuery    = rpc.Query[List, catalog.Listing[*Query]]{Name: "PreparedQuery.List"}
	GetQuery     = rpc.Query[Get, catalog.Listing[*Query]]{Name: "PreparedQuery.Get"}
	ExplainQuery = rpc.Query[Explain, *Query]{Name: "PreparedQuery.Explain"}
	ExecuteQuery = rpc.Query[Execute, *Response]{Name: "PreparedQuery.Execute"}
)

// List asks for all queries.
type List struct{}

// Get asks for one query by its ID.
type Get struct{ ID string }

// Explain asks what a query is, once its template is filled in.
type Explain struct {
	Name    string // or ID
	Segment string // of the agent
}

// Execute asks what a query finds.
type Execute struct {
	Name    string // or ID
	Near    string // goes before what the query says; "" says nothing
	Agent   string // the node that asks
	Segment string // of that node
	IP      string // of the asker; needed only where a Response says so
	Connect bool   // as if the query asked for it
}

// hidden is shown in place of tokens.
const hidden = "<hidden>"

// shown is the query as the token may see it.
func (q *Query) shown(az acl.Authorizer) *Query {
	if q.Token == "" || manages(az) {
		return q
	}
	r := *q
	r.Token = hidden
	return &r
}

func manages(az acl.Authorizer) bool { return az.Allow(acl.ACL, "", acl.Write) }

// List answers ListQuery. Queries without names are shown to management alone.
func (k *Keeper) List(tx *state.Tx, az acl.Authorizer, _ *List) (catalog.Listing[*Query], uint64, error) {
	var l catalog.Listing[*Query]
	index := tx.Changed(Queries.Name())
	all := manages(az)
	for q := range Queries.All(tx.Unwatched()) {
		switch {
		case all || q.guarded() && az.Allow(acl.Query, q.Name, acl.Read):
			l.Rows = append(l.Rows, q.shown(az))
		case q.guarded():
			l.Filtered = true
		}
	}
	return l, index, nil
}

// Get answers GetQuery. A query without a name is shown to who has its ID.
func (k *Keeper) Get(tx *state.Tx, az acl.Authorizer, g *Get) (catalog.Listing[*Query], uint64, error) {
	var l catalog.Listing[*Query]
	if err := checkID(g.ID); err != nil {
		return l, 0, err
	}
	q := Queries.Get(tx, g.ID)
	if q == nil {
		return l, 0, ErrNotFound
	}
	if err := mayRead(az, q); err != nil {
		return l, 0, err
	}
	l.Rows = append(l.Rows, q.shown(az))
	return l, q.ModifyIndex, nil
}

func mayRead(az acl.Authorizer, q *Query) error {
	if !q.guarded() || manages(az) {
		return nil
	}
	return acl.Require(az, acl.Query, q.Name, acl.Read)
}

// resolve finds the query that an ID or a name stands for: exact names win, then the template with the longest name.
// It is nil if there is none.
func resolve(tx *state.Tx, name, segment string) (*Query, error) {
	if name == "" || len(name) > maxName {
		return nil, nil
	}
	if validID(name) == nil {
		if q := Queries.Get(tx, name); q != nil {
			if q.isTemplate() {
				return nil, errByID(name)
			}
			return q, nil
		}
	}
	q := Queries.First(tx, "name", fold(name))
	if q == nil {
		q = longest(tx, strings.ToLower(name))
	}
	if q == nil || !q.isTemplate() {
		return q, nil
	}
	filled, err := q.render(name, segment)
	if err != nil {
		return nil, rpc.Errorf(rpc.Internal, "%v", err)
	}
	return filled, nil
}

// longest finds the template whose name is the longest beginning of a name.
func longest(tx *state.Tx, name string) *Query {
	for n := len(name); n >= 0; n-- {
		if q := Queries.First(tx, "template", state.Key(name[:n])); q != nil {
			return q
		}
	}
	return nil
}

// Explain answers ExplainQuery.
func (k *Keeper) Explain(tx *state.Tx, az acl.Authorizer, e *Explain) (*Query, uint64, error) {
	defer k.Times.Explain.Since(time.Now())
	index := tx.Changed(Queries.Name())
	q, err := resolve(tx.Unwatched(), e.Name, e.Segment)
	if err != nil || q == nil {
		return nil, index, err
	}
	if err := mayRead(az, q); err != nil {
		return nil, 0, err
	}
	return q.shown(az), index, nil
}
