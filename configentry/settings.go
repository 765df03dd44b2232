package configentry

import (
	"fmt"
	"slices"
	"strings"

	"lictor/rpc"
)

// refuse is the error of an entry that is not fit to be stored, in Consul's words.
func refuse(format string, args ...any) error { return rpc.Errorf(rpc.Internal, format, args...) }

var errNoName = refuse("Name is required")

// ProxySettings are the content of proxy-defaults: what holds for all proxies.
type ProxySettings struct {
	Config               map[string]any `json:",omitempty"`
	Mode                 string         `json:",omitempty"`
	TransparentProxy     TransparentProxy
	MutualTLSMode        string `json:",omitempty"`
	MeshGateway          MeshMode
	Expose               Expose
	AccessLogs           AccessLogs
	EnvoyExtensions      []Extension       `json:",omitempty"`
	FailoverPolicy       *FailoverPolicy   `json:",omitempty"`
	PrioritizeByLocality *LocalityMode     `json:",omitempty"`
	Meta                 map[string]string `json:",omitempty"`
}

// ServiceSettings are the content of service-defaults: what holds for all instances of a service.
type ServiceSettings struct {
	Protocol                  string
	Mode                      string `json:",omitempty"`
	TransparentProxy          TransparentProxy
	MutualTLSMode             string `json:",omitempty"`
	MeshGateway               MeshMode
	Expose                    Expose
	ExternalSNI               string            `json:",omitempty"`
	UpstreamConfig            *Upstreams        `json:",omitempty"`
	Destination               *Destination      `json:",omitempty"`
	MaxInboundConnections     int               `json:",omitempty"`
	LocalConnectTimeoutMs     int               `json:",omitempty"`
	LocalRequestTimeoutMs     int               `json:",omitempty"`
	BalanceInboundConnections string            `json:",omitempty"`
	RateLimits                *RateLimits       `json:",omitempty"`
	EnvoyExtensions           []Extension       `json:",omitempty"`
	Meta                      map[string]string `json:",omitempty"`
}

// MeshSettings are the content of mesh: what holds for the mesh as a whole.
type MeshSettings struct {
	TransparentProxy                 MeshTransparentProxy
	AllowEnablingPermissiveMutualTLS bool              `json:",omitempty"`
	ValidateClusters                 bool              `json:",omitempty"`
	TLS                              *MeshTLS          `json:",omitempty"`
	HTTP                             *MeshHTTP         `json:",omitempty"`
	Peering                          *MeshPeering      `json:",omitempty"`
	Meta                             map[string]string `json:",omitempty"`
}

