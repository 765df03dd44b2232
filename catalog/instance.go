package catalog

//go:generate go tool msgp -o instance_gen.go -tests=false -io=false

// A ServiceAddress is one of a service's tagged addresses.
type ServiceAddress struct {
	Address string `json:"Address" config:"address"`
	Port    int    `json:"Port" config:"port"`
}

// Weights are a service's DNS SRV weights, by its health.
type Weights struct {
	Passing int `json:"Passing" config:"passing"`
	Warning int `json:"Warning" config:"warning"`
}

// A Locality says where an instance or a node runs.
type Locality struct {
	Region string `json:"Region" config:"region"`
	Zone   string `json:"Zone" config:"zone"`
}

// Connect says how an instance takes part in the mesh.
type Connect struct {
	Native         bool    `json:"Native,omitempty"`
	SidecarService Sidecar `json:"SidecarService,omitempty" bexpr:"-"`
}
