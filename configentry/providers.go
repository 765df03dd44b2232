package configentry

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
)

// A Provider is the content of jwt-provider: who issues tokens, and how they are checked.
type Provider struct {
	Issuer           string         `json:",omitempty"`
	JSONWebKeySet    *KeySet        `json:",omitempty"`
	Audiences        []string       `json:",omitempty"`
	Locations        []*JWTLocation `json:",omitempty"`
	Forwarding       *JWTForwarding `json:",omitempty"`
	ClockSkewSeconds int
	CacheConfig      *JWTCache         `json:",omitempty"`
	Meta             map[string]string `json:",omitempty"`
}

// Exports are the content of exported-services: which services other clusters may call.
type Exports struct {
	Services []ExportedService `json:",omitempty"`
	Meta     map[string]string `json:",omitempty"`
}

// A Sameness is the content of sameness-group, which is refused.
type Sameness struct {
	DefaultForFailover bool              `json:",omitempty"`
	IncludeLocal       bool              `json:",omitempty"`
	Members            []SamenessMember  `json:",omitempty"`
	Meta               map[string]string `json:",omitempty"`
}

// The parts of these entries, by the names that clients know.
type (
	// KeySet is where the keys of an issuer are.
	KeySet struct {
		Local  *LocalKeys  `json:",omitempty"`
		Remote *RemoteKeys `json:",omitempty"`
	}
	// LocalKeys are given, or in a file where the proxy runs.
	LocalKeys struct {
		JWKS     string `json:",omitempty"`
		Filename string `json:",omitempty"`
	}
	// RemoteKeys are fetched.
	RemoteKeys struct {
		URI                 string      `json:",omitempty"`
		RequestTimeoutMs    int         `json:",omitempty"`
		CacheDuration       Nanoseconds `json:",omitempty"`
		FetchAsynchronously bool        `json:",omitempty"`
		UseSNI              bool        `json:",omitempty"`
		RetryPolicy         *KeyRetry   `json:",omitempty"`
		JWKSCluster         *KeyCluster `json:",omitempty"`
	}
	// KeyRetry says how often.
	KeyRetry struct {
		NumRetries         int      `json:",omitempty"`
		RetryPolicyBackOff *BackOff `json:",omitempty"`
	}
	// BackOff is how long is waited between attempts.
	BackOff struct {
		BaseInterval Nanoseconds `json:",omitempty"`
		MaxInterval  Nanoseconds `json:",omitempty"`
	}
	// KeyCluster says how the issuer is reached.
	KeyCluster struct {
		DiscoveryType   string      `json:",omitempty"`
		TLSCertificates *KeyTLS     `json:",omitempty"`
		ConnectTimeout  Nanoseconds `json:",omitempty"`
	}
	// KeyTLS says whom to trust.
	KeyTLS struct {
		CaCertificateProviderInstance *KeyTLSInstance `json:",omitempty"`
		TrustedCA                     *KeyTLSTrusted  `json:",omitempty"`
	}
	// KeyTLSInstance names a provider of certificates.
	KeyTLSInstance struct {
		InstanceName    string `json:",omitempty"`
		CertificateName string `json:",omitempty"`
	}
	// KeyTLSTrusted is a certificate.
	KeyTLSTrusted struct {
		Filename            string `json:",omitempty"`
		EnvironmentVariable string `json:",omitempty"`
		InlineString        string `json:",omitempty"`
		InlineBytes         []byte `json:",omitempty"`
	}
	// JWTLocation is where in a request a token is.
	JWTLocation struct {
		Header     *JWTHeader `json:",omitempty"`
		QueryParam *JWTName   `json:",omitempty"`
		Cookie     *JWTName   `json:",omitempty"`
	}
	// JWTHeader is a header that has it.
	JWTHeader struct {
		Name        string `json:",omitempty"`
		ValuePrefix string `json:",omitempty"`
		Forward     bool   `json:",omitempty"`
	}
	// JWTName is a parameter or cookie that has it.
	JWTName struct {
		Name string `json:",omitempty"`
	}
	// JWTForwarding is the header in which the token is passed on.
	JWTForwarding struct {
		HeaderName              string `json:",omitempty"`
		PadForwardPayloadHeader bool   `json:",omitempty"`
	}
	// JWTCache bounds what proxies remember of tokens.
	JWTCache struct {
		Size int `json:",omitempty"`
	}
	// ExportedService is a service, and who may call it.
	ExportedService struct {
		Name      string
		Consumers []Consumer `json:",omitempty"`
	}
	// Consumer is another cluster.
	Consumer struct {
		Peer          string `json:",omitempty" alias:"peer_name"`
		SamenessGroup string `json:",omitempty"`
	}
	// SamenessMember is a member of a group.
	SamenessMember struct {
		Peer string `json:",omitempty"`
	}
)

