package httpapi

import (
	"fmt"

	"github.com/mitchellh/hashstructure"

	"lictor/catalog"
)

// AgentService is a service as its agent shows it. Clients compute ContentHash from the names and values of this type
// and of those in it as they stand in Consul's API module, so both must stay as they are.
type AgentService struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	SocketPath        string                    `json:",omitempty"`
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	Weights           AgentWeights
	EnableTagOverride bool
	CreateIndex       uint64                          `json:",omitempty" bexpr:"-"`
	ModifyIndex       uint64                          `json:",omitempty" bexpr:"-"`
	ContentHash       string                          `json:",omitempty" bexpr:"-"`
	Proxy             *AgentServiceConnectProxyConfig `json:",omitempty"`
	Connect           *AgentServiceConnect            `json:",omitempty"`
	PeerName          string                          `json:",omitempty"`
	Datacenter        string                          `json:",omitempty" bexpr:"-" hash:"ignore"`
	Locality          *Locality                       `json:",omitempty" bexpr:"-" hash:"ignore"`
}

// AgentWeights are a service's DNS weights.
type AgentWeights struct {
	Passing int
	Warning int
}

// ServiceAddress is one of a service's tagged addresses.
type ServiceAddress struct {
	Address string
	Port    int
}

// Locality says where a service runs.
type Locality struct {
	Region string
	Zone   string
}

// AgentServiceConnect says how a service takes part in the mesh.
type AgentServiceConnect struct {
	Native         bool      `json:",omitempty"`
	SidecarService *struct{} `json:",omitempty" bexpr:"-"` // never shown
}

// AgentServiceConnectProxyConfig is what a proxy or a gateway stands before.
type AgentServiceConnectProxyConfig struct {
	EnvoyExtensions        []struct{}              `json:",omitempty" bexpr:"-"` // never shown
	DestinationServiceName string                  `json:",omitempty"`
	DestinationServiceID   string                  `json:",omitempty"`
	LocalServiceAddress    string                  `json:",omitempty"`
	LocalServicePort       int                     `json:",omitempty"`
	LocalServiceSocketPath string                  `json:",omitempty"`
	Mode                   string                  `json:",omitempty"`
	TransparentProxy       *TransparentProxyConfig `json:",omitempty"`
	Config                 map[string]any          `json:",omitempty" bexpr:"-"`
	Upstreams              []Upstream              `json:",omitempty"`
	MeshGateway            MeshGatewayConfig
	Expose                 ExposeConfig
	AccessLogs             *struct{} `json:",omitempty" bexpr:"-"` // never shown
}

// TransparentProxyConfig tunes a proxy through which all traffic is redirected.
type TransparentProxyConfig struct {
	OutboundListenerPort int  `json:",omitempty"`
	DialedDirectly       bool `json:",omitempty"`
}

// Upstream is a service that a proxy reaches.
type Upstream struct {
	DestinationType      string `json:",omitempty"`
	DestinationPartition string `json:",omitempty"`
	DestinationNamespace string `json:",omitempty"`
	DestinationPeer      string `json:",omitempty"`
	DestinationName      string
	Datacenter           string         `json:",omitempty"`
	LocalBindAddress     string         `json:",omitempty"`
	LocalBindPort        int            `json:",omitempty"`
	LocalBindSocketPath  string         `json:",omitempty"`
	LocalBindSocketMode  string         `json:",omitempty"`
	Config               map[string]any `json:",omitempty" bexpr:"-"`
	MeshGateway          MeshGatewayConfig
	CentrallyConfigured  bool `json:",omitempty" bexpr:"-"`
}

// MeshGatewayConfig says which gateway traffic takes to another datacenter.
type MeshGatewayConfig struct {
	Mode string `json:",omitempty"`
}

// ExposeConfig lists the paths that a proxy lets through without the mesh.
type ExposeConfig struct {
	Checks bool         `json:",omitempty"`
	Paths  []ExposePath `json:",omitempty"`
}

