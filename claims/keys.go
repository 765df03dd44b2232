package claims

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Keys are the keys that issuers publish, kept for all Checkers that are made with them. The zero value keeps none for
// another Checker. It may be used by several goroutines, and a copy of a Keys that Remembering made shares what that keeps.
type Keys struct{ kept *keyCache }

// Remembering makes Keys that remember.
func Remembering() Keys { return Keys{&keyCache{all: map[place]*remote{}}} }

type keyCache struct {
	mu  sync.Mutex // guards all
	all map[place]*remote
}

// at gives what is known of the keys at a place.
func (k Keys) at(p place) *remote {
	if k.kept == nil {
		return newRemote(p)
	}
	k.kept.mu.Lock()
	defer k.kept.mu.Unlock()
	known := k.kept.all[p]
	if known == nil {
		if len(k.kept.all) >= maxPlaces {
			clear(k.kept.all)
		}
		known = newRemote(p)
		k.kept.all[p] = known
	}
	return known
}

// How long keys are good, and how soon after they were fetched, or could not be, they are fetched again for an unknown one.
const (
	keysGood  = 10 * time.Minute
	keysAgain = 10 * time.Second
	maxKeys   = 100 // of one issuer
	maxPlaces = 256
)

// A place is where an issuer publishes its keys.
type place struct {
	jwks, discovery string // one of them
	ca              string // certificates to trust, in PEM; "" are those of the system
}

func newPlace(c *Config) (place, error) {
	p, address, name, caName := place{c.JWKSURL, "", c.JWKSCACert}, c.JWKSURL, "JWKSURL", "JWKSCACert"
	if c.OIDCDiscoveryURL != "" {
		p, address, name, caName = place{"", c.OIDCDiscoveryURL, c.OIDCDiscoveryCACert}, c.OIDCDiscoveryURL, "OIDCDiscoveryURL", "OIDCDiscoveryCACert"
	}
	if !IsAddress(address) {
		return p, wrong(name, "%s must be an address that begins with https:// or http://", name)
	}
	if _, err := NewClient(p.ca); err != nil {
		return p, wrong(caName, "%s: %s", caName, err)
	}
	return p, nil
}

// A remote has the keys that an issuer publishes, and fetches them when they are needed.
type remote struct {
	place
	turn    chan struct{} // is held by who uses what follows
	about   *description  // of an issuer that describes itself
	keys    []namedKey
	fetched time.Time // or tried last; zero: never
	failed  error     // of the last try
}

// A description is what an issuer says of itself: OpenID Connect Discovery 1.0, section 3.
type description struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	UserInfo      string   `json:"userinfo_endpoint"`
	SecretBy      []string `json:"token_endpoint_auth_methods_supported"` // none: client_secret_basic
}

// loginable tells whether people can log in with a browser there.
func (d *description) loginable() bool {
	return d != nil && IsAddress(d.Authorization) && IsAddress(d.Token)
}

// IsAddress tells whether a text is an address that a browser can be sent to.
func IsAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

type namedKey struct {
	id  string
	key crypto.PublicKey
}

func newRemote(p place) *remote { return &remote{place: p, turn: make(chan struct{}, 1)} }

// find gives the keys with an ID, or all where there is no such ID to go by. Who asks while they are fetched waits for that.
func (r *remote) find(ctx context.Context, id string) (found []crypto.PublicKey, err error) {
	err = r.use(ctx, func() bool {
		found = r.with(id)
		return len(found) > 0
	})
	return found, err
}

// describe gives what the issuer says of itself, with the addresses that people and codes are sent to.
func (r *remote) describe(ctx context.Context) (about *description, err error) {
	err = r.use(ctx, func() bool {
		about = r.about
		return about.loginable()
	})
	if err == nil && !about.loginable() {
		err = errors.New("the issuer does not tell where to log in (authorization_endpoint and token_endpoint)")
	}
	return about, err
}