const defaultClockSkew = 30 // seconds

func (p *Provider) settle(name string) error {
	if name == "" {
		return errNoName
	}
	if p.ClockSkewSeconds == 0 {
		p.ClockSkewSeconds = defaultClockSkew
	}
	if p.JSONWebKeySet == nil {
		return refuse("JSONWebKeySet is required")
	}
	if err := p.JSONWebKeySet.validate(); err != nil {
		return err
	}
	for i, l := range p.Locations {
		if l == nil || count(word(l.Header != nil), word(l.QueryParam != nil), word(l.Cookie != nil)) != 1 {
			return refuse("Locations[%d]: must set exactly one of: JWTLocationHeader, JWTLocationQueryParam or JWTLocationCookie", i)
		}
		if l.Header != nil && l.Header.Name == "" || l.QueryParam != nil && l.QueryParam.Name == "" || l.Cookie != nil && l.Cookie.Name == "" {
			return refuse("Locations[%d]: Name is required", i)
		}
	}
	switch {
	case p.Forwarding != nil && p.Forwarding.HeaderName == "":
		return refuse("Header name required for forwarding config")
	case p.ClockSkewSeconds < 0:
		return refuse("ClockSkewSeconds must not be negative")
	case p.CacheConfig != nil && p.CacheConfig.Size < 0:
		return refuse("CacheConfig.Size must not be negative")
	}
	return nil
}

func (k *KeySet) validate() error {
	if (k.Local == nil) == (k.Remote == nil) {
		return refuse("Must specify exactly one of Local or Remote JSON Web key set")
	}
	if l := k.Local; l != nil {
		if (l.JWKS == "") == (l.Filename == "") {
			return refuse("Must specify exactly one of String or filename for local keyset")
		}
		if l.JWKS != "" {
			if plain, err := base64.StdEncoding.DecodeString(l.JWKS); err != nil || !json.Valid(plain) {
				return refuse("JWKS must be valid base64 encoded JSON")
			}
		}
		return nil
	}
	r := k.Remote
	switch at, err := url.Parse(r.URI); {
	case r.URI == "":
		return refuse("Remote JWKS URI is required")
	case err != nil || at.Host == "":
		return refuse("Remote JWKS URI is invalid: %q", r.URI)
	case r.RequestTimeoutMs < 0 || r.CacheDuration < 0:
		return refuse("Remote JWKS: a duration must not be negative")
	case r.RetryPolicy != nil && r.RetryPolicy.NumRetries < 0:
		return refuse("Remote JWKS: NumRetries must not be negative")
	}
	return nil
}

func (x *Exports) mentions() []string {
	var names []string
	for _, s := range x.Services {
		names = append(names, s.Name)
	}
	return names
}

func (x *Exports) settle(name string) error {
	if name != defaultName {
		return refuse("exported-services Name must be %q", defaultName)
	}
	for i, s := range x.Services {
		if s.Name == "" {
			return refuse("Services[%d]: service name cannot be empty", i)
		}
		if len(s.Consumers) == 0 {
			return refuse("Services[%d]: must have at least one consumer", i)
		}
		for j, c := range s.Consumers {
			switch {
			case c.SamenessGroup != "":
				return refuse("Services[%d].Consumers[%d]: sameness-groups are an enterprise-only feature", i, j)
			case c.Peer == "":
				return refuse("Services[%d].Consumers[%d]: must define at least one of Peer, Partition, or SamenessGroup", i, j)
			case c.Peer == wildcard:
				return refuse("Services[%d].Consumers[%d]: exporting to all peers (wildcard) is not supported", i, j)
			}
		}
	}
	return nil
}

func (*Sameness) settle(string) error {
	return refuse("sameness-groups are an enterprise-only feature")
}
