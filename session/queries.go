package session

import (
	"iter"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Their answers hold what the token may read.
var (
	InfoQuery = rpc.Query[Info, Listing]{Name: "Session.Info"}
	ListQuery = rpc.Query[List, Listing]{Name: "Session.List"}
	NodeQuery = rpc.Query[OnNode, Listing]{Name: "Session.Node"}
)

// A Listing is an answer with any number of sessions.
type Listing = catalog.Listing[*Session]

// Info asks for one session; the answer has it or none.
type Info struct{ ID string }

// List asks for all sessions.
type List struct{}

// OnNode asks for the sessions that depend on a node.
type OnNode struct{ Node string }

// Info answers InfoQuery.
func (s *Service) Info(tx *state.Tx, az acl.Authorizer, q *Info) (Listing, uint64, error) {
	found := Find(tx, q.ID)
	if found == nil {
		return Listing{}, tx.Unwatched().Changed(Sessions.Name()), nil
	}
	return visible(az, func(yield func(*Session) bool) { yield(found) }), found.ModifyIndex, nil
}

// List answers ListQuery.
func (s *Service) List(tx *state.Tx, az acl.Authorizer, _ *List) (Listing, uint64, error) {
	index := tx.Changed(Sessions.Name())
	return visible(az, Sessions.All(tx.Unwatched())), index, nil
}

// OnNode answers NodeQuery.
func (s *Service) OnNode(tx *state.Tx, az acl.Authorizer, q *OnNode) (Listing, uint64, error) {
	index := tx.Changed(Sessions.Name())
	return visible(az, Sessions.Each(tx.Unwatched(), "node", fold(q.Node))), index, nil
}

// visible lists what may be read.
func visible(az acl.Authorizer, all iter.Seq[*Session]) Listing {
	var l Listing
	for s := range all {
		if az.Allow(acl.Session, s.Node, acl.Read) {
			l.Rows = append(l.Rows, s)
		} else {
			l.Filtered = true
		}
	}
	return l
}
