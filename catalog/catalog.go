// Package catalog keeps nodes, services and checks: types, tables, commands and queries. What HTTP calls the catalog
// and what it calls health are two readings of the same tables. It knows nothing of who runs the checks.
package catalog

//msgp:shim Duration as:int64 using:int64/Duration
//go:generate go tool msgp -o catalog_gen.go -tests=false -io=false

// A Node is a host that services run on, as clients see it and as it is stored.
type Node struct {
	ID              string
	Node            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
	CreateIndex     uint64
	ModifyIndex     uint64
}

// An Instance is one service on one node, as clients see it and as it is stored.
type Instance struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string
	Address           string
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	Meta              map[string]string
	Port              int
	SocketPath        string `json:",omitempty"`
	Weights           *Weights
	EnableTagOverride bool
	Proxy             Proxy
	Connect           Connect
	PeerName          string
	Locality          *Locality `json:",omitempty"`
	Node              string    `json:"-"` // where it runs
	CreateIndex       uint64
	ModifyIndex       uint64
}

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
	ServiceTags []string
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  CheckTarget
	CreateIndex uint64
	ModifyIndex uint64
}

// A CheckTarget is what a Check tells of how it is made, for who runs checks of nodes without an agent.
type CheckTarget struct {
	HTTP                           string              `json:",omitempty"`
	TLSServerName                  string              `json:",omitempty"`
	TLSSkipVerify                  bool                `json:",omitempty"`
	Header                         map[string][]string `json:",omitempty"`
	Method                         string              `json:",omitempty"`
	Body                           string              `json:",omitempty"`
	DisableRedirects               bool                `json:",omitempty"`
	TCP                            string              `json:",omitempty"`
	TCPUseTLS                      bool                `json:",omitempty"`
	UDP                            string              `json:",omitempty"`
	H2PING                         string              `json:",omitempty"`
	H2PingUseTLS                   bool                `json:",omitempty"`
	OSService                      string              `json:",omitempty"`
	Interval                       Duration            `json:",omitzero"`
	Timeout                        Duration            `json:",omitzero"`
	DeregisterCriticalServiceAfter Duration            `json:",omitzero"`
	ScriptArgs                     []string            `json:",omitempty"`
	DockerContainerID              string              `json:",omitempty"`
	Shell                          string              `json:",omitempty"`
	GRPC                           string              `json:",omitempty"`
	GRPCUseTLS                     bool                `json:",omitempty"`
	AliasNode                      string              `json:",omitempty"`
	AliasService                   string              `json:",omitempty"`
	TTL                            Duration            `json:",omitzero"`
}
