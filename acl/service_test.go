package acl

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"lictor/claims"
	"lictor/rpc"
	"lictor/state"
)

// A house is an authority over a state of its own, with who resolves its tokens.
type house struct {
	*testing.T
	*Authority
	resolver *Resolver
	root     Authorizer
}

const rootSecret = "00000000-aaaa-4aaa-8aaa-000000000001"

func newHouse(t *testing.T) *house {
	t.Helper()
	log, err := state.NewLocal(10, Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, Authority: &Authority{Log: log, Datacenter: "dc1", Enabled: true, Keys: claims.Remembering()}}
	h.resolver = &Resolver{DB: log.DB, Datacenter: "dc1", Context: t.Context()}
	if err := h.Begin(t.Context(), rootSecret); err != nil {
		t.Fatal(err)
	}
	h.root = h.resolve(rootSecret)
	return h
}

func (h *house) resolve(secret string) Authorizer {
	h.Helper()
	az, err := h.resolver.Resolve(secret)
	if err != nil {
		h.Fatal(err)
	}
	return az
}

func (h *house) policy(name, rules string) *Policy {
	h.Helper()
	p, err := h.SetPolicy(h.Context(), h.root, &PolicyChange{Policy{Name: name, Rules: rules}})
	if err != nil {
		h.Fatal(err)
	}
	return p
}

func (h *house) token(t Token) *Token {
	h.Helper()
	made, err := h.SetToken(h.Context(), h.root, &TokenChange{t, true})
	if err != nil {
		h.Fatal(err)
	}
	return made
}

