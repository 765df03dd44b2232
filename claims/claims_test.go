package claims

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func newKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// standard are claims that are accepted by config.
func standard() jwt.MapClaims {
	return jwt.MapClaims{"iss": "me", "aud": []string{"other", "cluster"}, "exp": time.Now().Add(time.Hour).Unix(), "sub": "n1", "groups": []string{"agents", "n1"}, "deep": map[string]any{"a/b": "x"}}
}

func config(keys ...string) Config {
	return Config{Keys: keys, Issuer: "me", Audiences: []string{"cluster"}, Algorithms: []string{"ES256"}, ClockSkew: time.Minute,
		Mappings: map[string]string{"sub": "node", "/deep/a~1b": "deep"}, ListMappings: map[string]string{"groups": "groups"},
		Assertions: []string{`value.node == "${node}"`, `"agents" in list.groups and "${node}" in list.groups`, `value.deep == x`}}
}

func signed(t testing.TB, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCheck(t *testing.T) {
	key, public := newKey(t)
	other, _ := newKey(t)
	k, err := New(config(public))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(jwt.MapClaims)) string {
		c := standard()
		change(c)
		return signed(t, jwt.SigningMethodES256, key, c)
	}
	good := with(func(jwt.MapClaims) {})
	node := map[string]string{"node": "n1"}
	if err := k.Check(t.Context(), good, node); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another key":         signed(t, jwt.SigningMethodES256, other, standard()),
		"no signature":        signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, standard()),
		"the key as a secret": signed(t, jwt.SigningMethodHS256, []byte(public), standard()),
		"expired":             with(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-2 * time.Minute).Unix() }),
		"without an end":      with(func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":             with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"of the future":       with(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(time.Hour).Unix() }),
		"another issuer":      with(func(c jwt.MapClaims) { c["iss"] = "you" }),
		"for another":         with(func(c jwt.MapClaims) { c["aud"] = "elsewhere" }),
		"no group":            with(func(c jwt.MapClaims) { delete(c, "groups") }),
		"another group":       with(func(c jwt.MapClaims) { c["groups"] = []string{"n1"} }),
		"no node":             with(func(c jwt.MapClaims) { delete(c, "sub") }),
		"an odd node":         with(func(c jwt.MapClaims) { c["sub"] = map[string]any{"a": "b"} }),
		"changed":             good[:len(good)-2] + "xx",
		"cut":                 good[:20],
		"nothing":             "",
		"too long":            strings.Repeat("x", 20<<10),
	} {
		if err := k.Check(t.Context(), token, node); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := k.Check(t.Context(), good, map[string]string{"node": "n2"}); err == nil {
		t.Error("a token for n1 is taken for n2")
	}
}

// What a parameter or a claim holds is never read as part of an expression.
func FuzzParameters(f *testing.F) {
	key, public := newKey(f)
	k, err := New(config(public))
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{`n2`, `n1" or "a" == "a`, `" or value.node != "`, `${node}`, `n1`, "`", `\`, `f0`, `" or fact.f0 == "no`} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, claim, node string) {
		c := standard()
		c["sub"], c["groups"] = claim, []string{"agents", claim}
		text, err := json.Marshal(claim)
		if err != nil {
			return
		}
		var travelled string
		if json.Unmarshal(text, &travelled) != nil {
			return
		}
		err = k.Check(t.Context(), signed(t, jwt.SigningMethodES256, key, c), map[string]string{"node": node})
		if (err == nil) != (travelled == node) {
			t.Errorf("claim %q, node %q: %v", claim, node, err)
		}
	})
}

func TestUnusableConfigurations(t *testing.T) {
	_, public := newKey(t)
	for want, change := range map[string]func(*Config){
		"claim_assertions: number 1":            func(c *Config) { c.Assertions = []string{`value.node == "a${node}"`} },
		"claim_assertions: number 2":            func(c *Config) { c.Assertions = []string{`value.node == "${node}"`, `value.node ==`} },
		`there is no parameter "root"`:          func(c *Config) { c.Assertions = []string{`value.node == "${root}"`} },
		"jwt_supported_algs":                    func(c *Config) { c.Algorithms = []string{"HS256"} },
		"jwt_validation_pub_keys: exactly":      func(c *Config) { c.JWKSURL = "https://x" },
		"jwt_validation_pub_keys: number 1":     func(c *Config) { c.Keys = []string{"x"} },
		"jwks_url":                              func(c *Config) { c.Keys, c.JWKSURL = nil, "file:///etc/passwd" },
		"oidc_discovery_ca_cert: holds no cert": func(c *Config) { c.Keys, c.DiscoveryURL, c.DiscoveryCA = nil, "https://x", "x" },
	} {
		c := config(public)
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Keys at an address are fetched, and again when a token names another one; kinds that are not known are passed over.
func TestKeysElsewhere(t *testing.T) {
	number := base64.RawURLEncoding.EncodeToString
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, _ := newKey(t)
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	fetches := 0
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, server.URL, server.URL+"/keys")
			return
		}
		fetches++
		fmt.Fprintf(w, `{"keys": [{"kty": "oct", "kid": "x"}, {"kty": "RSA", "kid": "r", "use": "sig", "n": %q, "e": "AQAB"}, {"kty": "EC", "kid": "e", "crv": "P-256", "x": %q, "y": %q}]}`,
			number(rsaKey.N.Bytes()), number(point[1:33]), number(point[33:]))
	}))
	defer server.Close()
	for _, discover := range []bool{false, true} {
		c := config()
		c.Algorithms, c.Assertions = []string{"RS256", "ES256"}, nil
		if c.JWKSURL = server.URL + "/keys"; discover {
			c.JWKSURL, c.DiscoveryURL = "", server.URL
		}
		k, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for id, ok := range map[string]bool{"r": true, "": true, "e": false, "unknown": false} {
			token := jwt.NewWithClaims(jwt.SigningMethodRS256, standard())
			if id != "" {
				token.Header["kid"] = id
			}
			text, err := token.SignedString(rsaKey)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Check(t.Context(), text, nil); (err == nil) != ok {
				t.Errorf("kid %q: %v", id, err)
			}
		}
		if err := k.Check(t.Context(), signed(t, jwt.SigningMethodES256, ecKey, standard()), nil); err != nil {
			t.Error(err)
		}
	}
	if fetches != 2 {
		t.Errorf("%d fetches", fetches)
	}
}
