// Package openid is a provider of OpenID for tests: people who come to it are logged in at once. It checks what is asked of
// it as strictly as the standards have it.
package openid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ClientID and ClientSecret are what the provider knows its only client by. The secret has what must be escaped.
const (
	ClientID     = "lictor"
	ClientSecret = "s3cret/+: &"
)

// A Provider runs until the test ends. What is exported may be changed while nobody logs in.
type Provider struct {
	URL          string
	Claims       map[string]any          // of the ID token, besides the standard ones
	UserInfo     map[string]any          // of the endpoint of that name
	Forge        func(all jwt.MapClaims) // changes the ID token
	SecretInBody bool                    // the secret has to come there
	Moved        string                  // where the endpoint for codes sends on to, if it does

	key    *ecdsa.PrivateKey
	mu     sync.Mutex // guards what follows
	codes  map[string]url.Values
	access map[string]bool
	asked  url.Values
}

// New starts a Provider.
func New(t testing.TB) *Provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, codes: map[string]url.Values{}, access: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.describe)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userInfo)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Asked is what the last browser was sent with.
func (p *Provider) Asked() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": why})
}

func (p *Provider) describe(w http.ResponseWriter, _ *http.Request) {
	how := "client_secret_basic"
	if p.SecretInBody {
		how = "client_secret_post"
	}
	about := map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize",
		"token_endpoint": p.URL + "/token", "token_endpoint_auth_methods_supported": []string{how}}
	if p.UserInfo != nil {
		about["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	answer(w, about)
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	b, _ := p.key.PublicKey.Bytes()
	text := base64.RawURLEncoding.EncodeToString
	answer(w, map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "kid": "1", "x": text(b[1:33]), "y": text(b[33:])}}})
}

// authorize sends the browser back with a code.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		refuse(w, "invalid_request", "not a request for a code")
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code], p.asked = q, q
	p.mu.Unlock()
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token redeems a code, once.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if p.Moved != "" {
		http.Redirect(w, r, p.Moved, http.StatusTemporaryRedirect)
		return
	}
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if p.SecretInBody {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	visit := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != ClientID || secret != ClientSecret || basic == p.SecretInBody:
		refuse(w, "invalid_client", "")
		return
	case visit == nil || r.FormValue("grant_type") != "authorization_code":
		refuse(w, "invalid_grant", "no such code")
		return
	case visit.Get("redirect_uri") != r.FormValue("redirect_uri"):
		refuse(w, "invalid_grant", "another redirect_uri")
		return
	case visit.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]):
		refuse(w, "invalid_grant", "another code_verifier")
		return
	}
	all := jwt.MapClaims{"iss": p.URL, "aud": ClientID, "sub": "alice", "nonce": visit.Get("nonce"),
		"iat": jwt.NewNumericDate(time.Now()), "exp": jwt.NewNumericDate(time.Now().Add(time.Minute))}
	for name, claim := range p.Claims {
		all[name] = claim
	}
	if p.Forge != nil {
		p.Forge(all)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	t.Header["kid"] = "1"
	signed, _ := t.SignedString(p.key)
	access := rand.Text()
	p.access[access] = true
	answer(w, map[string]any{"access_token": access, "token_type": "Bearer", "id_token": signed})
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const scheme = "Bearer "
	got := r.Header.Get("Authorization")
	if len(got) <= len(scheme) || got[:len(scheme)] != scheme || !p.access[got[len(scheme):]] {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer(w, p.UserInfo)
}
