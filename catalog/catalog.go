// Package catalog keeps nodes, services and checks: types, tables, commands and queries. What HTTP calls the catalog
// and what it calls health are two readings of the same tables. It knows nothing of who runs the checks.
package catalog

import "lictor/state"

//msgp:shim Duration as:int64 using:int64/Duration
//go:generate go tool msgp -o catalog_gen.go -tests=false -io=false

// The bexpr tags below leave out of filters what Consul does not let a filter name.

// A Node is a host that services run on, as clients see it and as it is stored.
type Node struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string `msg:"TaggedAddresses,allownil"`
	Meta            map[string]string `msg:"Meta,allownil"`
	PeerName        string            `json:",omitempty"`
	Locality        *Locality         `json:",omitempty" bexpr:"-"`
	CreateIndex     uint64            `bexpr:"-"`
	ModifyIndex     uint64            `bexpr:"-"`
}

// An Instance is one service on one node, as clients see it and as it is stored. Tags may be nil where it is stored and
// are not nil in the answer to a query.
type Instance struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string `msg:"Tags,allownil"`
	Address           string
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty" msg:"TaggedAddresses,allownil"`
	Meta              map[string]string         `msg:"Meta,allownil"`
	Port              int                       `json:",omitempty"`
	SocketPath        string                    `json:",omitempty"`
	Weights           *Weights
	EnableTagOverride bool
	Proxy             Proxy
	Connect           Connect
	PeerName          string
	Locality          *Locality `json:",omitempty" bexpr:"-"`
	Node              string    `json:"-" bexpr:"-"` // where it runs
	CreateIndex       uint64    `bexpr:"-"`
	ModifyIndex       uint64    `bexpr:"-"`
}

// DutyMeta is the key of metadata that marks a service which the leader keeps on its own node. Its value names the duty.
const DutyMeta = "lictor-duty"

// The kinds of instances that take part in the mesh. Any other kind is a plain service.
const (
	ConnectProxy       = "connect-proxy"
	MeshGatewayKind    = "mesh-gateway"
	TerminatingGateway = "terminating-gateway"
	IngressGateway     = "ingress-gateway"
	APIGateway         = "api-gateway"
)

// The states of a check, from best to worst, and the one in which a node or service is kept out on purpose.
const (
	Passing     = "passing"
	Warning     = "warning"
	Critical    = "critical"
	Maintenance = "maintenance"
)

// A Check is the health of a node, or of one service on it, as clients see it and as it is stored.
type Check struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string `msg:"ServiceTags,allownil"`
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  CheckTarget `bexpr:"-"`
	PeerName    string      `json:",omitempty"`
	CreateIndex uint64      `bexpr:"-"`
	ModifyIndex uint64      `bexpr:"-"`
}

// A CheckTarget is what a Check tells of how it is made, for who runs checks of nodes without an agent.
type CheckTarget struct {
	HTTP                           string   `json:",omitempty"`
	TLSServerName                  string   `json:",omitempty"`
	TLSSkipVerify                  bool     `json:",omitempty"`
	Header                         Lists    `json:",omitempty" msg:"Header,allownil"`
	Method                         string   `json:",omitempty"`
	Body                           string   `json:",omitempty"`
	DisableRedirects               bool     `json:",omitempty"`
	TCP                            string   `json:",omitempty"`
	TCPUseTLS                      bool     `json:",omitempty"`
	UDP                            string   `json:",omitempty"`
	H2PING                         string   `json:",omitempty"`
	H2PingUseTLS                   bool     `json:",omitempty"`
	OSService                      string   `json:",omitempty"`
	Interval                       Duration `json:",omitzero"`
	Timeout                        Duration `json:",omitzero"`
	DeregisterCriticalServiceAfter Duration `json:",omitzero"`
	ScriptArgs                     []string `json:",omitempty" msg:"ScriptArgs,allownil"`
	DockerContainerID              string   `json:",omitempty"`
	Shell                          string   `json:",omitempty"`
	GRPC                           string   `json:",omitempty"`
	GRPCUseTLS                     bool     `json:",omitempty"`
	AliasNode                      string   `json:",omitempty"`
	AliasService                   string   `json:",omitempty"`
	TTL                            Duration `json:",omitzero"`
}

// The tables. Names of nodes and services, and identifiers, differ only if they differ in more than case.
var (
	nodes = state.NewTable("nodes", func(n *Node) string { return fold(n.Node) },
		state.Index[Node]{Name: "uuid", Keys: state.One(func(n *Node) string { return optional(n.ID) })},
		state.Index[Node]{Name: "address", Keys: state.One(func(n *Node) string { return optional(n.Address) })})
	instances = state.NewTable("services", func(i *Instance) string { return fold(i.Node, i.ID) },
		state.Index[Instance]{Name: "service", Keys: state.One(func(i *Instance) string { return fold(i.Service) })},
		state.Index[Instance]{Name: "kind", Keys: state.One(func(i *Instance) string { return optional(i.Kind) })},
		state.Index[Instance]{Name: "connect", Keys: state.One(func(i *Instance) string { return optional(i.destination()) })},
		state.Index[Instance]{Name: "address", Keys: state.One(func(i *Instance) string { return optional(i.Address) })})
	checks = state.NewTable("checks", func(c *Check) string { return fold(c.Node, c.CheckID) },
		state.Index[Check]{Name: "status", Keys: state.One(func(c *Check) string { return optional(c.Status) })},
		state.Index[Check]{Name: "service", Keys: state.One(func(c *Check) string { return optional(c.ServiceName) })},
		state.Index[Check]{Name: "owner", Keys: state.One(func(c *Check) string { return fold(c.Node, c.ServiceID) })})
)

// Tables lists the package's tables.
func Tables() []state.AnyTable {
	return []state.AnyTable{nodes, instances, checks, virtuals, spares}
}

// optional is the key of a name that may be empty; those rows are not in the index.
func optional(name string) string {
	if name == "" {
		return ""
	}
	return fold(name)
}
