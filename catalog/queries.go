package catalog

import (
	"encoding/json"

	"lictor/rpc"
)

//msgp:ignore Listing
//msgp:shim List as:string using:string/List
//msgp:shim Pairs as:string using:textOfPairs/pairsOfText
//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Rows that the token may not see are left out; filters are applied to what remains. Rows come in the
// order of node and identifier unless Near says otherwise.
var (
	NodesQuery          = rpc.Query[Nodes, Listing[*Node]]{Name: "Catalog.Nodes"}
	NodeQuery           = rpc.Query[OnNode, *NodeServices]{Name: "Catalog.Node"}
	NodeServicesQuery   = rpc.Query[OnNode, *NodeServiceList]{Name: "Catalog.NodeServices"}
	ServicesQuery       = rpc.Query[Services, ServiceTags]{Name: "Catalog.Services"}
	ServiceNodesQuery   = rpc.Query[ServiceNodes, Listing[*ServiceNode]]{Name: "Catalog.ServiceNodes"}
	GatewayQuery        = rpc.Query[GatewayServices, Listing[*GatewayService]]{Name: "Catalog.GatewayServices"}
	ServiceHealthQuery  = rpc.Query[ServiceHealth, Listing[*Entry]]{Name: "Health.Service"}
	NodeChecksQuery     = rpc.Query[NodeChecks, Listing[*Check]]{Name: "Health.NodeChecks"}
	ServiceChecksQuery  = rpc.Query[ServiceChecks, Listing[*Check]]{Name: "Health.ServiceChecks"}
	ChecksInStateQuery  = rpc.Query[ChecksInState, Listing[*Check]]{Name: "Health.ChecksInState"}
	AddressQuery        = rpc.Query[AtAddress, *Holders]{Name: "Catalog.AtAddress"}
	VirtualAddressQuery = rpc.Query[VirtualAddress, string]{Name: "Catalog.VirtualAddress"}
	UsageQuery          = rpc.Query[Count, Usage]{Name: "Catalog.Usage"}
)

// Nodes asks for all nodes that have the metadata. Near is the name of the node that the nearest come first to.
type Nodes struct {
	NodeMeta Pairs
	Filter   string
	Near     string
}

// OnNode asks for a node, by name or identifier, with its services. The answer to NodeQuery is nil if there is no such
// node; that to NodeServicesQuery has nil in its fields.
type OnNode struct {
	Node   string
	Filter string // of the services
}

// NodeServices is a node with its services by their identifiers.
type NodeServices struct {
	Node     *Node
	Services map[string]*Instance `msg:"Services,allownil"`
	Filtered bool                 `json:"-"` // services, or the node, were left out that the token may not see
}

// FilteredByACLs tells whether services, or the node, were left out that the token may not see.
func (n *NodeServices) FilteredByACLs() bool { return n != nil && n.Filtered }

// NodeServiceList is a node with its services.
type NodeServiceList struct {
	Node     *Node
	Services []*Instance `msg:"Services,allownil"`
	Filtered bool        `json:"-"` // services, or the node, were left out that the token may not see
}

// FilteredByACLs tells whether services, or the node, were left out that the token may not see.
func (n *NodeServiceList) FilteredByACLs() bool { return n.Filtered }

// Services asks for the names of all services with their tags, counting the instances on nodes with the metadata.
type Services struct {
	NodeMeta Pairs
	Filter   string // of instances, as ServiceNode
}

// ServiceTags are the tags that a service's instances have, each once and sorted, by the service's name.
type ServiceTags struct {
	Tags     Lists `msg:"Tags,allownil"`
	Filtered bool
}

// MarshalJSON writes the tags.
func (s ServiceTags) MarshalJSON() ([]byte, error) { return json.Marshal(s.Tags) }

// FilteredByACLs tells whether services were left out that the token may not see.
func (s ServiceTags) FilteredByACLs() bool { return s.Filtered }

// ServiceNodes asks for the instances of a service that have all of the tags (in any case), on nodes that have the
// metadata. With Connect it asks for the instances that the service is reached through in the mesh, with Imported for those
// that other clusters have exported to this one.
type ServiceNodes struct {
	Service  string
	Tags     List
	NodeMeta Pairs
	Filter   string
	Near     string
	Connect  bool
	Imported bool
}

// GatewayServices asks for the services that a gateway stands before.
type GatewayServices struct{ Gateway string }

// A GatewayService is one service behind a gateway.
type GatewayService struct {
	Gateway, Service               struct{ Name string }
	GatewayKind                    string
	Port                           int      `json:",omitempty"`
	Protocol                       string   `json:",omitempty"`
	Hosts                          []string `json:",omitempty" msg:"Hosts,allownil"`
	CAFile, CertFile, KeyFile, SNI string   `json:",omitempty"`
	AutoHostRewrite                bool     `json:",omitempty"`
	FromWildcard                   bool     `json:",omitempty"`
	CreateIndex, ModifyIndex       uint64
}

// ServiceHealth asks for the instances of a service with their checks. With Connect it asks for the instances that the
// service is reached through in the mesh, with Ingress for the gateways that let it be reached from outside. With
// Passing every check must be. Imported asks for the instances that other clusters have exported to this one.
type ServiceHealth struct {
	Service  string
	Tags     List
	NodeMeta Pairs
	Filter   string
	Near     string
	Connect  bool
	Ingress  bool
	Passing  bool
	Imported bool
}

// An Entry is an instance with its node and all checks that tell its health: the node's own, then those of the instance.
type Entry struct {
	Node    *Node
	Service *Instance
	Checks  []*Check `msg:"Checks,allownil"`
}

// NodeChecks asks for the checks of a node and of the services on it.
type NodeChecks struct {
	Node   string
	Filter string
}

// ServiceChecks asks for the checks of a service's instances, on nodes that have the metadata.
type ServiceChecks struct {
	Service  string
	NodeMeta Pairs
	Filter   string
	Near     string
}

// ChecksInState asks for all checks in a state, or in AnyState, on nodes that have the metadata.
type ChecksInState struct {
	State    string
	NodeMeta Pairs
	Filter   string
	Near     string
}

// AnyState stands for all states of checks.
const AnyState = "any"

// AtAddress asks who has an IP address, which is compared as text.
type AtAddress struct{ Address string }

// Holders are the nodes and the instances that have an address of their own.
type Holders struct {
	Nodes     []*Node  `msg:"Nodes,allownil"`
	Instances []*Entry `msg:"Instances,allownil"` // without checks
}

// VirtualAddress asks for the address that stands for a service in the mesh; "" if it has none.
type VirtualAddress struct{ Service string }

// Count asks for a Usage.
type Count struct{}

// Usage counts what is in the catalog. The server's own service is not billable, and neither is what takes part in the
// mesh only on behalf of others.
type Usage struct {
	Nodes                    int
	Services                 int
	ServiceInstances         int
	ConnectServiceInstances  map[string]int `msg:"ConnectServiceInstances,allownil"` // by kind
	BillableServiceInstances int
}
