package claims

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
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
	return jwt.MapClaims{"iss": "me", "aud": []string{"other", "cluster"}, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "sub": "n1", "groups": []string{"agents", "n1"}, "deep": map[string]any{"a/b": "x"}}
}

func config(keys ...string) Config {
	return Config{JWTValidationPubKeys: keys, BoundIssuer: "me", BoundAudiences: []string{"cluster"}, JWTSupportedAlgs: []string{"ES256"},
		ClaimMappings: map[string]string{"sub": "node", "/deep/a~1b": "deep"}, ListClaimMappings: map[string]string{"groups": "groups"},
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
	k, err := New(config(public), Keys{})
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
	extended := jwt.NewWithClaims(jwt.SigningMethodES256, standard())
	extended.Header["crit"] = []string{"b64"}
	critical, err := extended.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check(t.Context(), good, node); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another key":         signed(t, jwt.SigningMethodES256, other, standard()),
		"no signature":        signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, standard()),
		"the key as a secret": signed(t, jwt.SigningMethodHS256, []byte(public), standard()),
		"expired":             with(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-2 * time.Minute).Unix() }),
		"without times":       with(func(c jwt.MapClaims) { delete(c, "exp"); delete(c, "iat") }),
		"not yet":             with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"of the future":       with(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(time.Hour).Unix() }),
		"another issuer":      with(func(c jwt.MapClaims) { c["iss"] = "you" }),
		"for another":         with(func(c jwt.MapClaims) { c["aud"] = "elsewhere" }),
		"no group":            with(func(c jwt.MapClaims) { delete(c, "groups") }),
		"critical extensions": critical,
		"a time that is none": with(func(c jwt.MapClaims) { c["exp"] = "tomorrow" }),
		"a time before all":   with(func(c jwt.MapClaims) { c["nbf"] = -1 }),
		"another group":       with(func(c jwt.MapClaims) { c["groups"] = []string{"n1"} }),
		"no node":             with(func(c jwt.MapClaims) { delete(c, "sub") }),
		"an odd node":         with(func(c jwt.MapClaims) { c["sub"] = map[string]any{"a": "b"} }),
		"changed":             good[:len(good)-2] + "xx",
		"cut":                 good[:20],
		"nothing":             "",
		"too long":            strings.Repeat("x", MaxToken+1),
	} {
		if _, err := k.Check(t.Context(), token, node); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := k.Check(t.Context(), good, map[string]string{"node": "n2"}); err == nil {
		t.Error("a token for n1 is taken for n2")
	}
}

// What a parameter or a claim holds is never read as part of an expression.
func FuzzParameters(f *testing.F) {
	key, public := newKey(f)
	k, err := New(config(public), Keys{})
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
		_, err = k.Check(t.Context(), signed(t, jwt.SigningMethodES256, key, c), map[string]string{"node": node})
		if (err == nil) != (travelled == node) {
			t.Errorf("claim %q, node %q: %v", claim, node, err)
		}
	})
}

