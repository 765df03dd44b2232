// Package claims checks JSON Web Tokens: their signature, their times, whom they are from and for, and what they assert. It
// knows keys, as texts or at an address, and expressions over claims; it knows nothing of who is let in by a token.
package claims

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Config says which tokens are accepted. Exactly one of Keys, JWKSURL and DiscoveryURL is needed.
type Config struct {
	Keys         []string // public keys, PEM
	JWKSURL      string   // where the keys are, and the authority of that place, PEM; "" are those of the system
	JWKSCA       string
	DiscoveryURL string // of OIDC, and the authority of that place
	DiscoveryCA  string
	Issuer       string   // "" is any
	Audiences    []string // one of which the token must be for; none is any
	Algorithms   []string // of signatures; none means RS256
	ClockSkew    time.Duration
	Mappings     map[string]string // names of claims for those in expressions
	ListMappings map[string]string
	Assertions   []string // that must all hold: see Assertion
}

// A Checker checks tokens. It may be used by several goroutines.
type Checker struct {
	Config
	source     source
	assertions []*assertion
	parser     *jwt.Parser
}

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// algorithms are those of signatures that need a public key.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}

// New makes a Checker. Errors begin with the name of the key, as auto_config has it. It connects to nothing.
func New(c Config) (*Checker, error) {
	k := &Checker{Config: c}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256"}
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(algorithms, a) {
			return nil, fmt.Errorf("jwt_supported_algs: holds %q, but allowed are: %s", a, strings.Join(algorithms, ", "))
		}
	}
	var err error
	if k.source, err = newSource(&c); err != nil {
		return nil, err
	}
	for i, text := range c.Assertions {
		a, err := parseAssertion(text)
		if err != nil {
			return nil, fmt.Errorf("claim_assertions: number %d: %w", i+1, err)
		}
		k.assertions = append(k.assertions, a)
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(c.Algorithms), jwt.WithLeeway(c.ClockSkew), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(time.Now)}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if len(c.Audiences) > 0 {
		options = append(options, jwt.WithAudience(c.Audiences...))
	}
	k.parser = jwt.NewParser(options...)
	return k, nil
}

// Check returns nil if a token is valid and all assertions hold of it, with these values for their parameters.
func (k *Checker) Check(ctx context.Context, token string, parameters map[string]string) error {
	if len(token) > maxToken {
		return fmt.Errorf("the token is longer than %d bytes", maxToken)
	}
	all := jwt.MapClaims{}
	if _, err := k.parser.ParseWithClaims(token, all, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		keys, err := k.source.keys(ctx, id)
		if err != nil {
			return nil, err
		}
		set := jwt.VerificationKeySet{}
		for _, key := range keys {
			set.Keys = append(set.Keys, key)
		}
		return set, nil
	}); err != nil {
		return err
	}
	told, err := k.choose(all)
	if err != nil {
		return err
	}
	for i, a := range k.assertions {
		if err := a.holds(told, parameters); err != nil {
			return fmt.Errorf("claim assertion %d: %w", i+1, err)
		}
	}
	return nil
}

// choose gives the claims that the mappings name the names that they have in expressions.
func (k *Checker) choose(all map[string]any) (*told, error) {
	t := &told{Value: map[string]string{}, List: map[string][]string{}}
	for from, to := range k.Mappings {
		switch v := find(all, from).(type) {
		case nil:
		case string, bool, float64:
			t.Value[to] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("the claim %q is not a text, a number or a truth value", from)
		}
	}
	for from, to := range k.ListMappings {
		switch v := find(all, from).(type) {
		case nil:
		case string:
			t.List[to] = []string{v}
		case []any:
			for _, one := range v {
				t.List[to] = append(t.List[to], fmt.Sprint(one))
			}
		default:
			return nil, fmt.Errorf("the claim %q is not a list", from)
		}
	}
	return t, nil
}

// find looks a claim up, by its name or by a JSON pointer.
func find(all map[string]any, name string) any {
	path, ok := strings.CutPrefix(name, "/")
	if !ok {
		return all[name]
	}
	var at any = all
	for _, part := range strings.Split(path, "/") {
		inside, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = inside[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return at
}

// parseKey reads a public key, or that of a certificate, in PEM.
func parseKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	if block.Type == "CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return key, nil
	}
	return x509.ParsePKCS1PublicKey(block.Bytes)
}
