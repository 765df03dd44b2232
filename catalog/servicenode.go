package catalog

//go:generate go tool msgp -o servicenode_gen.go -tests=false -io=false

// A ServiceNode is an instance with its node in one flat row, as /v1/catalog/service shows it.
type ServiceNode struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          map[string]string `msg:"TaggedAddresses,allownil"`
	NodeMeta                 map[string]string `msg:"NodeMeta,allownil"`
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string `msg:"ServiceTags,allownil"`
	ServiceAddress           string
	ServiceTaggedAddresses   map[string]ServiceAddress `json:",omitempty" msg:"ServiceTaggedAddresses,allownil"`
	ServiceWeights           Weights
	ServiceMeta              map[string]string `msg:"ServiceMeta,allownil"`
	ServicePort              int
	ServiceSocketPath        string
	ServiceEnableTagOverride bool
	ServiceProxy             Proxy
	ServiceConnect           Connect
	ServiceLocality          *Locality `bexpr:"-"`
	PeerName                 string    `json:",omitempty"`
	CreateIndex              uint64    `bexpr:"-"`
	ModifyIndex              uint64    `bexpr:"-"`
}

// serviceNode joins an instance and its node.
func serviceNode(n *Node, i *Instance) *ServiceNode {
	s := &ServiceNode{
		ID:                       n.ID,
		Node:                     n.Node,
		Address:                  n.Address,
		Datacenter:               n.Datacenter,
		TaggedAddresses:          n.TaggedAddresses,
		NodeMeta:                 n.Meta,
		ServiceKind:              i.Kind,
		ServiceID:                i.ID,
		ServiceName:              i.Service,
		ServiceTags:              i.Tags,
		ServiceAddress:           i.Address,
		ServiceTaggedAddresses:   i.TaggedAddresses,
		ServiceMeta:              i.Meta,
		ServicePort:              i.Port,
		ServiceSocketPath:        i.SocketPath,
		ServiceEnableTagOverride: i.EnableTagOverride,
		ServiceProxy:             i.Proxy,
		ServiceConnect:           i.Connect,
		ServiceLocality:          i.Locality,
		PeerName:                 i.PeerName,
		CreateIndex:              i.CreateIndex,
		ModifyIndex:              i.ModifyIndex,
	}
	if i.Weights != nil {
		s.ServiceWeights = *i.Weights
	}
	if s.ServiceTags == nil {
		s.ServiceTags = []string{}
	}
	if s.ServiceMeta == nil {
		s.ServiceMeta = map[string]string{}
	}
	return s
}
