package catalog

// A CheckDefinition says how an agent checks the health of its node or of a service: the body of
// /v1/agent/check/register and of a check in a configuration file. Exactly one kind of check may be chosen.
// The config tags are the keys of configuration files; json names are read without regard to case.
type CheckDefinition struct {
	ID        string `json:"ID,omitempty" config:"id"`
	CheckID   string `json:"CheckID,omitempty" config:"-"` // an older name of ID, read over HTTP
	Name      string `json:"Name,omitempty" config:"name"`
	Notes     string `json:"Notes,omitempty" config:"notes"`
	ServiceID string `json:"ServiceID,omitempty" config:"service_id"`
	Token     string `json:"Token,omitempty" config:"token"`
	Status    string `json:"Status,omitempty" config:"status"` // initial status: passing, warning or critical

	ScriptArgs        []string            `json:"ScriptArgs,omitempty" config:"args"` // over HTTP also "Args"
	HTTP              string              `json:"HTTP,omitempty" config:"http"`
	Header            map[string][]string `json:"Header,omitempty" config:"header"`
	Method            string              `json:"Method,omitempty" config:"method"`
	Body              string              `json:"Body,omitempty" config:"body"`
	DisableRedirects  bool                `json:"DisableRedirects,omitempty" config:"disable_redirects"`
	TCP               string              `json:"TCP,omitempty" config:"tcp"`
	TCPUseTLS         bool                `json:"TCPUseTLS,omitempty" config:"tcp_use_tls"`
	UDP               string              `json:"UDP,omitempty" config:"udp"`
	DockerContainerID string              `json:"DockerContainerID,omitempty" config:"docker_container_id"`
	Shell             string              `json:"Shell,omitempty" config:"shell"`
	GRPC              string              `json:"GRPC,omitempty" config:"grpc"`
	GRPCUseTLS        bool                `json:"GRPCUseTLS,omitempty" config:"grpc_use_tls"`
	H2PING            string              `json:"H2PING,omitempty" config:"h2ping"`
	H2PingUseTLS      *bool               `json:"H2PingUseTLS,omitempty" config:"h2ping_use_tls"` // nil means true
	OSService         string              `json:"OSService,omitempty" config:"os_service"`
	AliasNode         string              `json:"AliasNode,omitempty" config:"alias_node"`
	AliasService      string              `json:"AliasService,omitempty" config:"alias_service"`
	TTL               Duration            `json:"TTL,omitempty" config:"ttl"`
	TLSServerName     string              `json:"TLSServerName,omitempty" config:"tls_server_name"`
	TLSSkipVerify     bool                `json:"TLSSkipVerify,omitempty" config:"tls_skip_verify"`

	Interval               Duration `json:"Interval,omitempty" config:"interval"`
	Timeout                Duration `json:"Timeout,omitempty" config:"timeout"`
	OutputMaxSize          int      `json:"OutputMaxSize,omitempty" config:"output_max_size"`
	SuccessBeforePassing   int      `json:"SuccessBeforePassing,omitempty" config:"success_before_passing"`
	FailuresBeforeWarning  int      `json:"FailuresBeforeWarning,omitempty" config:"failures_before_warning"`
	FailuresBeforeCritical int      `json:"FailuresBeforeCritical,omitempty" config:"failures_before_critical"`

	DeregisterCriticalServiceAfter Duration `json:"DeregisterCriticalServiceAfter,omitempty" config:"deregister_critical_service_after"`
}

// A ServiceDefinition registers a service with its agent: the body of /v1/agent/service/register and of a service
// in a configuration file.
type ServiceDefinition struct {
	Kind              string                    `json:"Kind,omitempty" config:"kind"`
	ID                string                    `json:"ID,omitempty" config:"id"` // default: Name
	Name              string                    `json:"Name,omitempty" config:"name"`
	Tags              []string                  `json:"Tags,omitempty" config:"tags"`
	Address           string                    `json:"Address,omitempty" config:"address"`
	TaggedAddresses   map[string]ServiceAddress `json:"TaggedAddresses,omitempty" config:"tagged_addresses"`
	Meta              map[string]string         `json:"Meta,omitempty" config:"meta"`
	Port              int                       `json:"Port,omitempty" config:"port"`
	SocketPath        string                    `json:"SocketPath,omitempty" config:"socket_path"`
	Check             *CheckDefinition          `json:"Check,omitempty" config:"check"`
	Checks            []*CheckDefinition        `json:"Checks,omitempty" config:"checks"`
	Token             string                    `json:"Token,omitempty" config:"token"`
	Weights           *Weights                  `json:"Weights,omitempty" config:"weights"`
	EnableTagOverride bool                      `json:"EnableTagOverride,omitempty" config:"enable_tag_override"`
	Proxy             *Proxy                    `json:"Proxy,omitempty" config:"proxy"`
	Connect           *ConnectDefinition        `json:"Connect,omitempty" config:"connect"`
	Locality          *Locality                 `json:"Locality,omitempty" config:"locality"`
}

// A ConnectDefinition says how a service takes part in the mesh.
type ConnectDefinition struct {
	Native         bool               `json:"Native,omitempty" config:"native"`
	SidecarService *ServiceDefinition `json:"SidecarService,omitempty" config:"sidecar_service"`
}
