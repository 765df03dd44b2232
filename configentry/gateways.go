package configentry

import (
	"slices"
	"strings"
)

// An Ingress is the content of ingress-gateway: which services can be reached from outside through a gateway.
type Ingress struct {
	TLS       GatewayTLS
	Listeners []Listener
	Defaults  *IngressDefaults  `json:",omitempty"`
	Meta      map[string]string `json:",omitempty"`
}

// A Terminating is the content of terminating-gateway: which services outside of the mesh are reached through a gateway.
type Terminating struct {
	Services []LinkedService   `json:",omitempty"`
	Meta     map[string]string `json:",omitempty"`
}

// The parts of these entries, by the names that clients know.
type (
	// GatewayTLS says whether and how a gateway speaks TLS.
	GatewayTLS struct {
		Enabled       bool
		SDS           *SDS     `json:",omitempty"`
		TLSMinVersion string   `json:",omitempty"`
		TLSMaxVersion string   `json:",omitempty"`
		CipherSuites  []string `json:",omitempty"`
	}
	// SDS is where certificates come from.
	SDS struct {
		ClusterName  string `json:",omitempty"`
		CertResource string `json:",omitempty"`
	}
	// Listener is a port of the gateway.
	Listener struct {
		Port     int
		Protocol string
		Services []IngressService
		TLS      *GatewayTLS `json:",omitempty"`
	}
	// IngressService is a service that is reached through a listener.
	IngressService struct {
		Name                  string
		Hosts                 []string
		TLS                   *ServiceTLS    `json:",omitempty"`
		RequestHeaders        *HeaderChanges `json:",omitempty"`
		ResponseHeaders       *HeaderChanges `json:",omitempty"`
		MaxConnections        uint32         `json:",omitempty"`
		MaxPendingRequests    uint32         `json:",omitempty"`
		MaxConcurrentRequests uint32         `json:",omitempty"`
		PassiveHealthCheck    *PassiveHealth `json:",omitempty"`
	}
	// ServiceTLS is where the certificate of one service comes from.
	ServiceTLS struct {
		SDS *SDS `json:",omitempty"`
	}
	// IngressDefaults hold for all services of a gateway.
	IngressDefaults struct {
		MaxConnections        uint32
		MaxPendingRequests    uint32
		MaxConcurrentRequests uint32
		PassiveHealthCheck    *PassiveHealth `json:",omitempty"`
	}
	// LinkedService is a service outside of the mesh.
	LinkedService struct {
		Name                   string `json:",omitempty"`
		CAFile                 string `json:",omitempty"`
		CertFile               string `json:",omitempty"`
		KeyFile                string `json:",omitempty"`
		SNI                    string `json:",omitempty"`
		DisableAutoHostRewrite bool   `json:",omitempty"`
	}
)

func (g *Ingress) mentions() []string {
	var names []string
	for _, l := range g.Listeners {
		for _, s := range l.Services {
			names = append(names, s.Name)
		}
	}
	return names
}

func (g *Ingress) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if err := validateTLS(g.TLS.TLSMinVersion, g.TLS.TLSMaxVersion); err != nil {
		return err
	}
	if err := g.TLS.SDS.validate(); err != nil {
		return err
	}
	ports := map[int]bool{}
	for i := range g.Listeners {
		l := &g.Listeners[i]
		if ports[l.Port] {
			return refuse("port %d declared on two listeners", l.Port)
		}
		ports[l.Port] = true
		if err := l.settle(); err != nil {
			return err
		}
	}
	return nil
}

func (s *SDS) validate() error {
	if s != nil && s.ClusterName == "" && s.CertResource != "" {
		return refuse("TLS.SDS.ClusterName is required if CertResource is set")
	}
	return nil
}

func (l *Listener) settle() error {
	if l.Protocol = strings.ToLower(l.Protocol); l.Protocol == "" {
		l.Protocol = "tcp"
	}
	switch {
	case !slices.Contains(protocols, l.Protocol):
		return refuse("protocol must be 'tcp', 'http', 'http2', or 'grpc'. '%s' is an unsupported protocol", l.Protocol)
	case len(l.Services) == 0:
		return refuse("No service declared for listener with port %d", l.Port)
	case l.Protocol == "tcp" && len(l.Services) > 1:
		return refuse("Multiple services per listener are only supported for L7 protocols, 'http', 'grpc' and 'http2' (listener on port %d)", l.Port)
	}
	if l.TLS != nil {
		if err := validateTLS(l.TLS.TLSMinVersion, l.TLS.TLSMaxVersion); err != nil {
			return err
		}
		if err := l.TLS.SDS.validate(); err != nil {
			return err
		}
	}
	services, hosts := map[string]bool{}, map[string]bool{}
	for _, s := range l.Services {
		if err := l.validateService(s, hosts); err != nil {
			return err
		}
		if services[s.Name] {
			return refuse("Service %s cannot be added multiple times (listener on port %d)", s.Name, l.Port)
		}
		services[s.Name] = true
	}
	return nil
}

func (l *Listener) validateService(s IngressService, hosts map[string]bool) error {
	switch {
	case s.Name == "":
		return refuse("Service name cannot be blank (listener on port %d)", l.Port)
	case s.Name == wildcard && l.Protocol != "http":
		return refuse("Wildcard service name is only valid for protocol = 'http' (listener on port %d)", l.Port)
	case s.Name == wildcard && len(s.Hosts) > 0:
		return refuse("Associating hosts to a wildcard service is not supported (listener on port %d)", l.Port)
	case l.Protocol == "tcp" && len(s.Hosts) > 0:
		return refuse("Associating hosts to a service is not supported for the %s protocol (listener on port %d)", l.Protocol, l.Port)
	}
	for _, h := range s.Hosts {
		switch {
		case hosts[h]:
			return refuse("Hosts must be unique within a specific listener (listener on port %d)", l.Port)
		case h == "" || strings.Contains(strings.TrimPrefix(h, "*."), "*") && h != "*":
			return refuse("Host %q is not valid, a wildcard specifier is only allowed as the leftmost label", h)
		}
		hosts[h] = true
	}
	for _, header := range []*HeaderChanges{s.RequestHeaders, s.ResponseHeaders} {
		if err := header.validate(); err != nil {
			return refuse("service %q %v (listener on port %d)", s.Name, err, l.Port)
		}
	}
	return s.PassiveHealthCheck.validate()
}

func (g *Terminating) mentions() []string {
	var names []string
	for _, s := range g.Services {
		names = append(names, s.Name)
	}
	return names
}

func (g *Terminating) settle(name string) error {
	if name == "" {
		return errNoName
	}
	seen := map[string]bool{}
	for _, s := range g.Services {
		switch {
		case s.Name == "":
			return refuse("Service name cannot be blank.")
		case seen[s.Name]:
			return refuse("Service %q was specified more than once within a namespace", s.Name)
		case (s.CertFile == "") != (s.KeyFile == "") || s.CertFile != "" && s.CAFile == "":
			return refuse("Service %q must have a CertFile, CAFile, and KeyFile specified for TLS origination", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}
