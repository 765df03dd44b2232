package catalog

//go:generate go tool msgp -o proxy_gen.go -tests=false -io=false

// A Proxy describes what a service of kind connect-proxy, or a gateway, stands before.
type Proxy struct {
	DestinationServiceName string            `json:"DestinationServiceName,omitempty" config:"destination_service_name"`
	DestinationServiceID   string            `json:"DestinationServiceID,omitempty" config:"destination_service_id"`
	LocalServiceAddress    string            `json:"LocalServiceAddress,omitempty" config:"local_service_address"`
	LocalServicePort       int               `json:"LocalServicePort,omitempty" config:"local_service_port"`
	LocalServiceSocketPath string            `json:"LocalServiceSocketPath,omitempty" config:"local_service_socket_path"`
	Mode                   string            `json:"Mode" config:"mode"`
	Config                 map[string]any    `json:"Config,omitempty" config:"config" bexpr:"-" msg:"Config,allownil"`
	Upstreams              []Upstream        `json:"Upstreams,omitempty" config:"upstreams" msg:"Upstreams,allownil"`
	MeshGateway            MeshGateway       `json:"MeshGateway" config:"mesh_gateway"`
	Expose                 Expose            `json:"Expose" config:"expose"`
	TransparentProxy       *TransparentProxy `json:"TransparentProxy,omitempty" config:"transparent_proxy" bexpr:"-"`
}

// An Upstream is a service that a proxy reaches on behalf of the service it stands before.
type Upstream struct {
	DestinationType      string         `json:"DestinationType,omitempty" config:"destination_type"`
	DestinationNamespace string         `json:"DestinationNamespace,omitempty" config:"destination_namespace"`
	DestinationPartition string         `json:"DestinationPartition,omitempty" config:"destination_partition"`
	DestinationPeer      string         `json:"DestinationPeer,omitempty" config:"destination_peer"`
	DestinationName      string         `json:"DestinationName" config:"destination_name"`
	Datacenter           string         `json:"Datacenter" config:"datacenter"`
	LocalBindAddress     string         `json:"LocalBindAddress,omitempty" config:"local_bind_address"`
	LocalBindPort        int            `json:"LocalBindPort,omitempty" config:"local_bind_port"`
	LocalBindSocketPath  string         `json:"LocalBindSocketPath,omitempty" config:"local_bind_socket_path"`
	LocalBindSocketMode  string         `json:"LocalBindSocketMode,omitempty" config:"local_bind_socket_mode"`
	Config               map[string]any `json:"Config,omitempty" config:"config" bexpr:"-" msg:"Config,allownil"`
	MeshGateway          MeshGateway    `json:"MeshGateway" config:"mesh_gateway"`
}

// MeshGateway says which gateway traffic takes to another datacenter.
type MeshGateway struct {
	Mode string `json:"Mode,omitempty" config:"mode"`
}

// Expose lists the paths that a proxy lets through without the mesh.
type Expose struct {
	Checks bool         `json:"Checks,omitempty" config:"checks"`
	Port   int          `json:"Port,omitempty" config:"port"`
	Paths  []ExposePath `json:"Paths,omitempty" config:"paths" msg:"Paths,allownil"`
}

// An ExposePath is one path that a proxy lets through without the mesh.
type ExposePath struct {
	ListenerPort  int    `json:"ListenerPort,omitempty" config:"listener_port"`
	Path          string `json:"Path,omitempty" config:"path"`
	LocalPathPort int    `json:"LocalPathPort,omitempty" config:"local_path_port"`
	Protocol      string `json:"Protocol,omitempty" config:"protocol"`
}

// TransparentProxy tunes a proxy through which all traffic is redirected.
type TransparentProxy struct {
	OutboundListenerPort int  `json:"OutboundListenerPort,omitempty" config:"outbound_listener_port"`
	DialedDirectly       bool `json:"DialedDirectly,omitempty" config:"dialed_directly"`
}