func TestUnusableConfigurations(t *testing.T) {
	_, public := newKey(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&small.PublicKey)}))
	for _, one := range []struct {
		field, reason string
		change        func(*Config)
	}{
		{"Assertions", "number 1", func(c *Config) { c.Assertions = []string{`value.node == "a${node}"`} }},
		{"Assertions", "number 2", func(c *Config) { c.Assertions = []string{`value.node == "${node}"`, `value.node ==`} }},
		{"Assertions", `there is no parameter "root"`, func(c *Config) { c.Assertions = []string{`value.node == "${root}"`} }},
		{"JWTSupportedAlgs", "HS256", func(c *Config) { c.JWTSupportedAlgs = []string{"HS256"} }},
		{"JWTValidationPubKeys", "exactly one of", func(c *Config) { c.JWKSURL = "https://x" }},
		{"JWTValidationPubKeys", "exactly one of", func(c *Config) { c.JWTValidationPubKeys, c.JWKSURL, c.OIDCDiscoveryURL = nil, "https://x", "https://x" }},
		{"JWTValidationPubKeys", "exactly one of", func(c *Config) { c.JWTValidationPubKeys = nil }},
		{"JWTValidationPubKeys", "JWTValidationPubKeys[1]: data", func(c *Config) { c.JWTValidationPubKeys = []string{public, "x"} }},
		{"JWTValidationPubKeys", "2048", func(c *Config) { c.JWTValidationPubKeys = []string{weak} }},
		{"JWKSURL", "https://", func(c *Config) { c.JWTValidationPubKeys, c.JWKSURL = nil, "file:///etc/passwd" }},
		{"JWKSCACert", "PEM", func(c *Config) { c.JWTValidationPubKeys, c.JWKSURL, c.JWKSCACert = nil, "https://x", "x" }},
		{"OIDCDiscoveryURL", "https://", func(c *Config) { c.JWTValidationPubKeys, c.OIDCDiscoveryURL = nil, "x" }},
		{"OIDCDiscoveryCACert", "PEM", func(c *Config) {
			c.JWTValidationPubKeys, c.OIDCDiscoveryURL, c.OIDCDiscoveryCACert = nil, "https://x", "x"
		}},
		{"ClaimMappings", `"a"`, func(c *Config) { c.ClaimMappings = map[string]string{"x": "a", "y": "a"} }},
		{"ListClaimMappings", `""`, func(c *Config) { c.ListClaimMappings = map[string]string{"x": ""} }},
	} {
		c := config(public)
		one.change(&c)
		_, err := New(c, Keys{})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Field != one.field || !strings.Contains(wrong.Reason, one.reason) {
			t.Errorf("%s, %s: %v", one.field, one.reason, err)
		}
	}
}

