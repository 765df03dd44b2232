package coordinate

import (
	"strings"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Their answers hold the nodes that the token may read, in the order of their names, and are not nil.
var (
	NodesQuery = rpc.Query[Nodes, []*Entry]{Name: "Coordinate.Nodes"}
	NodeQuery  = rpc.Query[OneNode, []*Entry]{Name: "Coordinate.Node"}
)

// Nodes asks for the places of all nodes, or with Segment only for those in that segment.
type Nodes struct{ Segment string }

// OneNode asks for the places of one node: one for each segment that it is in, or with Segment only the one there.
type OneNode struct {
	Node    string
	Segment string
}

// Nodes answers NodesQuery.
func (s *Service) Nodes(tx *state.Tx, az acl.Authorizer, q *Nodes) ([]*Entry, uint64, error) {
	index := tx.Changed(entries.Name())
	found := []*Entry{}
	for e := range entries.All(tx.Unwatched()) {
		if (q.Segment == "" || q.Segment == e.Segment) && az.Allow(acl.Node, e.Node, acl.Read) {
			found = append(found, e)
		}
	}
	return found, index, nil
}

// Node answers NodeQuery.
func (s *Service) Node(tx *state.Tx, az acl.Authorizer, q *OneNode) ([]*Entry, uint64, error) {
	if err := acl.Require(az, acl.Node, q.Node, acl.Read); err != nil {
		return nil, 0, err
	}
	index := tx.Changed(nodeIndex + strings.ToLower(q.Node))
	quiet := tx.Unwatched()
	if index == 0 {
		index = quiet.Changed(entries.Name())
	}
	found := []*Entry{}
	for e := range entries.Prefix(quiet, "id", key(q.Node)) {
		if q.Segment == "" || q.Segment == e.Segment {
			found = append(found, e)
		}
	}
	return found, index, nil
}