// use calls a function that takes what it needs of what the issuer publishes, and tells whether it was there. If it was not,
// or is old, it is fetched first.
func (r *remote) use(ctx context.Context, take func() bool) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	age := time.Since(r.fetched)
	if r.fetched.IsZero() || age > keysGood || age > keysAgain && (r.failed != nil || !take()) {
		r.about, r.keys, r.failed = r.fetch(ctx)
		r.fetched = time.Now()
		if ctx.Err() != nil {
			r.fetched = time.Time{} // this tells nothing of the issuer
		}
	}
	if r.failed != nil {
		return fmt.Errorf("fetch the keys of the issuer: %w", r.failed)
	}
	take()
	return nil
}

func (r *remote) with(id string) []crypto.PublicKey {
	var found []crypto.PublicKey
	for _, k := range r.keys {
		if id == "" || k.id == "" || k.id == id {
			found = append(found, k.key)
		}
	}
	return found
}

// fetch reads what the issuer publishes now.
func (r *remote) fetch(ctx context.Context) (about *description, all []namedKey, err error) {
	c, err := NewClient(r.ca)
	if err != nil {
		return nil, nil, err
	}
	address := r.jwks
	if r.discovery != "" {
		about = &description{}
		if err := c.Get(ctx, strings.TrimSuffix(r.discovery, "/")+"/.well-known/openid-configuration", about); err != nil {
			return nil, nil, err
		}
		if about.Issuer != r.discovery {
			return nil, nil, fmt.Errorf("the issuer calls itself %q, not %q", about.Issuer, r.discovery)
		}
		address = about.JWKSURI
	}
	var published struct {
		Keys []webKey `json:"keys"`
	}
	if err := c.Get(ctx, address, &published); err != nil {
		return nil, nil, err
	}
	for _, one := range published.Keys[:min(len(published.Keys), maxKeys)] {
		if key := one.public(); usable(key) && (one.Use == "" || one.Use == "sig") {
			all = append(all, namedKey{one.ID, key})
		}
	}
	return about, all, nil
}

// fits tells whether a key is one for an algorithm.
func fits(algorithm string, key crypto.PublicKey) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return algorithm[:2] == "ES"
	}
	return algorithm == "EdDSA"
}

// usable tells whether tokens may be signed by a key: RFC 7518 wants 2048 bits of RSA at least.
func usable(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 16384 && k.E >= 3
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

var (
	errNoKeys = errors.New("data does not contain any valid RSA, ECDSA, or ED25519 public keys")
	errWeak   = errors.New("an RSA key must have 2048 to 16384 bits")
)

// parseKey reads a key, or that of a certificate, in PEM.
func parseKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
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
	if err != nil {
		return nil, errNoKeys
	}
	if usable(key) {
		return key, nil
	}
	if _, weak := key.(*rsa.PublicKey); weak {
		return nil, errWeak
	}
	return nil, errNoKeys
}

// A webKey is a key as RFC 7517 has it.
type webKey struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Use   string `json:"use"`
	Curve string `json:"crv"`
	N     string `json:"n"`
	E     string `json:"e"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// public is the key; nil if it is of a kind that is not known, or malformed.
func (k *webKey) public() crypto.PublicKey {
	number := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return nil
		}
		return b
	}
	switch {
	case k.Type == "RSA":
		n, e := new(big.Int).SetBytes(number(k.N)), new(big.Int).SetBytes(number(k.E))
		if !e.IsInt64() || e.Int64() > 1<<31-1 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case k.Type == "OKP" && k.Curve == "Ed25519":
		if x := number(k.X); len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x)
		}
	case k.Type == "EC":
		return curveKey(k.Curve, number(k.X), number(k.Y))
	}
	return nil
}

func curveKey(name string, x, y []byte) crypto.PublicKey {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[name]
	if curve == nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		return nil
	}
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil
	}
	return key
}
