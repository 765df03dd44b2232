package acl

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jwtConfig is the configuration of an auth method of type jwt.
type jwtConfig struct {
	JWTSupportedAlgs     []string
	BoundAudiences       []string
	BoundIssuer          string
	ClaimMappings        map[string]string
	ListClaimMappings    map[string]string
	OIDCDiscoveryURL     string
	OIDCDiscoveryCACert  string
	JWKSURL              string
	JWKSCACert           string
	JWTValidationPubKeys []string
	ExpirationLeeway     leeway
	NotBeforeLeeway      leeway
	ClockSkewLeeway      leeway
	// Those of the type oidc, which clients send empty.
	OIDCClientID, OIDCClientSecret                 string
	OIDCScopes, OIDCACRValues, AllowedRedirectURIs []string
	VerboseOIDCLogging                             bool
}

// A leeway is a duration, as a text or a number of nanoseconds; less than 0 is none at all.
type leeway time.Duration

// UnmarshalJSON reads it.
func (l *leeway) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return json.Unmarshal(b, (*int64)(l))
	}
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	*l = leeway(d)
	return err
}

func (l leeway) or(otherwise time.Duration) time.Duration {
	switch {
	case l < 0:
		return 0
	case l == 0:
		return otherwise
	}
	return time.Duration(l)
}

// jwtFields are what selectors may name.
type jwtFields struct {
	Value map[string]string   `bexpr:"value"`
	List  map[string][]string `bexpr:"list"`
}

// algorithms are those by which a token may be signed: with a key of which this server has the public half alone.
var algorithms = []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"}

// A jwtVerifier checks signed tokens.
type jwtVerifier struct {
	config jwtConfig
	fixed  []crypto.PublicKey // of JWTValidationPubKeys
	source *keySource         // of all others
	keys   Keys
}

func newJWT(text Document, keys Keys) (verifier, error) {
	v := &jwtVerifier{keys: keys}
	c := &v.config
	if err := readConfig(text, c); err != nil {
		return nil, err
	}
	ways := 0
	for _, set := range []bool{len(c.JWTValidationPubKeys) > 0, c.JWKSURL != "", c.OIDCDiscoveryURL != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return nil, refuse(`Invalid Auth Method: exactly one of 'JWTValidationPubKeys', 'JWKSURL', or 'OIDCDiscoveryURL' must be set for type "jwt"`)
	}
	if c.OIDCClientID != "" || c.OIDCClientSecret != "" || len(c.OIDCScopes)+len(c.OIDCACRValues)+len(c.AllowedRedirectURIs) > 0 {
		return nil, refuse(`Invalid Auth Method: 'OIDCClientID', 'OIDCClientSecret', 'OIDCScopes', 'OIDCACRValues' and 'AllowedRedirectURIs' must not be set for type "jwt"`)
	}
	for _, a := range c.JWTSupportedAlgs {
		if !slices.Contains(algorithms, a) {
			return nil, refuse("Invalid Auth Method: unsupported signing algorithm %q in 'JWTSupportedAlgs': allowed are %s", a, strings.Join(algorithms, ", "))
		}
	}
	for i, text := range c.JWTValidationPubKeys {
		key, err := parsePublicKey([]byte(text))
		if err != nil {
			return nil, refuse("Invalid Auth Method: error parsing public key JWTValidationPubKeys[%d]: %s", i, err)
		}
		v.fixed = append(v.fixed, key)
	}
	for _, m := range []map[string]string{c.ClaimMappings, c.ListClaimMappings} {
		if err := uniqueTargets(m); err != nil {
			return nil, err
		}
	}
	if ways == 1 && len(v.fixed) == 0 {
		var err error
		v.source, err = newKeySource(c)
		return v, err
	}
	return v, nil
}

// uniqueTargets refuses two claims under one name.
func uniqueTargets(mapping map[string]string) error {
	seen := map[string]bool{}
	for claim, name := range mapping {
		if claim == "" || name == "" || seen[name] {
			return refuse("Invalid Auth Method: ClaimMappings contains multiple mappings for key %q, or an empty one", name)
		}
		seen[name] = true
	}
	return nil
}

var errNoKeys = errors.New("data does not contain any valid RSA, ECDSA, or ED25519 public keys")

// parsePublicKey reads a key, or that of a certificate, in PEM.
func parsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errNoKeys
	}
	var key any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil || !usable(key) {
		return nil, errNoKeys
	}
	return key, nil
}