// How times are taken that a token states, or does not.
func TestLeeways(t *testing.T) {
	const none = Duration(-1)
	now := time.Unix(1_700_000_000, 0)
	at := func(offset int) json.Number { return json.Number(fmt.Sprint(now.Unix() + int64(offset))) }
	for _, c := range []struct {
		what                    string
		expiration, begin, skew Duration
		claims                  map[string]any
		good                    bool
	}{
		{"nothing is stated", 0, 0, 0, map[string]any{}, false},
		{"no times but zero", 0, 0, 0, map[string]any{"exp": json.Number("0")}, false},
		{"over, within the skew", 0, 0, 0, map[string]any{"exp": at(-59)}, true},
		{"over, beyond the skew", 0, 0, 0, map[string]any{"exp": at(-61)}, false},
		{"over, within a skew that is set", 0, 0, Duration(5 * time.Minute), map[string]any{"exp": at(-299)}, true},
		{"just over, without skew", 0, 0, none, map[string]any{"exp": at(-1)}, false},
		{"soon, within the skew", 0, 0, 0, map[string]any{"nbf": at(59), "exp": at(600)}, true},
		{"later", 0, 0, 0, map[string]any{"nbf": at(61), "exp": at(600)}, false},
		{"issued later", 0, 0, 0, map[string]any{"iat": at(61), "nbf": at(-5), "exp": at(600)}, false},
		{"no end, issued lately", 0, 0, none, map[string]any{"iat": at(-149)}, true},
		{"no end, issued long ago", 0, 0, none, map[string]any{"iat": at(-151)}, false},
		{"no end, begun lately", 0, 0, none, map[string]any{"iat": at(-1000), "nbf": at(-149)}, true},
		{"no end, with a leeway", Duration(10 * time.Minute), 0, none, map[string]any{"iat": at(-599)}, true},
		{"no end, without leeway", none, 0, none, map[string]any{"iat": at(-1)}, false},
		{"an end alone, near", 0, 0, none, map[string]any{"exp": at(149)}, true},
		{"an end alone, far", 0, 0, none, map[string]any{"exp": at(151)}, false},
		{"an end alone, with a leeway", 0, Duration(time.Hour), none, map[string]any{"exp": at(3599)}, true},
		{"an end alone, without leeway", 0, none, none, map[string]any{"exp": at(1)}, false},
		{"an end and no beginning, as some issuers write it", 0, 0, none, map[string]any{"exp": at(100), "nbf": json.Number("0")}, true},
	} {
		k := &Checker{config: Config{ExpirationLeeway: c.expiration, NotBeforeLeeway: c.begin, ClockSkewLeeway: c.skew}}
		if err := k.checkTimes(c.claims, now); (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// Claims are found by names and by pointers, and become texts that differ where the claims do.
func TestMappings(t *testing.T) {
	key, public := newKey(t)
	k, err := New(Config{JWTValidationPubKeys: []string{public}, ClaimMappings: map[string]string{"id": "id", "/a/b~1c/1": "deep", "ok": "ok", "none": "none"},
		ListClaimMappings: map[string]string{"/a/list": "list", "one": "one"}}, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	text := signed(t, jwt.SigningMethodES256, key, jwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix(), "id": json.Number("9007199254740993"), "ok": true,
		"a": map[string]any{"b/c": []any{"no", 1.5}, "list": []any{"x", 2, map[string]any{}}}, "one": "y"})
	got, err := k.Check(t.Context(), text, nil)
	want := &Claims{map[string]string{"id": "9007199254740993", "deep": "1.5", "ok": "true"}, map[string][]string{"list": {"x", "2"}, "one": {"y"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// Whoever may send a token may send anything: nothing makes the checker panic, and only what is signed with the key, by a
// method that is allowed, is accepted.
func FuzzJWT(f *testing.F) {
	key, public := newKey(f)
	k, err := New(config(public), Keys{})
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(standard())
	if err != nil {
		f.Fatal(err)
	}
	for _, header := range []string{`{"alg":"ES256"}`, `{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":"ES256","crit":["exp"]}`, `{"alg":"es256"}`, `{"alg":["ES256"]}`, `{"alg":"ES256","kid":{}}`, `{}`, `x`} {
		f.Add([]byte(header), good, []byte{}, true)
		f.Add([]byte(header), good, []byte("signature"), false)
	}
	for _, claims := range []string{`{"exp":1e999}`, `{"exp":-1}`, `{"exp":"x","aud":{}}`, `{"groups":[[[]]],"sub":[],"exp":99999999999}`, `null`, `[]`, `{"deep":[{"a/b":{}}],"exp":9e18}`} {
		f.Add([]byte(`{"alg":"ES256"}`), []byte(claims), []byte{}, true)
	}
	encode := base64.RawURLEncoding.EncodeToString
	f.Fuzz(func(t *testing.T, header, claims, signature []byte, sign bool) {
		text := encode(header) + "." + encode(claims)
		if sign {
			if signature, err = jwt.SigningMethodES256.Sign(text, key); err != nil {
				t.Fatal(err)
			}
		}
		said, err := k.Check(t.Context(), text+"."+encode(signature), map[string]string{"node": "n1"})
		if err == nil && (jwt.SigningMethodES256.Verify(text, signature, key.Public()) != nil || said.Value["node"] != "n1") {
			t.Errorf("accepted: header %q, claims %q, signature %x", header, claims, signature)
		}
		if _, err := k.Check(t.Context(), string(header)+"."+string(claims)+"."+string(signature), nil); err == nil {
			t.Errorf("accepted as it is: %q", header)
		}
	})
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
		c.JWTSupportedAlgs, c.Assertions = []string{"RS256", "ES256"}, nil
		if c.JWKSURL = server.URL + "/keys"; discover {
			c.JWKSURL, c.OIDCDiscoveryURL, c.BoundIssuer = "", server.URL, "me"
		}
		k, err := New(c, Keys{})
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
			if _, err := k.Check(t.Context(), text, nil); (err == nil) != ok {
				t.Errorf("kid %q: %v", id, err)
			}
		}
		if _, err := k.Check(t.Context(), signed(t, jwt.SigningMethodES256, ecKey, standard()), nil); err != nil {
			t.Error(err)
		}
	}
	if fetches != 2 {
		t.Errorf("%d fetches", fetches)
	}
}

// Who has fetched no keys does not fetch them again at once, however many ask, and who gives up does not count.
func TestKeysThatCannotBeFetched(t *testing.T) {
	var fetches atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	key, _ := newKey(t)
	text := signed(t, jwt.SigningMethodES256, key, standard())
	c := config()
	c.JWKSURL = server.URL
	keys := Remembering()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 5 {
		k, err := New(c, keys) // as for each login
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if i == 0 {
			ctx = gone
		}
		if _, err := k.Check(ctx, text, nil); err == nil {
			t.Error("accepted without a key")
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}
