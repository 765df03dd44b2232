package acl

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"lictor/internal/openid"
)

const backTo = "http://localhost:8550/oidc/callback"

// oidc is a working configuration.
func oidc(p *openid.Provider) map[string]any {
	return map[string]any{"OIDCDiscoveryURL": p.URL, "OIDCClientID": openid.ClientID, "OIDCClientSecret": openid.ClientSecret,
		"AllowedRedirectURIs": []string{"https://ui.example.com/back", backTo}, "OIDCScopes": []string{"groups", "openid"}, "OIDCACRValues": []string{"gold", "silver"},
		"ClaimMappings": map[string]string{"sub": "user"}, "ListClaimMappings": map[string]string{"groups": "groups"}, "VerboseOIDCLogging": true}
}

// visit logs in with a browser, and returns what that is sent back with.
func visit(t *testing.T, h *house, start OIDCStart) (state, code string) {
	t.Helper()
	at, err := h.StartOIDC(t.Context(), nil, &start)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := browser.Get(at.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	back, err := r.Location()
	if err != nil {
		t.Fatalf("%s: %s", at.AuthURL, r.Status)
	}
	if !strings.HasPrefix(back.String(), start.RedirectURI+"?") {
		t.Fatalf("the browser is sent back to %s", back)
	}
	return back.Query().Get("state"), back.Query().Get("code")
}

// browse logs in as the command does.
func (h *house) browse(t *testing.T) (*Token, error) {
	t.Helper()
	state, code := visit(t, h, OIDCStart{"sso", backTo, "mine", map[string]string{"who": "alice"}})
	return h.FinishOIDC(t.Context(), nil, &OIDCCallback{"sso", state, code, "mine"})
}

func TestLoginByOIDC(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	p.Claims = map[string]any{"groups": []string{"ops", "dev"}}
	h.method("SSO", "oidc", oidc(p))
	h.rule("sso", `"ops" in list.groups`, "service", "of-${value.user}")
	made, err := h.browse(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.ServiceIdentities) != 1 || made.ServiceIdentities[0].ServiceName != "of-alice" || made.AuthMethod != "SSO" || !made.Local ||
		made.Description != `token created via login: {"who":"alice"}` {
		t.Errorf("%+v", made)
	}
	if asked := p.Asked(); asked.Get("scope") != "openid groups" || asked.Get("acr_values") != "gold silver" || asked.Get("nonce") == "" {
		t.Errorf("the browser was sent with %v", asked)
	}
	// Who is in none of the groups gets nothing.
	p.Claims = nil
	if _, err := h.browse(t); err == nil || err.Error() != "Permission denied" {
		t.Errorf("a stranger: %v", err)
	}
	// Some providers tell the groups only where they tell all of a user, and want the secret elsewhere.
	p = openid.New(t)
	p.UserInfo, p.SecretInBody = map[string]any{"sub": "alice", "groups": "ops", "iss": "ignored", "number": int64(9007199254740993)}, true
	c := oidc(p)
	c["ClaimMappings"] = map[string]string{"sub": "user", "number": "number"}
	h.method("SSO", "oidc", c)
	h.rule("sso", `value.number == "9007199254740993"`, "service", "n-${value.number}")
	if made, err = h.browse(t); err != nil || len(made.ServiceIdentities) != 2 {
		t.Errorf("%+v, %v", made, err)
	}
	p.UserInfo["sub"] = "bob"
	if _, err := h.browse(t); err == nil || !strings.Contains(err.Error(), "another subject") {
		t.Errorf("claims of another: %v", err)
	}
}

// What comes back must be of the login that was begun, and by who began it.
func TestLoginByOIDCIsOfWhoBegan(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	h.method("sso", "oidc", oidc(p))
	h.method("other", "oidc", oidc(p))
	h.rule("sso", "", "service", "web")
	h.rule("other", "", "service", "web")
	start := OIDCStart{"sso", backTo, "mine", nil}
	state, code := visit(t, h, start)
	_, second := visit(t, h, start)
	for name, c := range map[string]struct {
		back OIDCCallback
		says string
	}{
		"another's nonce":  {OIDCCallback{"sso", state, code, "yours"}, "ClientNonce"},
		"no nonce":         {OIDCCallback{"sso", state, code, ""}, "ClientNonce"},
		"another method":   {OIDCCallback{"other", state, code, "mine"}, "State"},
		"no state":         {OIDCCallback{"sso", "", code, "mine"}, "State"},
		"not base64":       {OIDCCallback{"sso", "=", code, "mine"}, "State"},
		"a changed state":  {OIDCCallback{"sso", "A" + state, code, "mine"}, "State"},
		"a long state":     {OIDCCallback{"sso", strings.Repeat("A", 5000), code, "mine"}, "State"},
		"no code":          {OIDCCallback{"sso", state, "", "mine"}, "no such code"},
		"a wrong code":     {OIDCCallback{"sso", state, "x", "mine"}, "no such code"},
		"another's code":   {OIDCCallback{"sso", state, second, "mine"}, "another code_verifier"},
		"no method":        {OIDCCallback{"", state, code, "mine"}, "auth method"},
		"no such a method": {OIDCCallback{"none", state, code, "mine"}, `auth method "none" not found`},
	} {
		if made, err := h.FinishOIDC(t.Context(), nil, &c.back); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, made, err)
		}
	}
	if _, err := h.FinishOIDC(t.Context(), nil, &OIDCCallback{"sso", state, code, "mine"}); err != nil {
		t.Errorf("the right one: %v", err)
	}
	if _, err := h.FinishOIDC(t.Context(), nil, &OIDCCallback{"sso", state, code, "mine"}); err == nil || !strings.Contains(err.Error(), "no such code") {
		t.Errorf("the right one again: %v", err)
	}
	// A state of the secret of before is no longer one.
	state, code = visit(t, h, start)
	changed := oidc(p)
	changed["OIDCClientSecret"] = "new"
	h.method("sso", "oidc", changed)
	if _, err := h.FinishOIDC(t.Context(), nil, &OIDCCallback{"sso", state, code, "mine"}); err == nil || !strings.Contains(err.Error(), "State") {
		t.Errorf("after the secret was changed: %v", err)
	}
	if _, err := h.browse(t); err == nil || !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "new") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

