// Package claims checks JSON Web Tokens: their signature, their times, whom they are from and for, and what they assert. It
// knows keys, as texts or at an address, and expressions over claims; it knows nothing of who is let in by a token.
package claims

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Config says which tokens are accepted. Its JSON is that of auth methods. Exactly one of JWTValidationPubKeys, JWKSURL and
// OIDCDiscoveryURL is needed.
type Config struct {
	JWTValidationPubKeys []string // public keys or certificates, PEM
	JWKSURL              string   // where the keys are, and the authority of that place, PEM; "" are those of the system
	JWKSCACert           string
	OIDCDiscoveryURL     string // the issuer, who tells where its keys are, and the authority of that place
	OIDCDiscoveryCACert  string
	BoundIssuer          string            // "" is the issuer at OIDCDiscoveryURL, or else any
	BoundAudiences       []string          // one of which the token must be for; none is any
	JWTSupportedAlgs     []string          // of signatures; none means all that need a public key
	ExpirationLeeway     Duration          // how long a token is good that does not say until when; 0 is 150 s
	NotBeforeLeeway      Duration          // how long before its end a token is good that does not say from when; 0 is 150 s
	ClockSkewLeeway      Duration          // how far clocks may differ; 0 is 60 s
	ClaimMappings        map[string]string // names of claims, or JSON pointers to them, for names in expressions
	ListClaimMappings    map[string]string // the same for claims with several values
	Assertions           []string          `json:"-"` // that must all hold, such as value.node == "${node}"
}

// A Duration is a text or a number of nanoseconds in JSON. Of leeways, 0 means the default, and less than 0 none at all.
type Duration time.Duration

// UnmarshalJSON reads it.
func (l *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return json.Unmarshal(b, (*int64)(l))
	}
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	*l = Duration(d)
	return err
}

func (l Duration) or(otherwise time.Duration) time.Duration {
	switch {
	case l < 0:
		return 0
	case l == 0:
		return otherwise
	}
	return time.Duration(l)
}

// A ConfigError tells which field of a Config cannot be used, and why.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return e.Reason }

func wrong(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Sprintf(format, args...)}
}

// ErrSources refuses a Config that names no place of keys, or several.
var ErrSources error = &ConfigError{"JWTValidationPubKeys", "exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' must be set"}

// Claims are what a token says, under the names that the mappings give: what has one value, and what has several.
type Claims struct {
	Value map[string]string   `bexpr:"value"`
	List  map[string][]string `bexpr:"list"`
}

// A Checker checks tokens. It may be used by several goroutines.
type Checker struct {
	config     Config
	fixed      []crypto.PublicKey // of JWTValidationPubKeys
	remote     *remote            // of all others
	assertions []*assertion
	parser     *jwt.Parser
}

// MaxToken bounds a token, in bytes.
const MaxToken = 64 << 10

// algorithms are those of signatures that need a public key.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}

// New makes a Checker. It connects to nothing; the keys at addresses are fetched through keys when a token needs them. Its
// errors are ConfigErrors.
func New(c Config, keys Keys) (*Checker, error) {
	k := &Checker{config: c}
	allowed := c.JWTSupportedAlgs
	if len(allowed) == 0 {
		allowed = algorithms
	}
	for _, a := range allowed {
		if !slices.Contains(algorithms, a) {
			return nil, wrong("JWTSupportedAlgs", "unsupported signing algorithm %q in 'JWTSupportedAlgs': allowed are %s", a, strings.Join(algorithms, ", "))
		}
	}
	k.parser = jwt.NewParser(jwt.WithValidMethods(allowed), jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())
	for field, m := range map[string]map[string]string{"ClaimMappings": c.ClaimMappings, "ListClaimMappings": c.ListClaimMappings} {
		if err := uniqueTargets(field, m); err != nil {
			return nil, err
		}
	}
	for i, text := range c.Assertions {
		a, err := parseAssertion(text)
		if err != nil {
			return nil, wrong("Assertions", "number %d: %s", i+1, err)
		}
		k.assertions = append(k.assertions, a)
	}
	return k, k.findKeys(keys)
}