// ExposePath is one path that a proxy lets through without the mesh.
type ExposePath struct {
	ListenerPort    int    `json:",omitempty"`
	Path            string `json:",omitempty"`
	LocalPathPort   int    `json:",omitempty"`
	Protocol        string `json:",omitempty"`
	ParsedFromCheck bool
}

// showService gives a row the form in which its agent shows it, without the hash.
func showService(row *catalog.Instance, dc string) *AgentService {
	shown := &AgentService{
		Kind: row.Kind, ID: row.ID, Service: row.Service, Tags: row.Tags, Meta: row.Meta, Port: row.Port,
		Address: row.Address, SocketPath: row.SocketPath, EnableTagOverride: row.EnableTagOverride,
		Weights: AgentWeights{1, 1}, PeerName: row.PeerName, Datacenter: dc,
	}
	if shown.Meta == nil {
		shown.Meta = map[string]string{}
	}
	if row.Weights != nil {
		shown.Weights = AgentWeights(*row.Weights)
	}
	if len(row.TaggedAddresses) > 0 {
		shown.TaggedAddresses = map[string]ServiceAddress{}
		for name, a := range row.TaggedAddresses {
			shown.TaggedAddresses[name] = ServiceAddress(a)
		}
	}
	if row.Connect.Native {
		shown.Connect = &AgentServiceConnect{Native: true}
	}
	if row.Locality != nil {
		shown.Locality = (*Locality)(row.Locality)
	}
	switch row.Kind {
	case catalog.ConnectProxy, catalog.MeshGatewayKind, catalog.TerminatingGateway, catalog.IngressGateway, catalog.APIGateway:
		shown.Proxy = showProxy(&row.Proxy)
	}
	return shown
}

func showProxy(p *catalog.Proxy) *AgentServiceConnectProxyConfig {
	shown := &AgentServiceConnectProxyConfig{
		DestinationServiceName: p.DestinationServiceName, DestinationServiceID: p.DestinationServiceID,
		LocalServiceAddress: p.LocalServiceAddress, LocalServicePort: p.LocalServicePort,
		LocalServiceSocketPath: p.LocalServiceSocketPath, Mode: p.Mode, Config: p.Config,
		TransparentProxy: (*TransparentProxyConfig)(p.TransparentProxy), MeshGateway: MeshGatewayConfig(p.MeshGateway),
		Expose: ExposeConfig{Checks: p.Expose.Checks},
	}
	for _, e := range p.Expose.Paths {
		shown.Expose.Paths = append(shown.Expose.Paths, ExposePath{
			ListenerPort: e.ListenerPort, Path: e.Path, LocalPathPort: e.LocalPathPort, Protocol: e.Protocol,
		})
	}
	for _, u := range p.Upstreams {
		shown.Upstreams = append(shown.Upstreams, Upstream{
			DestinationType: u.DestinationType, DestinationPartition: u.DestinationPartition,
			DestinationNamespace: u.DestinationNamespace, DestinationPeer: u.DestinationPeer,
			DestinationName: u.DestinationName, Datacenter: u.Datacenter, LocalBindAddress: u.LocalBindAddress,
			LocalBindPort: u.LocalBindPort, LocalBindSocketPath: u.LocalBindSocketPath,
			LocalBindSocketMode: u.LocalBindSocketMode, Config: u.Config, MeshGateway: MeshGatewayConfig(u.MeshGateway),
		})
	}
	return shown
}

// hashService gives a row the form in which its agent shows it alone.
func hashService(row *catalog.Instance, dc string) (*AgentService, error) {
	shown := showService(row, dc)
	hash, err := hashstructure.Hash(shown, nil)
	if err != nil {
		return nil, fmt.Errorf("hash service %q: %w", row.ID, err)
	}
	shown.ContentHash = fmt.Sprintf("%x", hash)
	return shown, nil
}