func usable(key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// names lists what binding rules may name.
func (v *jwtVerifier) names() []string {
	var all []string
	for _, name := range v.config.ClaimMappings {
		all = append(all, "value."+name)
	}
	return all
}

// maxBearer bounds a proof, in bytes.
const maxBearer = 64 << 10

func (v *jwtVerifier) verify(ctx context.Context, bearer string) (*proof, error) {
	if len(bearer) > maxBearer {
		return nil, fmt.Errorf("error validating token: it is longer than %d bytes", maxBearer)
	}
	allowed := v.config.JWTSupportedAlgs
	if len(allowed) == 0 {
		allowed = algorithms
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods(allowed), jwt.WithoutClaimsValidation())
	if _, err := parser.ParseWithClaims(bearer, claims, func(t *jwt.Token) (any, error) { return v.keysFor(ctx, t) }); err != nil {
		return nil, fmt.Errorf("error validating token: %w", err)
	}
	if err := v.checkClaims(claims, time.Now()); err != nil {
		return nil, fmt.Errorf("error validating token: %w", err)
	}
	return v.proof(claims)
}

// keysFor are the keys that may have signed a token.
func (v *jwtVerifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	set := v.fixed
	if v.source != nil {
		kid, _ := t.Header["kid"].(string)
		var err error
		if set, err = v.keys.find(ctx, v.source, kid); err != nil {
			return nil, err
		}
	}
	all := jwt.VerificationKeySet{}
	for _, key := range set {
		if fits(t.Method, key) {
			all.Keys = append(all.Keys, key)
		}
	}
	if len(all.Keys) == 0 {
		return nil, fmt.Errorf("no known key for the algorithm %s", t.Method.Alg())
	}
	return all, nil
}

// fits tells whether a key is one for a method.
func fits(m jwt.SigningMethod, key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return m.Alg()[:2] == "RS" || m.Alg()[:2] == "PS"
	case *ecdsa.PublicKey:
		return m.Alg()[:2] == "ES"
	}
	return m.Alg() == "EdDSA"
}

// defaultLeeway stands for a time that a token does not state, and skew for clocks that differ.
const (
	defaultLeeway = 150 * time.Second
	defaultSkew   = time.Minute
)

// checkClaims tells why a token that is signed well is not good here and now.
func (v *jwtVerifier) checkClaims(claims jwt.MapClaims, now time.Time) error {
	iat, nbf, exp := moment(claims["iat"]), moment(claims["nbf"]), moment(claims["exp"])
	if iat.IsZero() && nbf.IsZero() && exp.IsZero() {
		return errors.New("no issue time, notBefore, or expiration time encoded in token")
	}
	if exp.IsZero() {
		exp = later(iat, nbf).Add(v.config.ExpirationLeeway.or(defaultLeeway))
	}
	if nbf.IsZero() {
		if nbf = iat; nbf.IsZero() {
			nbf = exp.Add(-v.config.NotBeforeLeeway.or(defaultLeeway))
		}
	}
	skew := v.config.ClockSkewLeeway.or(defaultSkew)
	switch {
	case now.After(exp.Add(skew)):
		return errors.New("token is expired")
	case now.Add(skew).Before(nbf):
		return errors.New("token is not yet valid (notBefore)")
	case !iat.IsZero() && now.Add(skew).Before(iat):
		return errors.New("token was issued in the future")
	}
	return v.checkParties(claims)
}

// checkParties tells whether a token is by whom it has to be, and for whom.
func (v *jwtVerifier) checkParties(claims jwt.MapClaims) error {
	c := &v.config
	issuer, _ := claims["iss"].(string)
	if want := c.BoundIssuer; want != "" && issuer != want {
		return errors.New("invalid issuer (iss) claim")
	}
	if c.BoundIssuer == "" && c.OIDCDiscoveryURL != "" && issuer != c.OIDCDiscoveryURL {
		return errors.New("invalid issuer (iss) claim")
	}
	if len(c.BoundAudiences) == 0 {
		return nil
	}
	for _, audience := range texts(claims["aud"]) {
		if slices.Contains(c.BoundAudiences, audience) {
			return nil
		}
	}
	return errors.New("invalid audience (aud) claim")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// moment is a time of a claim in seconds; the zero Time if there is none.
func moment(claim any) time.Time {
	seconds, ok := claim.(float64)
	if !ok || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9))
}

// texts is a claim that is a text or a list of such.
func texts(claim any) []string {
	switch c := claim.(type) {
	case []any:
		var all []string
		for _, one := range c {
			if t, ok := textOf(one); ok {
				all = append(all, t)
			}
		}
		return all
	default:
		if t, ok := textOf(c); ok {
			return []string{t}
		}
	}
	return nil
}

// textOf is a claim that is one value, as a text.
func textOf(claim any) (string, bool) {
	switch c := claim.(type) {
	case string:
		return c, true
	case bool:
		return strconv.FormatBool(c), true
	case float64:
		return strconv.FormatFloat(c, 'f', -1, 64), true
	}
	return "", false
}

// proof makes of claims what rules may name.
func (v *jwtVerifier) proof(claims map[string]any) (*proof, error) {
	fields := jwtFields{map[string]string{}, map[string][]string{}}
	p := &proof{values: map[string]string{}}
	for claim, name := range v.config.ClaimMappings {
		found := claimAt(claims, claim)
		if found == nil {
			continue
		}
		text, ok := textOf(found)
		if !ok {
			return nil, fmt.Errorf("error converting claim '%s' to string from unknown type %T", claim, found)
		}
		fields.Value[name], p.values["value."+name] = text, text
	}
	for claim, name := range v.config.ListClaimMappings {
		if found := claimAt(claims, claim); found != nil {
			fields.List[name] = texts(found)
		}
	}
	p.keeps = keeper(fields)
	return p, nil
}

// claimAt finds a claim by its name, or by a JSON pointer, "/a/b".
func claimAt(claims map[string]any, name string) any {
	if !strings.HasPrefix(name, "/") {
		return claims[name]
	}
	var at any = claims
	for _, part := range strings.Split(name[1:], "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch here := at.(type) {
		case map[string]any:
			at = here[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(here) {
				return nil
			}
			at = here[i]
		default:
			return nil
		}
	}
	return at
}
