package configentry

import (
	"crypto/tls"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

// A Gateway is the content of api-gateway: on which ports a gateway listens. Which routes it serves they say themselves.
type Gateway struct {
	Listeners []APIListener
	Status    Status
	Meta      map[string]string `json:",omitempty"`
}

// A BoundGateway is the content of bound-api-gateway: what servers make of a gateway and its routes.
type BoundGateway struct {
	Listeners []BoundListener
	Services  map[string]any    `json:",omitempty"`
	Meta      map[string]string `json:",omitempty"`
}

// HTTPRoutes are the content of http-route.
type HTTPRoutes struct {
	Parents   []Reference
	Rules     []HTTPRule
	Hostnames []string
	Status    Status
	Meta      map[string]string `json:",omitempty"`
}

// TCPRoutes are the content of tcp-route.
type TCPRoutes struct {
	Parents  []Reference
	Services []TCPService
	Status   Status
	Meta     map[string]string `json:",omitempty"`
}

// A Certificate is the content of inline-certificate.
type Certificate struct {
	Certificate string
	PrivateKey  string
	Meta        map[string]string `json:",omitempty"`
}

// A CertificateFile is the content of file-system-certificate: where the gateway itself finds it.
type CertificateFile struct {
	Certificate string
	PrivateKey  string
	Meta        map[string]string `json:",omitempty"`
}

// The parts of these entries, by the names that clients know.
type (
	// APIListener is a port of a gateway.
	APIListener struct {
		Name     string
		Hostname string
		Port     int
		Protocol string
		TLS      APITLS
		Override *APIPolicy `json:",omitempty"`
		Default  *APIPolicy `json:",omitempty"`
	}
	// APITLS says how a listener speaks TLS.
	APITLS struct {
		Certificates []Reference
		MaxVersion   string `alias:"tls_max_version"`
		MinVersion   string `alias:"tls_min_version"`
		CipherSuites []string
	}
	// APIPolicy says which tokens requests must have.
	APIPolicy struct {
		JWT *JWTRequirement `json:",omitempty"`
	}
	// Reference names another entry.
	Reference struct {
		Kind        string
		Name        string
		SectionName string
	}
	// Status is how a gateway or route was found to be.
	Status struct {
		Conditions []Condition
	}
	// Condition is one finding.
	Condition struct {
		Type               string
		Status             string
		Reason             string
		Message            string
		Resource           *Reference
		LastTransitionTime *time.Time
	}
	// BoundListener is a listener with what was found for it.
	BoundListener struct {
		Name         string
		Routes       []Reference
		Certificates []Reference
	}
	// HTTPRule is where requests go that match.
	HTTPRule struct {
		Filters         HTTPFilters
		ResponseFilters ResponseFilters
		Matches         []RuleMatch
		Services        []HTTPService
	}
	// HTTPFilters change requests.
	HTTPFilters struct {
		Headers       []HeaderFilter
		URLRewrite    *URLRewrite    `json:",omitempty"`
		RetryFilter   *RetryFilter   `json:",omitempty"`
		TimeoutFilter *TimeoutFilter `json:",omitempty"`
		JWT           *APIPolicyJWT  `json:",omitempty"`
	}
	// APIPolicyJWT says which tokens requests must have.
	APIPolicyJWT = JWTRequirement
	// ResponseFilters change answers.
	ResponseFilters struct {
		Headers []HeaderFilter
	}
	// HeaderFilter changes headers.
	HeaderFilter struct {
		Add    map[string]string
		Remove []string
		Set    map[string]string
	}
	// URLRewrite changes the path.
	URLRewrite struct {
		Path string
	}
	// RetryFilter says when a request is sent again.
	RetryFilter struct {
		NumRetries            uint32
		RetryOn               []string
		RetryOnStatusCodes    []uint32
		RetryOnConnectFailure bool
	}
	// TimeoutFilter bounds the time of a request.
	TimeoutFilter struct {
		RequestTimeout Nanoseconds
		IdleTimeout    Nanoseconds
	}
	// RuleMatch is what a request has to be like.
	RuleMatch struct {
		Headers []TypedMatch
		Method  string
		Path    TypedPath
		Query   []TypedMatch
	}
	// TypedMatch compares what has a name.
	TypedMatch struct {
		Match string
		Name  string
		Value string
	}
	// TypedPath compares the path.
	TypedPath struct {
		Match string
		Value string
	}
	// HTTPService is a service with its share.
	HTTPService struct {
		Name            string
		Weight          int
		Filters         HTTPFilters
		ResponseFilters ResponseFilters
	}
	// TCPService is a service.
	TCPService struct {
		Name string
	}
)

func (g *Gateway) settle(name string) error {
	if name == "" {
		return errNoName
	}
	g.Status = Status{}
	seen := map[string]bool{}
	for i := range g.Listeners {
		l := &g.Listeners[i]
		l.Protocol = strings.ToLower(l.Protocol)
		switch {
		case seen[l.Name]:
			return refuse("multiple listeners with the name %q", l.Name)
		case l.Protocol != "http" && l.Protocol != "tcp":
			return refuse("unsupported listener protocol %q, must be one of 'tcp', or 'http'", l.Protocol)
		case l.Protocol == "tcp" && l.Hostname != "":
			return refuse("hostname specification is not supported when using TCP")
		case l.Port < 1 || l.Port > 65535:
			return refuse("listener port %d not in the range 1-65535", l.Port)
		case strings.Contains(strings.TrimPrefix(l.Hostname, "*."), "*"):
			return refuse("host %q must be a valid hostname, a wildcard only as its leftmost label", l.Hostname)
		}
		seen[l.Name] = true
		for _, c := range l.TLS.Certificates {
			if c.Kind != "" && c.Kind != InlineCertificate && c.Kind != FileCertificate {
				return refuse("unsupported certificate kind: %q, must be 'inline-certificate' or 'file-system-certificate'", c.Kind)
			}
		}
		if err := validateTLS(l.TLS.MinVersion, l.TLS.MaxVersion); err != nil {
			return err
		}
	}
	return nil
}

func (*BoundGateway) settle(string) error {
	return refuse("bound-api-gateway is made by the servers from api-gateway and its routes: write those")
}

func parents(all []Reference) error {
	seen := map[Reference]bool{}
	for i := range all {
		p := &all[i]
		if p.Kind == "" {
			p.Kind = APIGateway
		}
		if p.Kind != APIGateway {
			return refuse("unsupported parent kind: %q, must be 'api-gateway'", p.Kind)
		}
		if seen[*p] {
			return refuse("route parents must be unique")
		}
		seen[*p] = true
	}
	return nil
}

// Words that a match of an http-route may have.
var (
	pathMatches  = []string{"", "exact", "prefix", "regex"}
	valueMatches = []string{"", "exact", "prefix", "regex", "present", "suffix"}
	httpMethods  = []string{"", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)

func (r *HTTPRoutes) mentions() []string {
	var names []string
	for _, rule := range r.Rules {
		for _, s := range rule.Services {
			names = append(names, s.Name)
		}
	}
	return names
}

func (r *HTTPRoutes) settle(name string) error {
	if name == "" {
		return errNoName
	}
	r.Status = Status{}
	if err := parents(r.Parents); err != nil {
		return err
	}
	for _, host := range r.Hostnames {
		if strings.Contains(strings.TrimPrefix(host, "*."), "*") {
			return refuse("host %q must not be a wildcard", host)
		}
	}
	for i := range r.Rules {
		rule := &r.Rules[i]
		for j := range rule.Matches {
			m := &rule.Matches[j]
			m.Method = strings.ToUpper(m.Method)
			if err := m.validate(); err != nil {
				return refuse("Rule[%d], Match[%d], %v", i, j, err)
			}
		}
		for j := range rule.Services {
			if s := &rule.Services[j]; s.Weight <= 0 {
				s.Weight = 1
			}
			if rule.Services[j].Name == "" {
				return refuse("Rule[%d], Service[%d], Name is required", i, j)
			}
		}
	}
	return nil
}

func (m *RuleMatch) validate() error {
	if m.Path.Match == "" && m.Path.Value == "" {
		m.Path = TypedPath{Match: "prefix", Value: "/"}
	}
	switch {
	case !slices.Contains(httpMethods, m.Method):
		return refuse("Method contains an invalid method %q", m.Method)
	case !slices.Contains(pathMatches, m.Path.Match):
		return refuse("Path match type should be one of exact, prefix or regex, not %q", m.Path.Match)
	case m.Path.Match != "regex" && !strings.HasPrefix(m.Path.Value, "/"):
		return refuse("Path doesn't start with '/': %q", m.Path.Value)
	}
	for i, h := range slices.Concat(m.Headers, m.Query) {
		if h.Name == "" || !slices.Contains(valueMatches, h.Match) {
			return refuse("header or query %d needs a Name and a match type: exact, prefix, suffix, regex or present", i)
		}
	}
	return nil
}

func (r *TCPRoutes) mentions() []string {
	var names []string
	for _, s := range r.Services {
		names = append(names, s.Name)
	}
	return names
}

func (r *TCPRoutes) settle(name string) error {
	if name == "" {
		return errNoName
	}
	r.Status = Status{}
	if len(r.Services) > 1 {
		return refuse("tcp-route currently only supports one service")
	}
	return parents(r.Parents)
}

func (c *Certificate) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if block, _ := pem.Decode([]byte(c.PrivateKey)); block == nil {
		return refuse("failed to parse private key PEM")
	}
	if block, _ := pem.Decode([]byte(c.Certificate)); block == nil {
		return refuse("failed to parse certificate PEM")
	}
	if _, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.PrivateKey)); err != nil {
		return refuse("certificate and private key do not belong together: %v", err)
	}
	return nil
}

func (c *CertificateFile) settle(name string) error {
	switch {
	case name == "":
		return errNoName
	case c.Certificate == "":
		return refuse("certificate path must not be empty")
	case c.PrivateKey == "":
		return refuse("private key path must not be empty")
	}
	return nil
}