// What a token may do changes at the next request when its policies, its roles or itself do.
func TestChangesHoldAtOnce(t *testing.T) {
	h := newHouse(t)
	p := h.policy("p", `key "a" { policy = "read" }`)
	role, err := h.SetRole(t.Context(), h.root, &RoleChange{Role{Name: "r", Grants: Grants{Policies: []Link{{Name: "p"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	tok := h.token(Token{Grants: Grants{Roles: []Link{{ID: role.ID}}}})
	before := h.resolve(tok.SecretID)
	if !before.Allow(Key, "a", Read) || before.Allow(Key, "a", Write) || before != h.resolve(tok.SecretID) {
		t.Error("the role's policy does not hold, or what was found was not kept")
	}
	ended := Ended(before)
	if _, err := h.SetPolicy(t.Context(), h.root, &PolicyChange{Policy{ID: p.ID, Name: "p", Rules: `key "a" { policy = "write" }`}}); err != nil {
		t.Fatal(err)
	}
	<-ended // who waits is woken
	if after := h.resolve(tok.SecretID); !after.Allow(Key, "a", Write) || after.ID() == before.ID() {
		t.Error("the new policy does not hold")
	}
	if _, err := h.DeleteRole(t.Context(), h.root, &ByID{role.ID}); err != nil {
		t.Fatal(err)
	}
	if h.resolve(tok.SecretID).Allow(Key, "a", Read) {
		t.Error("a role that is gone holds")
	}
	ended = Ended(h.resolve(tok.SecretID))
	if was, err := h.DeleteToken(t.Context(), h.root, &ByID{tok.AccessorID}); !was || err != nil {
		t.Fatal(was, err)
	}
	<-ended
	if _, err := h.resolver.Resolve(tok.SecretID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a token that is gone: %v", err)
	}
	if none := h.resolve(""); none.Accessor() != "" || none.Allow(Key, "a", Read) {
		t.Error("the anonymous token has rights")
	}
}

// Tokens are good no longer than they say, and are removed then.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, stop := context.WithCancel(t.Context())
		h.resolver.Context = ctx
		done := make(chan struct{})
		go func() { h.Reap(ctx); close(done) }()
		tok := h.token(Token{ExpirationTTL: time.Minute})
		az := h.resolve(tok.SecretID)
		ended := Ended(az)
		time.Sleep(time.Minute - time.Second)
		h.resolve(tok.SecretID)
		time.Sleep(time.Second)
		<-ended
		if _, err := h.resolver.Resolve(tok.SecretID); !errors.Is(err, ErrNotFound) {
			t.Errorf("an expired token: %v", err)
		}
		synctest.Wait()
		if Tokens.Get(h.Log.DB().Read(), tok.AccessorID) != nil {
			t.Error("an expired token is still there")
		}
		stop()
		<-done
		synctest.Wait()
	})
}

func TestBootstrapIsOnce(t *testing.T) {
	h := newHouse(t)
	_, err := h.Bootstrap(t.Context(), DenyAll(), &Bootstrap{})
	if err == nil || !strings.HasPrefix(err.Error(), "Permission denied: ACL bootstrap no longer allowed (reset index: ") {
		t.Fatal(err)
	}
	at, forgotten := BegunAt(h.Log.DB().Read()), false
	h.ResetIndex, h.Forget = func() uint64 { return at }, func() { forgotten = true }
	tok, err := h.Bootstrap(t.Context(), DenyAll(), &Bootstrap{})
	if err != nil || !forgotten || !h.resolve(tok.SecretID).Allow(ACL, "", Write) {
		t.Errorf("%v, %v", tok, err)
	}
	if _, err := h.Bootstrap(t.Context(), DenyAll(), &Bootstrap{}); err == nil {
		t.Error("a reset index is good twice")
	}
}

func TestSecretsAreForWhoMayWrite(t *testing.T) {
	h := newHouse(t)
	h.policy("look", `acl = "read"`)
	looker := h.resolve(h.token(Token{Grants: Grants{Policies: []Link{{Name: "look"}}}}).SecretID)
	all, _, err := h.Tokens(h.Log.DB().Read(), looker, &ListTokens{})
	text, _ := json.Marshal(all)
	if err != nil || strings.Contains(string(text), rootSecret) || !strings.Contains(string(text), "hidden") {
		t.Errorf("%s, %v", text, err)
	}
	one, _, err := h.Token(h.Log.DB().Read(), looker, &OneToken{AccessorID: h.root.Accessor(), Expanded: true})
	if err != nil || one.SecretID != hidden || len(one.ExpandedPolicies) != 1 {
		t.Errorf("%v, %v", one, err)
	}
}

// A token's identifiers are told as they were given, and its accessor is found in any case. Those that are reserved are refused.
func TestIdentifiersOfTokens(t *testing.T) {
	h := newHouse(t)
	const given, secret = "00000000-DEAD-BEEF-0000-000000000000", "DEADBEEF-0000-0000-0000-000000000000"
	h.token(Token{AccessorID: given, SecretID: secret})
	if az := h.resolve(secret); az.Accessor() != given {
		t.Errorf("the secret is that of %s", az.Accessor())
	}
	for _, id := range []string{given, strings.ToLower(given)} {
		one, _, err := h.Token(h.Log.DB().Read(), h.root, &OneToken{AccessorID: id})
		if err != nil || one.AccessorID != given || one.SecretID != secret {
			t.Errorf("%s: %v, %v", id, one, err)
		}
		if e, err := h.Explain(t.Context(), h.root, &Question{id, "key", "x", "read"}); err != nil || e.AccessorID != given {
			t.Errorf("%s: %v, %v", id, e, err)
		}
		if _, err := h.SetToken(t.Context(), h.root, &TokenChange{Token: Token{AccessorID: id, Description: id}}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, again := range []Token{{AccessorID: strings.ToLower(given)}, {SecretID: secret}, {AccessorID: AnonymousID}, {SecretID: AnonymousID}} {
		if made, err := h.SetToken(t.Context(), h.root, &TokenChange{Token: again, Create: true}); err == nil {
			t.Errorf("made %v", made)
		}
	}
	if gone, err := h.DeleteToken(t.Context(), h.root, &ByID{strings.ToLower(given)}); err != nil || !gone {
		t.Errorf("%v, %v", gone, err)
	}
}

func TestExplain(t *testing.T) {
	h := newHouse(t)
	h.policy("wide", `key_prefix "" { policy = "write" }`)
	h.policy("narrow", `key "secret" { policy = "deny" } operator = "read"`)
	tok := h.token(Token{Grants: Grants{Policies: []Link{{Name: "wide"}, {Name: "narrow"}}}})
	for _, c := range []struct {
		resource Resource
		name     string
		access   Access
		allowed  bool
		rule     string
		needed   string
	}{
		{Key, "secret", Read, false, `key "secret" { policy = "deny" }`, `key "secret" { policy = "read" }`},
		{Key, "other", Write, true, `key_prefix "" { policy = "write" }`, ""},
		{Mesh, "", Read, true, `operator = "read"`, ""},
		{Service, "web", Write, false, "", `service "web" { policy = "write" }`},
		{Key, "", WritePrefix, false, `key "secret" { policy = "deny" }`, `key_prefix "" { policy = "write" }`},
	} {
		e, err := h.Explain(t.Context(), h.root, &Question{tok.AccessorID, string(c.resource), c.name, string(c.access)})
		if err != nil || e.Allowed != c.allowed || e.Deciding != c.rule || e.Needed != c.needed {
			t.Errorf("%v: %+v, %v", c, e, err)
		}
	}
	var denial *Denial
	if _, err := h.Explain(t.Context(), h.resolve(tok.SecretID), &Question{"", "key", "x", "read"}); !errors.As(err, &denial) {
		t.Errorf("who may not read ACLs gets %v", err)
	}
}

// An issuer signs tokens, and publishes its key.
type issuer struct {
	key    *ecdsa.PrivateKey
	server *httptest.Server
	id     string
	asked  int
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, id: "k1"}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "openid-configuration") {
			fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, i.server.URL, i.server.URL+"/keys")
			return
		}
		i.asked++
		b, _ := i.key.PublicKey.Bytes()
		e := base64.RawURLEncoding.EncodeToString
		fmt.Fprintf(w, `{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "EC", "crv": "P-256", "kid": %q, "x": %q, "y": %q}]}`, i.id, e(b[1:33]), e(b[33:]))
	}))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) pem() string {
	b, _ := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

func (i *issuer) sign(c jwt.MapClaims) string {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	t.Header["kid"] = i.id
	s, _ := t.SignedString(i.key)
	return s
}

func (h *house) method(name, kind string, config any) {
	h.Helper()
	if _, err := h.SetAuthMethod(h.Context(), h.root, methodChange(name, kind, config)); err != nil {
		h.Fatal(err)
	}
}

func methodChange(name, kind string, config any) *AuthMethodChange {
	text, _ := json.Marshal(config)
	return &AuthMethodChange{AuthMethod{Name: name, Type: kind, Config: text}}
}

func (h *house) rule(method, selector, kind, name string) {
	h.Helper()
	if _, err := h.SetBindingRule(h.Context(), h.root, &BindingRuleChange{BindingRule{AuthMethod: method, Selector: selector, BindType: kind, BindName: name}}); err != nil {
		h.Fatal(err)
	}
}

func TestLoginByJWT(t *testing.T) {
	h, i, other := newHouse(t), newIssuer(t), newIssuer(t)
	common := map[string]any{"BoundAudiences": []string{"lic"}, "ClaimMappings": map[string]string{"sub": "sub", "/org/team": "team"}, "ListClaimMappings": map[string]string{"groups": "groups"}}
	with := func(more map[string]any) map[string]any {
		for k, v := range common {
			more[k] = v
		}
		return more
	}
	h.method("keys", "jwt", with(map[string]any{"JWTValidationPubKeys": []string{other.pem(), i.pem()}, "BoundIssuer": "i"}))
	h.method("jwks", "jwt", with(map[string]any{"JWKSURL": i.server.URL + "/keys"}))
	h.method("oidc", "jwt", with(map[string]any{"OIDCDiscoveryURL": i.server.URL}))
	for _, m := range []string{"keys", "jwks", "oidc"} {
		h.rule(m, `value.team == ops and dev in list.groups`, "service", "svc-${value.sub}")
	}
	now := time.Now().Unix()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "i", "aud": "lic", "sub": "alice", "exp": now + 60, "org": map[string]any{"team": "ops"}, "groups": []string{"dev"}}
	}
	login := func(method, bearer string) (*Token, error) {
		return h.Login(t.Context(), DenyAll(), &Login{AuthMethod: method, BearerToken: bearer})
	}
	for _, m := range []string{"keys", "jwks", "oidc"} {
		c := good()
		if m == "oidc" {
			c["iss"] = i.server.URL
		}
		tok, err := login(m, i.sign(c))
		if err != nil || len(tok.ServiceIdentities) != 1 || tok.ServiceIdentities[0].ServiceName != "svc-alice" || !h.resolve(tok.SecretID).Allow(Service, "svc-alice", Write) {
			t.Fatalf("%s: %v, %v", m, tok, err)
		}
	}
	if i.asked > 2 {
		t.Errorf("the keys were fetched %d times", i.asked)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, good())
	unsigned, _ := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	shared, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, good()).SignedString([]byte(i.pem()))
	changed := func(name string, value any) string {
		c := good()
		c[name] = value
		return i.sign(c)
	}
	for what, bearer := range map[string]string{
		"nonsense": "nonsense", "unsigned": unsigned, "signed with the public key": shared,
		"expired": changed("exp", now-600), "of the future": changed("nbf", now+600), "for others": changed("aud", []string{"x"}), "of another issuer": changed("iss", "x"),
		"without times": func() string { c := good(); delete(c, "exp"); return i.sign(c) }(),
		"long":          strings.Repeat("a", claims.MaxToken+1),
	} {
		if tok, err := login("keys", bearer); err == nil || rpc.CodeOf(err) != rpc.Internal {
			t.Errorf("a token that is %s: %v, %v", what, tok, err)
		}
	}
	for what, bearer := range map[string]string{"another team": changed("org", map[string]any{"team": "ops or value.team != x"}), "no group": changed("groups", []string{"x"})} {
		if _, err := login("keys", bearer); err == nil || err.Error() != "Permission denied" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := login("keys", changed("sub", "Bad Name")); err == nil {
		t.Error("a name that is no service's is taken")
	}
}