func TestForgedIDTokens(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	h.method("sso", "oidc", oidc(p))
	h.rule("sso", "", "service", "web")
	for says, forge := range map[string]func(all jwt.MapClaims){
		"nonce":      func(all jwt.MapClaims) { all["nonce"] = "x" },
		"nonce ":     func(all jwt.MapClaims) { delete(all, "nonce") },
		"(aud)":      func(all jwt.MapClaims) { all["aud"] = "another" },
		"(azp)":      func(all jwt.MapClaims) { all["aud"], all["azp"] = []string{openid.ClientID, "another"}, "another" },
		"(iss)":      func(all jwt.MapClaims) { all["iss"] = "http://evil.example" },
		"is expired": func(all jwt.MapClaims) { all["iat"], all["exp"] = 1000, 2000 },
	} {
		p.Forge = forge
		if made, err := h.browse(t); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%s: %v, %v", says, made, err)
		}
	}
	p.Forge = nil
	if _, err := h.browse(t); err != nil {
		t.Error(err)
	}
}

func TestOIDCMethodsAreChecked(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	for says, change := range map[string]map[string]any{
		"'OIDCDiscoveryURL' must be set":               {"OIDCDiscoveryURL": ""},
		"OIDCDiscoveryURL must be an address":          {"OIDCDiscoveryURL": "localhost"},
		"OIDCDiscoveryCACert":                          {"OIDCDiscoveryCACert": "x"},
		"'OIDCClientID' must be set":                   {"OIDCClientID": ""},
		"'OIDCClientSecret' must be set":               {"OIDCClientSecret": ""},
		"'AllowedRedirectURIs' must be set":            {"AllowedRedirectURIs": []string{}},
		"AllowedRedirectURIs[1] must be an address":    {"AllowedRedirectURIs": []string{backTo, "x"}},
		"must not be set for type \"oidc\"":            {"JWKSURL": p.URL},
		"'BoundIssuer' and the leeways must not be":    {"ClockSkewLeeway": "1s"},
		"unsupported signing algorithm":                {"JWTSupportedAlgs": []string{"none"}},
		"error decoding config: json: unknown field":   {"Nonsense": 1},
		"ClaimMappings contains multiple mappings for": {"ClaimMappings": map[string]string{"a": "x", "b": "x"}},
	} {
		c := oidc(p)
		maps.Copy(c, change)
		_, err := h.SetAuthMethod(t.Context(), h.root, methodChange("sso", "oidc", c))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), openid.ClientSecret) {
			t.Errorf("%s: %v", says, err)
		}
	}
	h.method("sso", "oidc", oidc(p))
	h.method("signed", "jwt", map[string]any{"OIDCDiscoveryURL": p.URL})
	for says, q := range map[string]OIDCStart{
		`unauthorized RedirectURI "http://evil.example"`: {"sso", "http://evil.example", "n", nil},
		`unauthorized RedirectURI ""`:                    {"sso", "", "n", nil},
		`auth method "signed" is of type "jwt"`:          {"signed", backTo, "n", nil},
		`auth method "none" not found`:                   {"none", backTo, "n", nil},
		"RedirectURI and Meta are too long together":     {"sso", backTo, "n", map[string]string{"a": strings.Repeat("a", 2000)}},
	} {
		if at, err := h.StartOIDC(t.Context(), nil, &q); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", says, at, err)
		}
	}
	if _, err := h.Login(t.Context(), nil, &Login{AuthMethod: "sso", BearerToken: "x"}); err == nil || !strings.Contains(err.Error(), "log in with a browser") {
		t.Errorf("a bearer token: %v", err)
	}
	// The state tells whoever sees the address nothing.
	at, err := h.StartOIDC(t.Context(), nil, &OIDCStart{"sso", backTo, "client-nonce", map[string]string{"a": "told"}})
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(at.AuthURL); err != nil || strings.Contains(at.AuthURL, "client-nonce") || len(u.Query().Get("state")) < 100 || u.Query().Get("client_secret") != "" {
		t.Errorf("%s, %v", at.AuthURL, err)
	}
}

