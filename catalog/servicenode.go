package catalog

// A ServiceNode is an instance with its node in one flat row, as /v1/catalog/service shows it.
type ServiceNode struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          map[string]string
	NodeMeta                 map[string]string
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceTaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	ServiceWeights           Weights
	ServiceMeta              map[string]string
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
