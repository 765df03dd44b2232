// Package query keeps prepared queries: their definitions, their templates, and what executing one finds in the
// catalog. It knows nothing of HTTP or DNS, and reaches other datacenters through Remotes alone.
package query

import (
	"strings"

	"lictor/catalog"
	"lictor/session"
	"lictor/state"
)

//go:generate go tool msgp -o query_gen.go -tests=false -io=false

// A Query is a prepared query, as clients see it and as it is stored.
type Query struct {
	ID          string
	Name        string
	Session     string // with which the query ends; "" is none
	Token       string // with whose rights the query is executed; "" is the asker's
	Template    Template
	Service     Service
	DNS         DNS
	CreateIndex uint64
	ModifyIndex uint64
}

// A Template makes a query of many names.
type Template struct {
	Type            string // PrefixMatch, or "" for a plain query
	Regexp          string
	RemoveEmptyTags bool
}

// maxName is how many bytes a name has at most: longer ones are those of no query.
const maxName = 1024

// maxRegexp is how many bytes the expression of a template has at most, as it is matched with each name.
const maxRegexp = 1024

// PrefixMatch is the type of templates that take all names which begin with their own.
const PrefixMatch = "name_prefix_match"

// A Service says which instances a query finds.
type Service struct {
	Service        string
	SamenessGroup  string
	Peer           string
	Failover       Failover
	OnlyPassing    bool
	IgnoreCheckIDs []string          `msg:"IgnoreCheckIDs,allownil"`
	Near           string            // a node, NearAgent or NearIP; "" is in random order
	Tags           []string          `msg:"Tags,allownil"` // each must be there, or with ! before it must not
	NodeMeta       map[string]string `msg:"NodeMeta,allownil"`
	ServiceMeta    map[string]string `msg:"ServiceMeta,allownil"`
	Connect        bool
}

// What Near may say in place of a node.
const (
	NearAgent = "_agent"
	NearIP    = "_ip"
)

// A Failover says where to look if there is nothing in this datacenter.
type Failover struct {
	NearestN    int
	Datacenters []string `msg:"Datacenters,allownil"`
	Targets     []Target `msg:"Targets,allownil"`
}

// A Target is one place to look.
type Target struct {
	Peer       string `json:",omitempty"`
	Datacenter string `json:",omitempty"`
}

// DNS says how answers over DNS are given.
type DNS struct {
	TTL string // "" is that of the service
}

// Queries is the table.
var Queries = state.NewTable("prepared-queries", func(q *Query) string { return q.ID },
	state.Index[Query]{Name: "name", Keys: (*Query).nameKeys},
	state.Index[Query]{Name: "template", Keys: (*Query).templateKeys},
	state.Index[Query]{Name: "session", Keys: state.One(func(q *Query) string { return keyOf(q.Session) })})

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{Queries} }

func keyOf(s string) string {
	if s == "" {
		return ""
	}
	return state.Key(s)
}

func fold(name string) string { return state.Key(strings.ToLower(name)) }

func (q *Query) nameKeys() []string {
	if q.Name == "" {
		return nil
	}
	return []string{fold(q.Name)}
}

func (q *Query) templateKeys() []string {
	if !q.isTemplate() {
		return nil
	}
	return []string{fold(q.Name)}
}

func (q *Query) isTemplate() bool { return q.Template.Type != "" }

// guarded tells whether access to the query is asked for by its name. Others are known to who has their ID.
func (q *Query) guarded() bool { return q.Name != "" || q.isTemplate() }

// Cascade removes the queries of sessions that have ended. It is called in the transaction of each command, after
// session.Cascade, whose facts it leaves in their place.
func Cascade(tx *state.Tx) {
	for _, fact := range tx.Events() {
		if ended, ok := fact.(session.Ended); ok {
			for q := range Queries.Each(tx, "session", state.Key(ended.ID)) {
				Queries.Delete(tx, q)
			}
		}
		tx.Emit(fact)
	}
}

// A Response is what the execution of a query finds.
type Response struct {
	Service    string
	Nodes      []*catalog.Entry `msg:"Nodes,allownil"`
	DNS        DNS
	Datacenter string
	Failovers  int

	Filtered  bool `json:"-"` // instances were left out that the token may not see
	Sorted    bool `json:"-"` // the nearest come first; else the order says nothing
	ByIP      bool `json:"-"` // the order depends on the asker's address
	FailsOver bool `json:"-"` // the query says where else to look if there are no Nodes: see ElsewhereMethod
}
