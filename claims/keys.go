package claims

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

// A source gives the keys that may have signed a token: those of the id, or all if it is "".
type source interface {
	keys(ctx context.Context, id string) ([]crypto.PublicKey, error)
}

func newSource(c *Config) (source, error) {
	given := 0
	for _, one := range []bool{len(c.Keys) > 0, c.JWKSURL != "", c.DiscoveryURL != ""} {
		if one {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("jwt_validation_pub_keys: exactly one of jwt_validation_pub_keys, jwks_url and oidc_discovery_url is needed")
	}
	if len(c.Keys) > 0 {
		var all fixed
		for i, text := range c.Keys {
			key, err := parseKey(text)
			if err != nil {
				return nil, fmt.Errorf("jwt_validation_pub_keys: number %d: %w", i+1, err)
			}
			all = append(all, key)
		}
		return all, nil
	}
	at, name, authority, caName := c.JWKSURL, "jwks_url", c.JWKSCA, "jwks_ca_cert"
	if c.DiscoveryURL != "" {
		at, name, authority, caName = c.DiscoveryURL, "oidc_discovery_url", c.DiscoveryCA, "oidc_discovery_ca_cert"
	}
	if u, err := url.Parse(at); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("%s: is %q, which is not an http or https address", name, at)
	}
	r := &remote{at: at, discover: c.DiscoveryURL != "", issuer: c.DiscoveryURL, client: &http.Client{Timeout: fetchTime}}
	if authority != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(authority)) {
			return nil, fmt.Errorf("%s: holds no certificate in PEM", caName)
		}
		r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	}
	return r, nil
}

// fixed are keys that are known.
type fixed []crypto.PublicKey

func (f fixed) keys(context.Context, string) ([]crypto.PublicKey, error) { return f, nil }

// A remote source fetches keys, and again after a while, or when a token names one that is not known.
type remote struct {
	at       string
	discover bool
	issuer   string
	client   *http.Client

	mu      sync.Mutex // guards what follows, and fetching
	known   map[string]crypto.PublicKey
	fetched time.Time
}

const (
	fetchTime = 10 * time.Second
	fetchSize = 1 << 20
	fresh     = 10 * time.Minute // how long keys are taken for the newest
	hasty     = 10 * time.Second // how soon an unknown id has them fetched again
	keysMost  = 100
)

func (r *remote) keys(ctx context.Context, id string) ([]crypto.PublicKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.known[id]
	age := time.Since(r.fetched)
	if r.known == nil || age > fresh || id != "" && !known && age > hasty {
		all, err := r.fetch(ctx)
		if err != nil && r.known == nil {
			return nil, fmt.Errorf("fetch the keys: %w", err)
		}
		if err == nil {
			r.known = all
		}
		r.fetched = time.Now()
	}
	if key, ok := r.known[id]; ok {
		return []crypto.PublicKey{key}, nil
	}
	if id != "" {
		return nil, fmt.Errorf("there is no key %q", id)
	}
	var all []crypto.PublicKey
	for _, key := range r.known {
		all = append(all, key)
	}
	return all, nil
}

// fetch gets the keys, by id.
func (r *remote) fetch(ctx context.Context) (map[string]crypto.PublicKey, error) {
	at := r.at
	if r.discover {
		var d struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := r.get(ctx, strings.TrimSuffix(at, "/")+"/.well-known/openid-configuration", &d); err != nil {
			return nil, err
		}
		if strings.TrimSuffix(d.Issuer, "/") != strings.TrimSuffix(r.issuer, "/") {
			return nil, fmt.Errorf("the provider calls itself %q, not %q", d.Issuer, r.issuer)
		}
		at = d.Keys
	}
	var set struct {
		Keys []webKey `json:"keys"`
	}
	if err := r.get(ctx, at, &set); err != nil {
		return nil, err
	}
	all := map[string]crypto.PublicKey{}
	for i, k := range set.Keys[:min(len(set.Keys), keysMost)] {
		key, err := k.public()
		if err != nil || k.Use != "" && k.Use != "sig" {
			continue // for others, or of a kind that signs nothing here
		}
		id := k.ID
		if id == "" {
			id = fmt.Sprintf("(number %d)", i+1)
		}
		all[id] = key
	}
	return all, nil
}

func (r *remote) get(ctx context.Context, at string, into any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	a, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, a.Status)
	}
	return json.NewDecoder(io.LimitReader(a.Body, fetchSize)).Decode(into)
}

// A webKey is a key as RFC 7517 writes it.
type webKey struct {
	Kind  string `json:"kty"`
	Use   string `json:"use"`
	ID    string `json:"kid"`
	Curve string `json:"crv"`
	N     string `json:"n"`
	E     string `json:"e"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

var errKey = errors.New("not a key that is known here")

func (k *webKey) public() (crypto.PublicKey, error) {
	number := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil
		}
		return b
	}
	switch k.Kind {
	case "RSA":
		n, e := new(big.Int).SetBytes(number(k.N)), new(big.Int).SetBytes(number(k.E))
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil, errKey
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
		if !ok {
			return nil, errKey
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := number(k.X), number(k.Y)
		if len(x) != size || len(y) != size {
			return nil, errKey
		}
		return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	case "OKP":
		if x := number(k.X); k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x), nil
		}
	}
	return nil, errKey
}
