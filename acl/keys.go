package acl

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Keys keeps the keys of issuers. The zero value keeps none; it may be used from any goroutine, and a copy of a Keys
// that Remembering made shares what that keeps.
type Keys struct{ kept *keyCache }

// Remembering makes Keys that remember.
func Remembering() Keys { return Keys{&keyCache{sets: map[keySource]*keySet{}}} }

type keyCache struct {
	mu   sync.Mutex // guards what follows
	sets map[keySource]*keySet
}

// How long keys are good, and how soon after they were fetched an unknown one makes them be fetched again.
const (
	keysGood  = 10 * time.Minute
	keysAgain = 10 * time.Second
	maxSets   = 256
)

// A keySource is where an issuer publishes its keys.
type keySource struct {
	jwks, discovery string // one of them
	ca              string // certificates to trust, in PEM; "" are those of the system
}

// A keySet is what an issuer has published.
type keySet struct {
	fetched time.Time
	keys    []namedKey
}

type namedKey struct {
	id  string
	key crypto.PublicKey
}

func newKeySource(c *jwtConfig) (*keySource, error) {
	s := &keySource{c.JWKSURL, c.OIDCDiscoveryURL, c.JWKSCACert}
	name, address := "JWKSURL", c.JWKSURL
	if s.discovery != "" {
		name, address, s.ca = "OIDCDiscoveryURL", s.discovery, c.OIDCDiscoveryCACert
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, refuse("Invalid Auth Method: %s must be an address that begins with https:// or http://", name)
	}
	_, err = clientFor(s.ca)
	if err != nil {
		return nil, refuse("Invalid Auth Method: %s", err)
	}
	return s, nil
}

// clientFor makes a client that trusts some certificates.
func clientFor(ca string) (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("the certificates to trust are no certificates in PEM")
		}
	}
	return &http.Client{Timeout: loginTimeout, Transport: &http.Transport{TLSClientConfig: settings, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}, nil
}

// find gives the keys with an ID, or all where there is no such ID to go by.
func (k Keys) find(ctx context.Context, s *keySource, id string) ([]crypto.PublicKey, error) {
	set := k.known(s)
	if set == nil || time.Since(set.fetched) > keysGood || len(set.with(id)) == 0 && time.Since(set.fetched) > keysAgain {
		fresh, err := s.fetch(ctx)
		if err != nil {
			return nil, fmt.Errorf("fetch the keys of the issuer: %w", err)
		}
		k.keep(s, fresh)
		set = fresh
	}
	return set.with(id), nil
}

func (k Keys) known(s *keySource) *keySet {
	if k.kept == nil {
		return nil
	}
	k.kept.mu.Lock()
	defer k.kept.mu.Unlock()
	return k.kept.sets[*s]
}

func (k Keys) keep(s *keySource, set *keySet) {
	if k.kept == nil {
		return
	}
	k.kept.mu.Lock()
	defer k.kept.mu.Unlock()
	if len(k.kept.sets) >= maxSets {
		clear(k.kept.sets)
	}
	k.kept.sets[*s] = set
}

func (s *keySet) with(id string) []crypto.PublicKey {
	var found []crypto.PublicKey
	for _, k := range s.keys {
		if id == "" || k.id == "" || k.id == id {
			found = append(found, k.key)
		}
	}
	return found
}

// fetch reads what the issuer publishes now.
func (s *keySource) fetch(ctx context.Context) (*keySet, error) {
	c, err := clientFor(s.ca)
	if err != nil {
		return nil, err
	}
	address := s.jwks
	if s.discovery != "" {
		var about struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := getJSON(ctx, c, strings.TrimSuffix(s.discovery, "/")+"/.well-known/openid-configuration", &about); err != nil {
			return nil, err
		}
		if about.Issuer != s.discovery {
			return nil, fmt.Errorf("the issuer calls itself %q, not %q", about.Issuer, s.discovery)
		}
		address = about.JWKSURI
	}
	var published struct {
		Keys []jsonKey `json:"keys"`
	}
	if err := getJSON(ctx, c, address, &published); err != nil {
		return nil, err
	}
	set := &keySet{fetched: time.Now()}
	for _, one := range published.Keys {
		if key := one.public(); key != nil && one.Use != "enc" {
			set.keys = append(set.keys, namedKey{one.ID, key})
		}
	}
	return set, nil
}

// maxAnswer bounds what is read of other systems, in bytes.
const maxAnswer = 1 << 20

// getJSON reads a document.
func getJSON(ctx context.Context, c *http.Client, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return askJSON(c, r, into)
}

func askJSON(c *http.Client, r *http.Request, into any) error {
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", r.URL.Host, answer.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answers what is not the JSON that is expected: %w", r.URL.Host, err)
	}
	return nil
}

// A jsonKey is a key as RFC 7517 has it.
type jsonKey struct {
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
func (k *jsonKey) public() crypto.PublicKey {
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
		if n.BitLen() < 1024 || n.BitLen() > 16384 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
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
