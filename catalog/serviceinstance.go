package catalog

import (
	"maps"
	"net/netip"
)

// Identity is the identifier of the service on its agent: its ID, else its name.
func (d *ServiceDefinition) Identity() string {
	if d.ID != "" {
		return d.ID
	}
	return d.Name
}

// Instance is the row of the catalog for the definition on a node. Addresses that are IP addresses are given under
// their family's name, too.
func (d *ServiceDefinition) Instance(node string) *Instance {
	i := &Instance{
		Node:              node,
		Kind:              d.Kind,
		ID:                d.Identity(),
		Service:           d.Name,
		Tags:              d.Tags,
		Address:           d.Address,
		TaggedAddresses:   maps.Clone(d.TaggedAddresses),
		Meta:              d.Meta,
		Port:              d.Port,
		SocketPath:        d.SocketPath,
		Weights:           d.Weights,
		EnableTagOverride: d.EnableTagOverride,
		Locality:          d.Locality,
	}
	if i.Weights == nil {
		i.Weights = &Weights{Passing: 1, Warning: 1}
	}
	if d.Proxy != nil {
		i.Proxy = d.Proxy.withDefaults()
	}
	if d.Connect != nil {
		i.Connect.Native = d.Connect.Native
	}
	i.tagFamily()
	return i
}

// withDefaults fills in what upstreams leave out.
func (p *Proxy) withDefaults() Proxy {
	full := *p
	full.Upstreams = nil
	for _, u := range p.Upstreams {
		if u.DestinationType == "" {
			u.DestinationType = "service"
		}
		if u.MeshGateway.Mode == "" && u.DestinationType == "service" {
			u.MeshGateway = p.MeshGateway
		}
		full.Upstreams = append(full.Upstreams, u)
	}
	return full
}

// tagFamily adds an address to the tagged addresses under the names of its family.
func (i *Instance) tagFamily() {
	ip, err := netip.ParseAddr(i.Address)
	if err != nil {
		return
	}
	family := "_ipv6"
	if ip.Is4() {
		family = "_ipv4"
	}
	if i.TaggedAddresses == nil {
		i.TaggedAddresses = map[string]ServiceAddress{}
	}
	for _, net := range []string{"lan", "wan"} {
		if _, ok := i.TaggedAddresses[net+family]; !ok {
			i.TaggedAddresses[net+family] = ServiceAddress{Address: i.Address, Port: i.Port}
		}
	}
}