// The parts of these entries, by the names that clients know.
type (
	// TransparentProxy tunes a proxy through which all traffic is redirected.
	TransparentProxy struct {
		OutboundListenerPort int  `json:",omitempty"`
		DialedDirectly       bool `json:",omitempty"`
	}
	// MeshMode says which gateway traffic takes to another datacenter.
	MeshMode struct {
		Mode string `json:",omitempty"`
	}
	// Expose lists the paths that proxies let through without the mesh.
	Expose struct {
		Checks bool         `json:",omitempty"`
		Paths  []ExposePath `json:",omitempty"`
	}
	// ExposePath is one of those paths.
	ExposePath struct {
		ListenerPort    int    `json:",omitempty"`
		Path            string `json:",omitempty"`
		LocalPathPort   int    `json:",omitempty"`
		Protocol        string `json:",omitempty"`
		ParsedFromCheck bool   `json:",omitempty"`
	}
	// AccessLogs say how proxies log requests.
	AccessLogs struct {
		Enabled             bool   `json:",omitempty"`
		DisableListenerLogs bool   `json:",omitempty"`
		Type                string `json:",omitempty"`
		Path                string `json:",omitempty"`
		JSONFormat          string `json:",omitempty"`
		TextFormat          string `json:",omitempty"`
	}
	// Extension is a filter that proxies load.
	Extension struct {
		Name          string
		Required      bool
		Arguments     map[string]any
		ConsulVersion string
		EnvoyVersion  string
	}
	// Upstreams are what a service says of those that it calls.
	Upstreams struct {
		Overrides []*Upstream `json:",omitempty"`
		Defaults  *Upstream   `json:",omitempty"`
	}
	// Upstream is what it says of one of them, or of all.
	Upstream struct {
		Name                       string `json:",omitempty"`
		Peer                       string
		EnvoyListenerJSON          string         `json:",omitempty"`
		EnvoyClusterJSON           string         `json:",omitempty"`
		Protocol                   string         `json:",omitempty"`
		ConnectTimeoutMs           int            `json:",omitempty"`
		Limits                     *Limits        `json:",omitempty"`
		PassiveHealthCheck         *PassiveHealth `json:",omitempty"`
		MeshGateway                MeshMode
		BalanceOutboundConnections string `json:",omitempty"`
	}
	// Limits bound what goes to an upstream at once.
	Limits struct {
		MaxConnections        *int `json:",omitempty"`
		MaxPendingRequests    *int `json:",omitempty"`
		MaxConcurrentRequests *int `json:",omitempty"`
	}
	// PassiveHealth says when an instance is left out for its failures.
	PassiveHealth struct {
		Interval                Nanoseconds  `json:",omitempty"`
		MaxFailures             uint32       `json:",omitempty"`
		EnforcingConsecutive5xx *uint32      `json:",omitempty"`
		MaxEjectionPercent      *uint32      `json:",omitempty"`
		BaseEjectionTime        *Nanoseconds `json:",omitempty"`
	}
	// Destination is an address outside of the mesh that a service stands for.
	Destination struct {
		Addresses []string `json:",omitempty"`
		Port      int      `json:",omitempty"`
	}
	// RateLimits bound what an instance is asked.
	RateLimits struct {
		InstanceLevel InstanceLimits
	}
	// InstanceLimits are those of one instance.
	InstanceLimits struct {
		RequestsPerSecond int
		RequestsMaxBurst  int
		Routes            []RouteLimits
	}
	// RouteLimits are those of one path.
	RouteLimits struct {
		PathExact, PathPrefix, PathRegex    string
		RequestsPerSecond, RequestsMaxBurst int
	}
	// MeshTransparentProxy says where redirected traffic may go.
	MeshTransparentProxy struct {
		MeshDestinationsOnly bool `json:",omitempty"`
	}
	// MeshTLS says which TLS proxies speak.
	MeshTLS struct {
		Incoming *TLSRange `json:",omitempty"`
		Outgoing *TLSRange `json:",omitempty"`
	}
	// TLSRange is a range of versions of TLS, and its suites.
	TLSRange struct {
		TLSMinVersion string   `json:",omitempty"`
		TLSMaxVersion string   `json:",omitempty"`
		CipherSuites  []string `json:",omitempty"`
	}
	// MeshHTTP says how proxies read HTTP.
	MeshHTTP struct {
		SanitizeXForwardedClientCert bool          `json:",omitempty"`
		Incoming                     *HTTPIncoming `json:",omitempty"`
	}
	// HTTPIncoming is how they read requests that come in.
	HTTPIncoming struct {
		RequestNormalization *Normalization `json:",omitempty"`
	}
	// Normalization is what is made of odd paths and headers.
	Normalization struct {
		InsecureDisablePathNormalization bool   `json:",omitempty"`
		MergeSlashes                     bool   `json:",omitempty"`
		PathWithEscapedSlashesAction     string `json:",omitempty"`
		HeadersWithUnderscoresAction     string `json:",omitempty"`
	}
	// MeshPeering says how other clusters are reached.
	MeshPeering struct {
		PeerThroughMeshGateways bool `json:",omitempty"`
	}
)

func (p *ProxySettings) settle(name string) error {
	if name != globalName {
		return refuse("invalid name (%q), only %q is supported", name, globalName)
	}
	if err := mutualTLSMode(p.MutualTLSMode); err != nil {
		return err
	}
	if t := p.AccessLogs.Type; t != "" && !slices.Contains([]string{"stdout", "stderr", "file"}, t) {
		return refuse("invalid access log type: %s", t)
	}
	if (p.AccessLogs.Type == "file") != (p.AccessLogs.Path != "") {
		return refuse("path is required for file-based access logs, and allowed for no others")
	}
	if p.AccessLogs.JSONFormat != "" && p.AccessLogs.TextFormat != "" {
		return refuse("cannot specify both access log JSONFormat and TextFormat")
	}
	if err := extensions(p.EnvoyExtensions); err != nil {
		return err
	}
	return p.FailoverPolicy.validate()
}

// protocol is what all services speak that say nothing of it.
func (p *ProxySettings) protocol() string {
	s, _ := p.Config["protocol"].(string)
	return strings.ToLower(s)
}

func mutualTLSMode(mode string) error {
	if !slices.Contains([]string{"", "strict", "permissive"}, mode) {
		return refuse("invalid mutual TLS mode %q: allowed are strict and permissive", mode)
	}
	return nil
}

func extensions(all []Extension) error {
	for i, x := range all {
		if x.Name == "" {
			return refuse("invalid EnvoyExtensions[%d]: Name is required", i)
		}
	}
	return nil
}

// oneError is how Consul writes a list of errors that has one.
func oneError(format string, args ...any) error {
	return refuse("1 error occurred:\n\t* %s\n\n", fmt.Sprintf(format, args...))
}

// protocols are those that services may speak.
var protocols = []string{"", "tcp", "http", "http2", "grpc"}