func TestLogoutAndTheEndOfAMethod(t *testing.T) {
	h, i := newHouse(t), newIssuer(t)
	h.method("m", "jwt", map[string]any{"JWTValidationPubKeys": []string{i.pem()}})
	h.rule("m", "", "node", "n1")
	bearer := i.sign(jwt.MapClaims{"exp": time.Now().Unix() + 60})
	var made []*Token
	for range 2 {
		tok, err := h.Login(t.Context(), DenyAll(), &Login{AuthMethod: "m", BearerToken: bearer, Meta: map[string]string{"a": "b"}})
		if err != nil || tok.Description != `token created via login: {"a":"b"}` || tok.NodeIdentities[0].Datacenter != "dc1" {
			t.Fatal(tok, err)
		}
		made = append(made, tok)
	}
	if ok, err := h.Logout(t.Context(), h.resolve(made[0].SecretID), &struct{}{}); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := h.Logout(t.Context(), h.root, &struct{}{}); err == nil {
		t.Error("a token that no login has made is logged out")
	}
	if ok, err := h.DeleteAuthMethod(t.Context(), h.root, &ByName{"M"}); !ok || err != nil {
		t.Error(ok, err)
	}
	for _, tok := range made {
		if _, err := h.resolver.Resolve(tok.SecretID); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if rules, _, _ := h.BindingRules(h.Log.DB().Read(), h.root, &ListBindingRules{}); len(rules) > 0 {
		t.Error("the rules of a method that is gone are there")
	}
}

func TestLoginByKubernetes(t *testing.T) {
	var asked tokenReview
	k := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer reviewer" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/apis/authentication.k8s.io/v1/tokenreviews":
			_ = json.NewDecoder(r.Body).Decode(&asked)
			ok := asked.Spec.Token == "good"
			fmt.Fprintf(w, `{"status": {"authenticated": %v, "user": {"username": "system:serviceaccount:prod:web", "uid": "u"}}}`, ok)
		case "/api/v1/namespaces/prod/serviceaccounts/web":
			fmt.Fprint(w, `{"metadata": {"annotations": {"consul.hashicorp.com/service-name": "website"}}}`)
		}
	}))
	defer k.Close()
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate().Raw}))
	h := newHouse(t)
	h.method("k", "kubernetes", map[string]string{"Host": k.URL, "CACert": cert, "ServiceAccountJWT": "reviewer"})
	h.rule("k", "serviceaccount.namespace == prod", "service", "${serviceaccount.name}")
	tok, err := h.Login(t.Context(), DenyAll(), &Login{AuthMethod: "k", BearerToken: "good"})
	if err != nil || tok.ServiceIdentities[0].ServiceName != "website" {
		t.Fatal(tok, err)
	}
	if _, err := h.Login(t.Context(), DenyAll(), &Login{AuthMethod: "k", BearerToken: "bad"}); err == nil {
		t.Error("a token that Kubernetes does not know is good")
	}
}