// findKeys settles where the keys are.
func (k *Checker) findKeys(keys Keys) error {
	c := &k.config
	if (len(c.JWTValidationPubKeys) > 0) == (c.JWKSURL != "" || c.OIDCDiscoveryURL != "") || c.JWKSURL != "" && c.OIDCDiscoveryURL != "" {
		return ErrSources
	}
	for i, text := range c.JWTValidationPubKeys {
		key, err := parseKey(text)
		if err != nil {
			return wrong("JWTValidationPubKeys", "error parsing public key JWTValidationPubKeys[%d]: %s", i, err)
		}
		k.fixed = append(k.fixed, key)
	}
	if len(k.fixed) > 0 {
		return nil
	}
	p, err := newPlace(c)
	if err == nil {
		k.remote = keys.at(p)
	}
	return err
}

// Check returns what a token claims if it is valid and all assertions hold of it, with these values for their parameters.
// It may block while keys are fetched.
func (k *Checker) Check(ctx context.Context, token string, parameters map[string]string) (*Claims, error) {
	all, err := k.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return k.conclude(all, parameters)
}

// verify returns all that a valid token claims.
func (k *Checker) verify(ctx context.Context, token string) (map[string]any, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("the token is longer than %d bytes", MaxToken)
	}
	all := jwt.MapClaims{}
	if _, err := k.parser.ParseWithClaims(token, all, func(t *jwt.Token) (any, error) { return k.keysFor(ctx, t) }); err != nil {
		return nil, err
	}
	if err := k.checkTimes(all, time.Now()); err != nil {
		return nil, err
	}
	return all, k.checkParties(all)
}

// conclude chooses what the mappings name, and returns it if all assertions hold.
func (k *Checker) conclude(all map[string]any, parameters map[string]string) (*Claims, error) {
	chosen, err := k.choose(all)
	if err != nil {
		return nil, err
	}
	for i, a := range k.assertions {
		if err := a.holds(chosen, parameters); err != nil {
			return nil, fmt.Errorf("claim assertion %d: %w", i+1, err)
		}
	}
	return chosen, nil
}

// keysFor are the keys that may have signed a token.
func (k *Checker) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical { // what it names has to be understood: RFC 7515, section 4.1.11
		return nil, errors.New("the token has extensions that are not known here (crit)")
	}
	known := k.fixed
	if k.remote != nil {
		id, _ := t.Header["kid"].(string)
		var err error
		if known, err = k.remote.find(ctx, id); err != nil {
			return nil, err
		}
	}
	set := jwt.VerificationKeySet{}
	for _, key := range known {
		if fits(t.Method.Alg(), key) {
			set.Keys = append(set.Keys, key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("no known key for the algorithm %s", t.Method.Alg())
	}
	return set, nil
}

// The defaults of leeways.
const (
	defaultLeeway = 150 * time.Second
	defaultSkew   = time.Minute
)

// checkTimes tells why a token that is signed well is not good now.
func (k *Checker) checkTimes(all map[string]any, now time.Time) error {
	var times [3]time.Time
	for i, name := range []string{"iat", "nbf", "exp"} {
		var err error
		if times[i], err = moment(all[name]); err != nil {
			return fmt.Errorf("claim %q: %w", name, err)
		}
	}
	issued, begin, end := times[0], times[1], times[2]
	if issued.IsZero() && begin.IsZero() && end.IsZero() {
		return errors.New("no issue time, notBefore, or expiration time encoded in token")
	}
	if end.IsZero() {
		end = issued
		if begin.After(issued) {
			end = begin
		}
		end = end.Add(k.config.ExpirationLeeway.or(defaultLeeway))
	}
	if begin.IsZero() {
		if begin = issued; begin.IsZero() {
			begin = end.Add(-k.config.NotBeforeLeeway.or(defaultLeeway))
		}
	}
	skew := k.config.ClockSkewLeeway.or(defaultSkew)
	switch {
	case now.After(end.Add(skew)):
		return errors.New("token is expired")
	case now.Add(skew).Before(begin):
		return errors.New("token is not yet valid (notBefore)")
	case now.Add(skew).Before(issued):
		return errors.New("token was issued in the future")
	}
	return nil
}

// checkParties tells whether a token is by whom it has to be, and for whom.
func (k *Checker) checkParties(all map[string]any) error {
	c := &k.config
	want := c.BoundIssuer
	if want == "" {
		want = c.OIDCDiscoveryURL
	}
	if issuer, _ := all["iss"].(string); want != "" && issuer != want {
		return errors.New("invalid issuer (iss) claim")
	}
	if len(c.BoundAudiences) == 0 {
		return nil
	}
	for _, audience := range texts(all["aud"]) {
		if slices.Contains(c.BoundAudiences, audience) {
			return nil
		}
	}
	return errors.New("invalid audience (aud) claim")
}
