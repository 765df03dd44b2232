package acl

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/claims"
)

//msgp:ignore oidcVerifier loginState
//go:generate go tool msgp -o oidc_gen.go -tests=false -io=false

// An OIDCStart asks where to send a browser that is to log in.
type OIDCStart struct {
	AuthMethod  string
	RedirectURI string            // where it comes back to, one of AllowedRedirectURIs
	ClientNonce string            // what the asker alone knows, and says again in the OIDCCallback
	Meta        map[string]string `msg:"Meta,allownil"`
}

// An OIDCAddress is where to send it.
type OIDCAddress struct{ AuthURL string }

// An OIDCCallback asks for a token for who has come back from the provider with a state and a code.
type OIDCCallback struct{ AuthMethod, State, Code, ClientNonce string }

// An oidcVerifier lets people in who have logged in at a provider of OpenID with a browser.
type oidcVerifier struct {
	provider  *claims.Provider
	mapped    map[string]string // claims with one value
	redirects []string
	seal      cipher.AEAD // of states
}

func newOIDC(name string, text Document, keys claims.Keys) (verifier, error) {
	var c jwtConfig
	if err := readConfig(text, &c); err != nil {
		return nil, err
	}
	if len(c.JWTValidationPubKeys) > 0 || c.JWKSURL != "" || c.JWKSCACert != "" || c.BoundIssuer != "" ||
		c.ExpirationLeeway != 0 || c.NotBeforeLeeway != 0 || c.ClockSkewLeeway != 0 {
		return nil, refuse(`Invalid Auth Method: 'JWTValidationPubKeys', 'JWKSURL', 'JWKSCACert', 'BoundIssuer' and the leeways must not be set for type "oidc"`)
	}
	provider, err := claims.NewProvider(c.Config, claims.ProviderConfig{ClientID: c.OIDCClientID, ClientSecret: c.OIDCClientSecret,
		Scopes: c.OIDCScopes, ACRValues: c.OIDCACRValues}, keys)
	if err != nil {
		return nil, refuse(`Invalid Auth Method: %s for type "oidc"`, err)
	}
	if len(c.AllowedRedirectURIs) == 0 {
		return nil, refuse(`Invalid Auth Method: 'AllowedRedirectURIs' must be set for type "oidc"`)
	}
	for i, uri := range c.AllowedRedirectURIs {
		if !claims.IsAddress(uri) {
			return nil, refuse("Invalid Auth Method: AllowedRedirectURIs[%d] must be an address that begins with https:// or http://", i)
		}
	}
	seal, err := stateSeal(name, c.OIDCClientSecret)
	if err != nil {
		return nil, err
	}
	return &oidcVerifier{provider, c.ClaimMappings, c.AllowedRedirectURIs, seal}, nil
}

func (v *oidcVerifier) names() []string { return valueNames(v.mapped) }

// verify refuses: what people prove comes by way of OIDCCallback.
func (v *oidcVerifier) verify(context.Context, string) (*proof, error) {
	return nil, errors.New(`auth methods of type "oidc" take no bearer token: log in with a browser`)
}

// loginTime is how long somebody may take who logs in with a browser.
const loginTime = 10 * time.Minute

// maxState bounds a state, which travels in addresses, in characters.
const maxState = 2048

// A loginState is what servers have to know of a login that has begun. The browser carries it, sealed with what only the
// servers and the provider know: so it does not matter which server is asked first and which last, and strangers who begin
// logins take no memory.
type loginState struct {
	Redirect, Nonce, Verifier string
	Client                    []byte // SHA-256 of ClientNonce
	Until                     Moment
	Meta                      map[string]string `json:",omitempty"`
}

func stateSeal(method, secret string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "lictor: state of a login by OpenID, method "+strings.ToLower(method), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s *loginState) visit(sealed string) claims.Visit {
	return claims.Visit{RedirectURI: s.Redirect, State: sealed, Nonce: s.Nonce, Verifier: s.Verifier}
}

// begin gives the address at which somebody logs in.
func (v *oidcVerifier) begin(ctx context.Context, q *OIDCStart) (string, error) {
	if !slices.Contains(v.redirects, q.RedirectURI) {
		return "", fmt.Errorf("unauthorized RedirectURI %q: it is none of the AllowedRedirectURIs", q.RedirectURI)
	}
	client := sha256.Sum256([]byte(q.ClientNonce))
	state := loginState{Redirect: q.RedirectURI, Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(),
		Client: client[:], Until: MomentOf(time.Now().Add(loginTime)), Meta: q.Meta}
	text, err := json.Marshal(&state)
	if err != nil {
		return "", err
	}
	sealed := base64.RawURLEncoding.EncodeToString(v.seal.Seal(nil, nil, text, nil))
	if len(sealed) > maxState {
		return "", errors.New("RedirectURI and Meta are too long together")
	}
	return v.provider.AuthURL(ctx, state.visit(sealed))
}

var errState = errors.New("the State is of no login that has begun here, or it has expired: log in again")

// finish gives what is proven of who has come back.
func (v *oidcVerifier) finish(ctx context.Context, q *OIDCCallback) (*proof, map[string]string, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(q.State[:min(len(q.State), maxState)])
	if err != nil {
		return nil, nil, errState
	}
	text, err := v.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, nil, errState
	}
	var state loginState
	if err := json.Unmarshal(text, &state); err != nil || time.Now().After(state.Until.Time()) || !slices.Contains(v.redirects, state.Redirect) {
		return nil, nil, errState
	}
	if client := sha256.Sum256([]byte(q.ClientNonce)); subtle.ConstantTimeCompare(client[:], state.Client) != 1 {
		return nil, nil, errors.New("the ClientNonce is not that of who began to log in")
	}
	proven, err := v.provider.Redeem(ctx, state.visit(q.State), q.Code)
	if err != nil {
		return nil, nil, err
	}
	return proofOf(proven), state.Meta, nil
}

// byBrowser finds a method by which people log in with a browser.
func (s *Authority) byBrowser(ctx context.Context, name string) (*AuthMethod, *oidcVerifier, error) {
	m, v, err := s.loginMethod(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	browser, ok := v.(*oidcVerifier)
	if !ok {
		return nil, nil, refuse("auth method %q is of type %q: people log in with a browser by those of type \"oidc\"", m.Name, m.Type)
	}
	return m, browser, nil
}

// StartOIDC tells where to send the browser of who wants to log in. Nobody needs a token to ask.
func (s *Authority) StartOIDC(ctx context.Context, _ Authorizer, q *OIDCStart) (*OIDCAddress, error) {
	_, v, err := s.byBrowser(ctx, q.AuthMethod)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	address, err := v.begin(bounded, q)
	if err != nil {
		return nil, refuse("%s", err)
	}
	return &OIDCAddress{address}, nil
}

// FinishOIDC makes a token for who has logged in at the provider. Nobody needs a token to ask.
func (s *Authority) FinishOIDC(ctx context.Context, _ Authorizer, q *OIDCCallback) (*Token, error) {
	m, v, err := s.byBrowser(ctx, q.AuthMethod)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	p, meta, err := v.finish(bounded, q)
	if err != nil {
		return nil, refuse("%s", err)
	}
	return s.welcome(ctx, m, p, meta)
}
