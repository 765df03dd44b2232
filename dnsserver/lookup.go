package dnsserver

import (
	"context"
	"net/netip"
	"time"

	"lictor/catalog"
)

// A Lookup finds what names stand for. It may be asked from any goroutine. Errors carry the codes of package rpc; of
// what the token may not read, it finds nothing.
type Lookup interface {
	// Service finds the instances of a service, healthy or not.
	Service(ctx context.Context, from *Place, q ServiceQuestion) (Found[[]Instance], error)
	// Node finds a node by its name in lower case; nil if there is none.
	Node(ctx context.Context, from *Place, name string) (Found[*catalog.Node], error)
	// Address finds who has an address.
	Address(ctx context.Context, from *Place, addr netip.Addr) (Found[Owner], error)
	// Query executes a prepared query; nil if there is none.
	Query(ctx context.Context, from *Place, q QueryQuestion) (Found[*QueryAnswer], error)
	// Virtual finds the virtual address of a service in the mesh; the zero Addr if it has none.
	Virtual(ctx context.Context, from *Place, service string) (Found[netip.Addr], error)
}

// A Place says where and on whose behalf to look, and how fresh the answer must be.
type Place struct {
	Token      string
	Datacenter string // "" is our own
	AllowStale bool
	MaxStale   time.Duration
}

// A ServiceQuestion asks for the instances of a service, for the proxies in front of them or for the gateways that let
// in traffic to them. An empty Tag fits all.
type ServiceQuestion struct {
	Name, Tag        string
	Connect, Ingress bool
}

// A QueryQuestion asks what a prepared query finds. IP is where the asker is; it is needed only where an answer says so.
type QueryQuestion struct{ Name, IP string }

// A QueryAnswer is what a prepared query finds.
type QueryAnswer struct {
	Service    string
	Datacenter string
	TTL        string // "" is that of the service
	Instances  []Instance
	Sorted     bool // the nearest come first
	ByIP       bool // depends on where the asker is
}

// A Freshness tells whether an answer still is what a lookup would give.
type Freshness interface{ Fresh() bool }

// Found is an answer, how long it holds and how long ago the server that gave it last heard of the leader. Its Value
// is shared and must not be changed.
type Found[T any] struct {
	Value       T
	Live        Freshness // nil if that is not known
	LastContact time.Duration
}

// An Instance is one instance of a service.
type Instance struct {
	Node    *catalog.Node
	Service *catalog.Instance
	Status  string // the worst of its checks and its node's
}

// An Owner is who has an address: nodes, or else services with addresses of their own. Names are unique.
type Owner struct{ Nodes, Services []string }