func (s *ServiceSettings) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if name == wildcard {
		return refuse("service-defaults: a wildcard is no name of a service")
	}
	s.Protocol = strings.ToLower(s.Protocol)
	if !slices.Contains(protocols, s.Protocol) {
		return oneError("invalid value for protocol: %s", s.Protocol)
	}
	if err := mutualTLSMode(s.MutualTLSMode); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "exact_balance"}, s.BalanceInboundConnections) {
		return oneError("invalid value for balance_inbound_connections: %v", s.BalanceInboundConnections)
	}
	if s.UpstreamConfig != nil {
		if err := s.UpstreamConfig.settle(); err != nil {
			return err
		}
	}
	if d := s.Destination; d != nil {
		switch {
		case len(d.Addresses) == 0:
			return oneError("Destination must contain at least one valid address")
		case d.Port < 1 || d.Port > 65535:
			return oneError("Invalid Port number: %d", d.Port)
		}
	}
	return extensions(s.EnvoyExtensions)
}

func (u *Upstreams) settle() error {
	seen := map[string]bool{}
	for i, o := range u.Overrides {
		switch {
		case o == nil || o.Name == "":
			return oneError("error in upstream override for : Name is required")
		case o.Name == wildcard:
			return oneError("error in upstream override for %s: Wildcard name is not supported", o.Name)
		case seen[o.Name+"\x00"+o.Peer]:
			return oneError("UpstreamConfig.Overrides[%d] defines %q more than once", i, o.Name)
		}
		seen[o.Name+"\x00"+o.Peer] = true
		if err := o.settle(); err != nil {
			return oneError("error in upstream override for %s: %v", o.Name, err)
		}
	}
	if u.Defaults == nil {
		return nil
	}
	if u.Defaults.Name != "" {
		return oneError("error in upstream defaults: Name must be empty")
	}
	if err := u.Defaults.settle(); err != nil {
		return oneError("error in upstream defaults: %v", err)
	}
	return nil
}

func (u *Upstream) settle() error {
	u.Protocol = strings.ToLower(u.Protocol)
	switch {
	case !slices.Contains(protocols, u.Protocol):
		return refuse("invalid value for protocol: %s", u.Protocol)
	case u.ConnectTimeoutMs < 0:
		return refuse("connect timeout must not be negative")
	case !slices.Contains([]string{"", "exact_balance"}, u.BalanceOutboundConnections):
		return refuse("invalid value for balance_outbound_connections: %v", u.BalanceOutboundConnections)
	}
	return u.PassiveHealthCheck.validate()
}

func (p *PassiveHealth) validate() error {
	switch {
	case p == nil:
	case p.Interval < 0:
		return refuse("passive health check interval cannot be negative")
	case p.MaxEjectionPercent != nil && *p.MaxEjectionPercent > 100, p.EnforcingConsecutive5xx != nil && *p.EnforcingConsecutive5xx > 100:
		return refuse("passive health check: a percentage is between 0 and 100")
	case p.BaseEjectionTime != nil && *p.BaseEjectionTime < 0:
		return refuse("passive health check base_ejection_time cannot be negative")
	}
	return nil
}

// tlsVersions are the versions of TLS from the lowest to the highest, behind the word for any.
var tlsVersions = []string{"TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"}

func (r *TLSRange) validate() error {
	if r == nil {
		return nil
	}
	return validateTLS(r.TLSMinVersion, r.TLSMaxVersion)
}

func validateTLS(lowest, highest string) error {
	for _, v := range []string{lowest, highest} {
		if v != "" && !slices.Contains(tlsVersions, v) {
			return refuse("no matching TLS version found for %s, please specify one of [%s]", v, strings.Join(tlsVersions, ", "))
		}
	}
	from, to := slices.Index(tlsVersions, lowest), slices.Index(tlsVersions, highest)
	if from > 0 && to > 0 && from > to {
		return refuse("configuring a maximum version of TLS (%s) below the minimum (%s) is not possible", highest, lowest)
	}
	return nil
}

func (m *MeshSettings) settle(name string) error {
	if name != meshName {
		return refuse("mesh has no Name but %q", meshName)
	}
	if m.TLS != nil {
		if err := m.TLS.Incoming.validate(); err != nil {
			return refuse("error in incoming TLS configuration: %v", err)
		}
		if err := m.TLS.Outgoing.validate(); err != nil {
			return refuse("error in outgoing TLS configuration: %v", err)
		}
	}
	return m.HTTP.validate()
}

func (h *MeshHTTP) validate() error {
	if h == nil || h.Incoming == nil || h.Incoming.RequestNormalization == nil {
		return nil
	}
	n := h.Incoming.RequestNormalization
	slashes := []string{"", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_FORWARD", "UNESCAPE_AND_REDIRECT"}
	if !slices.Contains(slashes, n.PathWithEscapedSlashesAction) {
		return refuse("no matching PathWithEscapedSlashesAction value found for %s, please specify one of [%s]",
			n.PathWithEscapedSlashesAction, strings.Join(slashes[1:], ", "))
	}
	headers := []string{"", "ALLOW", "DROP_HEADER", "REJECT_REQUEST"}
	if !slices.Contains(headers, n.HeadersWithUnderscoresAction) {
		return refuse("no matching HeadersWithUnderscoresAction value found for %s, please specify one of [%s]",
			n.HeadersWithUnderscoresAction, strings.Join(headers[1:], ", "))
	}
	return nil
}
