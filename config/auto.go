package config

import (
	"net/netip"
	"time"
)

// Auto is how a client agent gets certificates, and with auto_config also its settings, from the servers.
type Auto struct {
	Encrypt AutoEncrypt `config:"auto_encrypt"`
	Config  AutoConfig  `config:"auto_config"`
}

// AutoEncrypt gets a client agent its certificate.
type AutoEncrypt struct {
	TLS      bool     `config:"tls" debug:"AutoEncryptTLS"`            // on a client: ask the servers for a certificate
	DNSSAN   []string `config:"dns_san" debug:"AutoEncryptDNSSAN"`     // further names in the certificate
	IPSAN    []string `config:"ip_san" debug:"AutoEncryptIPSAN"`       // further addresses in the certificate
	AllowTLS bool     `config:"allow_tls" debug:"AutoEncryptAllowTLS"` // on a server: answer such requests
}

// AutoConfig gets a client agent its settings.
type AutoConfig struct {
	Enabled       bool              `config:"enabled"`          // ask the servers for settings
	IntroToken    string            `config:"intro_token"`      // JWT that introduces the agent
	IntroFile     string            `config:"intro_token_file"` // file with that JWT
	Servers       []string          `config:"server_addresses"` // servers to ask
	DNSSANs       []string          `config:"dns_sans"`         // further names in the certificate
	IPSANs        []string          `config:"ip_sans"`          // further addresses in the certificate
	Authorization AutoAuthorization `config:"authorization"`
}

// AutoAuthorization is whom servers answer.
type AutoAuthorization struct {
	Enabled bool       `config:"enabled"` // answer requests for settings
	Static  AutoStatic `config:"static"`
}

// AutoStatic is how introducing JWTs are checked.
type AutoStatic struct {
	Assertions   []string          `config:"claim_assertions"`        // expressions that must hold of the claims
	AllowReuse   bool              `config:"allow_reuse"`             // let a JWT be used more than once
	Algorithms   []string          `config:"jwt_supported_algs"`      // signature algorithms that are accepted
	Audiences    []string          `config:"bound_audiences"`         // audiences that are accepted
	Mappings     map[string]string `config:"claim_mappings"`          // names of claims for expressions
	ListMappings map[string]string `config:"list_claim_mappings"`     // names of list claims for expressions
	DiscoveryURL string            `config:"oidc_discovery_url"`      // where the keys are found by OIDC discovery
	DiscoveryCA  string            `config:"oidc_discovery_ca_cert"`  // certificate authority of that place
	JWKSURL      string            `config:"jwks_url"`                // where the keys are
	JWKSCA       string            `config:"jwks_ca_cert"`            // certificate authority of that place
	Keys         []string          `config:"jwt_validation_pub_keys"` // the keys themselves
	Issuer       string            `config:"bound_issuer"`            // issuer that is accepted
	ExpirySlack  string            `config:"expiration_leeway"`       // how long a JWT is good that does not say until when; less than 0 is not at all (default 150s)
	NotBefore    string            `config:"not_before_leeway"`       // how long before its end a JWT is good that does not say from when; less than 0 is not at all (default 150s)
	ClockSkew    string            `config:"clock_skew_leeway"`       // how far clocks may differ; less than 0 is not at all (default 60s)

	Leeways struct{ Expiration, NotBefore, ClockSkew time.Duration } `config:"-"` // those above, parsed; 0 is the default
}

func (a *Auto) check(r *report, server bool) {
	if a.Encrypt.TLS && server {
		r.refuse("auto_encrypt.tls", "is for clients only: set auto_encrypt.allow_tls on servers")
	}
	for _, list := range []struct {
		key   string
		texts []string
	}{{"auto_encrypt.ip_san", a.Encrypt.IPSAN}, {"auto_config.ip_sans", a.Config.IPSANs}} {
		for _, text := range list.texts {
			if _, err := netip.ParseAddr(text); err != nil {
				r.refuse(list.key, "holds %q, which is not an IP address", text)
			}
		}
	}
	if a.Encrypt.AllowTLS && !server {
		r.refuse("auto_encrypt.allow_tls", "is for servers only: set auto_encrypt.tls on clients")
	}
	if a.Config.Enabled && server {
		r.refuse("auto_config.enabled", "is for clients only: set auto_config.authorization.enabled on servers")
	}
	if a.Config.Authorization.Enabled && !server {
		r.refuse("auto_config.authorization.enabled", "is for servers only")
	}
	if a.Config.Enabled {
		a.Config.check(r)
	}
	a.Config.Authorization.Static.check(r)
	if a.Config.Enabled && a.Encrypt.TLS {
		r.refuse("auto_config.enabled", "cannot be used together with auto_encrypt.tls")
	}
}

// check refuses an agent that could not introduce itself.
func (c *AutoConfig) check(r *report) {
	if (c.IntroToken == "") == (c.IntroFile == "") {
		r.refuse("auto_config.intro_token", "exactly one of intro_token and intro_token_file must be set")
	}
	if len(c.Servers) == 0 {
		r.refuse("auto_config.server_addresses", "must name a server at least")
	}
}

func (s *AutoStatic) check(r *report) {
	for _, one := range []struct {
		key, text string
		into      *time.Duration
	}{{"expiration_leeway", s.ExpirySlack, &s.Leeways.Expiration}, {"not_before_leeway", s.NotBefore, &s.Leeways.NotBefore}, {"clock_skew_leeway", s.ClockSkew, &s.Leeways.ClockSkew}} {
		if one.text == "" {
			continue
		}
		var err error
		if *one.into, err = time.ParseDuration(one.text); err != nil {
			r.refuse("auto_config.authorization.static."+one.key, "is %q, which is not a time such as \"60s\"", one.text)
		}
	}
}

// ValidNode tells whether a text can be the name of a node that servers introduce.
func ValidNode(name string) bool { return onlyOf(name, ".-_") && len(name) <= 128 }
