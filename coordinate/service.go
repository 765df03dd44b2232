package coordinate

import (
	"context"
	"strings"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// The methods.
var (
	UpdateMethod      = rpc.Method[Update, struct{}]{Name: "Coordinate.Update", Repeatable: true}
	NamesMethod       = rpc.Method[struct{}, []string]{Name: "Catalog.Datacenters", Anywhere: true, Repeatable: true}
	DatacentersMethod = rpc.Method[struct{}, []Datacenter]{Name: "Coordinate.Datacenters", Anywhere: true, Repeatable: true}
)

// An Update tells the place of one node: the body of /v1/coordinate/update.
type Update struct {
	Datacenter string
	Node       string
	Segment    string
	Coord      *Coordinate
}

// A Datacenter tells the places of a datacenter's servers in the space of the WAN.
type Datacenter struct {
	Datacenter  string
	AreaID      string  // "wan"
	Coordinates []Entry `msg:"Coordinates,allownil"`
}

// A Service answers the package's methods and queries on a server.
type Service struct {
	Log state.Log
	// Batcher writes the places that agents report; nil writes each at once.
	Batcher *Batcher
	// Known tells whether a node is in the catalog; nil knows all.
	Known func(tx *state.Tx, node string) bool
	// Datacenters tells what the WAN pool knows; nil knows of no datacenter.
	Datacenters func() []Datacenter
	// Names lists the datacenters, the nearest first; nil knows none.
	Names func() []string
}

// Update writes the place of a node, at once or by the Batcher. That of a node that is not in the catalog is dropped in
// silence, because it may have left while its update was under way.
func (s *Service) Update(ctx context.Context, az acl.Authorizer, u *Update) (struct{}, error) {
	if err := acl.Require(az, acl.Node, u.Node, acl.Write); err != nil {
		return struct{}{}, err
	}
	if u.Coord == nil {
		return struct{}{}, rpc.Errorf(rpc.Invalid, "Coord must be given: the place of the node as Vec, Error, Adjustment and Height")
	}
	if !u.Coord.Valid() || strings.Contains(u.Node+u.Segment, "\x00") {
		return struct{}{}, ErrIncompatible
	}
	if u.Node == "" || s.Known != nil && !s.Known(s.Log.DB().Read(), u.Node) {
		return struct{}{}, nil
	}
	e := &Entry{Node: u.Node, Segment: u.Segment, Coord: u.Coord}
	if s.Batcher != nil {
		s.Batcher.Update(e)
		return struct{}{}, nil
	}
	_, err := s.Log.Apply(ctx, &BatchUpdate{Entries: []*Entry{e}})
	return struct{}{}, err
}

// ErrIncompatible tells that a coordinate is not one of this space.
var ErrIncompatible = rpc.Errorf(rpc.Internal, "incompatible coordinate")

// ListDatacenters tells the places of all datacenters' servers, to anybody: which datacenters there are is no secret.
func (s *Service) ListDatacenters(context.Context, acl.Authorizer, *struct{}) ([]Datacenter, error) {
	if s.Datacenters == nil {
		return []Datacenter{}, nil
	}
	return s.Datacenters(), nil
}

// ListNames tells which datacenters there are, the nearest first, to anybody.
func (s *Service) ListNames(context.Context, acl.Authorizer, *struct{}) ([]string, error) {
	if s.Names == nil {
		return []string{}, nil
	}
	return s.Names(), nil
}