// An agent without the state asks once in a while, and what holds while nobody answers is as configured.
func TestRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		asked, down := 0, false
		for _, c := range []struct {
			policy      string
			known, open bool // rights while the servers are away: of a token that was known before, and of another
		}{{DownExtend, true, false}, {DownAsync, true, false}, {DownDeny, false, false}, {DownAllow, true, true}} {
			asked, down = 0, false
			r := &Remote{TTL: 30 * time.Second, Down: c.policy, Context: t.Context(), Ask: func(ctx context.Context, secret string) (*Resolution, error) {
				asked++
				if down {
					return nil, state.ErrNoLeader
				}
				az, err := h.resolver.Resolve(secret)
				if err != nil {
					return nil, err
				}
				return h.Resolve(ctx, az, &struct{}{})
			}}
			for range 5 {
				if az, err := r.Resolve(t.Context(), rootSecret); err != nil || !az.Allow(ACL, "", Write) || az.Accessor() != h.root.Accessor() {
					t.Fatal(az, err)
				}
			}
			if asked != 1 {
				t.Errorf("%s: asked %d times", c.policy, asked)
			}
			if _, err := r.Resolve(t.Context(), someID); !errors.Is(err, ErrNotFound) {
				t.Errorf("%v", err)
			}
			time.Sleep(time.Minute)
			down = true
			known, err := r.Resolve(t.Context(), rootSecret)
			if err != nil || known.Allow(Key, "a", Read) != c.known {
				t.Errorf("%s: a token that is known may %v", c.policy, known.Allow(Key, "a", Read))
			}
			other, err := r.Resolve(t.Context(), someID)
			if c.known && !c.open {
				if !errors.Is(err, state.ErrNoLeader) {
					t.Errorf("%s: another gets %v", c.policy, err)
				}
			} else if err != nil || other.Allow(Key, "a", Read) != c.open {
				t.Errorf("%s: another may %v", c.policy, other.Allow(Key, "a", Read))
			}
			synctest.Wait()
		}
	})
}