// A claim that is null in the ID token is one that it lacks. No other of its claims is changed by what the user info says.
func TestNullClaims(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	p.Claims = map[string]any{"groups": nil, "team": "blue"}
	p.UserInfo = map[string]any{"sub": "alice", "groups": []string{"ops"}, "team": "red"}
	c := oidc(p)
	c["ClaimMappings"] = map[string]string{"sub": "user", "/team": "team"}
	h.method("sso", "oidc", c)
	h.rule("sso", `"ops" in list.groups`, "service", "${value.team}-of-${value.user}")
	if made, err := h.browse(t); err != nil || made.ServiceIdentities[0].ServiceName != "blue-of-alice" {
		t.Errorf("%+v, %v", made, err)
	}
}

// The secret and the code go to the provider's endpoint alone, wherever that points.
func TestCodesAreNotSentOn(t *testing.T) {
	h, p := newHouse(t), openid.New(t)
	sent := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent <- string(body)
	}))
	defer elsewhere.Close()
	p.SecretInBody, p.Moved = true, elsewhere.URL
	h.method("sso", "oidc", oidc(p))
	if made, err := h.browse(t); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("%v, %v", made, err)
	}
	select {
	case body := <-sent:
		t.Errorf("sent on: %s", body)
	default:
	}
}

// A provider that does not tell where to log in, or does not answer, is told of.
func TestProviderWithoutLogin(t *testing.T) {
	h, i := newHouse(t), newIssuer(t)
	c := oidc(&openid.Provider{URL: i.server.URL})
	h.method("sso", "oidc", c)
	if at, err := h.StartOIDC(t.Context(), nil, &OIDCStart{"sso", backTo, "n", nil}); err == nil || !strings.Contains(err.Error(), "authorization_endpoint") {
		t.Errorf("%v, %v", at, err)
	}
	c["OIDCDiscoveryURL"] = "http://127.0.0.1:1"
	h.method("sso", "oidc", c)
	if at, err := h.StartOIDC(t.Context(), nil, &OIDCStart{"sso", backTo, "n", nil}); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v, %v", at, err)
	}
}