// A token's end is by the clocks of the servers: an agent whose clock is wrong keeps answers as long as others do.
func TestRemoteWithAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, down := 0, false
		end := time.Now().Add(-time.Hour).Add(time.Minute) // the servers' clocks are an hour behind this one's
		r := &Remote{TTL: 30 * time.Second, Down: DownExtend, Context: t.Context(), Ask: func(context.Context, string) (*Resolution, error) {
			if asked++; down {
				return nil, state.ErrNoLeader
			}
			left := end.Sub(time.Now().Add(-time.Hour))
			if left <= 0 {
				return nil, ErrNotFound
			}
			return &Resolution{AccessorID: someID, Left: left}, nil
		}}
		for range 3 {
			if _, err := r.Resolve(t.Context(), "x"); err != nil || asked != 1 {
				t.Fatalf("%v, asked %d times", err, asked)
			}
		}
		time.Sleep(31 * time.Second)
		down = true
		if _, err := r.Resolve(t.Context(), "x"); err != nil {
			t.Errorf("while the servers are away: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := r.Resolve(t.Context(), "x"); !errors.Is(err, state.ErrNoLeader) {
			t.Errorf("after its end, while the servers are away: %v", err)
		}
		down = false
		if _, err := r.Resolve(t.Context(), "x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("after its end: %v", err)
		}
	})
}

const someID = "12345678-0000-4000-8000-000000000000"

func BenchmarkResolve(b *testing.B) {
	log, err := state.NewLocal(10, Tables()...)
	if err != nil {
		b.Fatal(err)
	}
	a := &Authority{Log: log, Datacenter: "dc1", Enabled: true}
	if err := a.Begin(b.Context(), rootSecret); err != nil {
		b.Fatal(err)
	}
	r := &Resolver{DB: log.DB, Datacenter: "dc1", Context: b.Context()}
	for b.Loop() {
		if _, err := r.Resolve(rootSecret); err != nil {
			b.Fatal(err)
		}
	}
}

// While the servers are away a token's first request may wait for them; from then on all go by what holds without them, as long as they stay
// away. Who waits for an answer with such a token does not ask all the time. Once they are back, what they say counts within the TTL.
func TestOneRequestWaitsForServersThatAreAway(t *testing.T) {
	const ttl, hold = 30 * time.Second, 7 * time.Second
	for policy, may := range map[string]bool{DownExtend: true, DownAsync: true, DownAllow: true, DownDeny: false} {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var away, revoked atomic.Bool
				var asked atomic.Int64
				r := &Remote{TTL: ttl, Down: policy, Context: t.Context(), Ask: func(ctx context.Context, _ string) (*Resolution, error) {
					asked.Add(1)
					switch {
					case away.Load():
						time.Sleep(hold)
						return nil, rpc.Errorf(rpc.Unreachable, "no server answers")
					case revoked.Load():
						return nil, ErrNotFound
					}
					return &Resolution{AccessorID: someID, Policies: []*Policy{{ID: someID, Rules: `key "a" { policy = "write" }`}}}, nil
				}}
				resolve := func(most time.Duration) (Authorizer, error) {
					t.Helper()
					begin := time.Now()
					az, err := r.Resolve(t.Context(), "secret")
					if took := time.Since(begin); took > most {
						t.Errorf("a request waits for %v", took)
					}
					return az, err
				}
				if az, err := resolve(0); err != nil || !az.Allow(Key, "a", Write) {
					t.Fatal(err)
				}
				away.Store(true)
				time.Sleep(ttl)
				resolve(hold)
				asked.Store(0)
				for range 1000 {
					time.Sleep(100 * time.Millisecond)
					az, err := resolve(0)
					if err != nil || az.Allow(Key, "a", Write) != may || !Fresh(az) {
						t.Fatalf("%v, fresh %t", err, Fresh(az))
					}
				}
				if n := asked.Load(); n > 100*int64(time.Second)/int64(hold)+2 {
					t.Errorf("the servers were asked %d times in 100 s", n)
				}
				revoked.Store(true)
				away.Store(false)
				time.Sleep(hold)
				resolve(0)
				synctest.Wait()
				if _, err := resolve(0); !errors.Is(err, ErrNotFound) {
					t.Errorf("a token that is gone: %v", err)
				}
				revoked.Store(false)
				away.Store(true)
				time.Sleep(ttl)
				if az, err := resolve(hold); policy != DownAllow && err == nil && az.Allow(Key, "a", Write) {
					t.Error("what was heard before the token was gone holds again")
				}
			})
		})
	}
}

// What a claim holds is never read as part of a selector, or of the name that a rule binds to.
func FuzzSelector(f *testing.F) {
	for _, selector := range []string{"", "value.team == ops", `value.team != "o\"ps" and ops not in list.groups`, "not (value.team matches `^o+` or list.groups is empty)",
		"value.none == x", "list.groups contains `a b`", "serviceaccount.name == web", "value.team ==", "((", `value.team != ""`} {
		f.Add(selector, "svc-${value.sub}", "ops")
	}
	for _, claim := range []string{"dev", "", `ops" or "a" == "a`, "` or value.team != `", "x or value.team != x", "${value.sub}", "${", "}", `\`, `\"`, "ops\n", "\x00", "\xff", "not"} {
		f.Add("value.team == ops", claim, claim)
	}
	f.Fuzz(func(t *testing.T, selector, name, claim string) {
		fields := claims.Claims{Value: map[string]string{"team": claim, "sub": "x"}, List: map[string][]string{"groups": {"a", claim}}}
		keeps := keeper(fields)
		for expression, want := range map[string]bool{
			"value.team == ops": claim == "ops", `value.sub == x and value.team != "ops"`: claim != "ops",
			"ops in list.groups": claim == "ops", `value.team == ""`: claim == "",
		} {
			if kept, err := keeps(expression); err != nil || kept != want {
				t.Errorf("%s with %q: %v, %v", expression, claim, kept, err)
			}
		}
		values := map[string]string{"value.sub": "x", "value.team": claim}
		if bound, err := interpolate("a-${value.team}-${value.sub}", values); err != nil || bound != "a-"+claim+"-x" {
			t.Errorf("bound to %q, %v", bound, err)
		}
		if len(selector) < 200 && checkSelector("jwt", selector) == nil {
			_, _ = keeps(selector)
		}
		if len(selector) < 200 && checkSelector("kubernetes", selector) == nil {
			_, _ = keeper(kubernetesFields{})(selector)
		}
		_, _ = interpolate(name, values)
	})
}
