package claims

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// ProviderConfig is how a provider of OpenID knows us, and what it is asked for. All but the scopes and ACRValues is needed.
type ProviderConfig struct {
	ClientID, ClientSecret string
	Scopes                 []string // besides openid
	ACRValues              []string // how people are asked to authenticate, the best first. Only the claim acr tells how they did
}

// A Provider is an issuer at which people log in with a browser: the authorization code flow of OpenID Connect Core 1.0,
// section 3.1, with the proof keys of RFC 7636. It may be used by several goroutines.
type Provider struct {
	config  ProviderConfig
	checker *Checker
}

// A Visit is one login at a provider: where the browser is sent from there, and what only that login has. Nonce comes back
// inside the token, and Verifier, which nobody sees but the provider, proves that who began redeems.
type Visit struct{ RedirectURI, State, Nonce, Verifier string }

// NewProvider makes a Provider of the issuer at OIDCDiscoveryURL, which must be set. It connects to nothing. Its errors are
// ConfigErrors.
func NewProvider(c Config, p ProviderConfig, keys Keys) (*Provider, error) {
	for _, needed := range []struct{ field, value string }{
		{"OIDCDiscoveryURL", c.OIDCDiscoveryURL}, {"OIDCClientID", p.ClientID}, {"OIDCClientSecret", p.ClientSecret},
	} {
		if needed.value == "" {
			return nil, wrong(needed.field, "'%s' must be set", needed.field)
		}
	}
	checker, err := New(c, keys)
	if err != nil {
		return nil, err
	}
	return &Provider{p, checker}, nil
}

// AuthURL is where the browser is to go. It may block while the provider is asked where that is.
func (p *Provider) AuthURL(ctx context.Context, v Visit) (string, error) {
	about, err := p.checker.remote.describe(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("nonce", v.Nonce), oauth2.S256ChallengeOption(v.Verifier)}
	if len(p.config.ACRValues) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(p.config.ACRValues, " ")))
	}
	return p.client(about, v).AuthCodeURL(v.State, options...), nil
}

func (p *Provider) client(about *description, v Visit) *oauth2.Config {
	scopes := []string{"openid"}
	for _, s := range p.config.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	style := oauth2.AuthStyleInHeader
	if len(about.SecretBy) > 0 && !slices.Contains(about.SecretBy, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, RedirectURL: v.RedirectURI, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: about.Authorization, TokenURL: about.Token, AuthStyle: style},
	}
}

// Redeem returns what the provider asserts of who has come back from there with a code. It blocks while the provider is asked.
func (p *Provider) Redeem(ctx context.Context, v Visit, code string) (*Claims, error) {
	about, err := p.checker.remote.describe(ctx)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(p.checker.config.OIDCDiscoveryCACert)
	if err != nil {
		return nil, err
	}
	here := *c.http
	here.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the secret goes nowhere else
	granted, err := p.client(about, v).Exchange(context.WithValue(ctx, oauth2.HTTPClient, &here), code, oauth2.VerifierOption(v.Verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) { // whose text has the whole answer
		return nil, fmt.Errorf("the provider does not redeem the code: %s", cmp.Or(refused.ErrorDescription, refused.ErrorCode, refused.Response.Status))
	}
	if err != nil {
		return nil, fmt.Errorf("redeem the code: %w", err)
	}
	token, _ := granted.Extra("id_token").(string)
	if token == "" {
		return nil, errors.New("the provider has given no ID token")
	}
	all, err := p.checker.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := p.belongs(all, v); err != nil {
		return nil, err
	}
	if about.UserInfo != "" && p.checker.lacks(all) {
		if err := p.addUserInfo(ctx, c, about.UserInfo, granted.AccessToken, all); err != nil {
			return nil, err
		}
	}
	return p.checker.conclude(all, nil)
}

// belongs tells whether an ID token was made for us, and for this login: OpenID Connect Core 1.0, section 3.1.3.7.
func (p *Provider) belongs(all map[string]any, v Visit) error {
	if !slices.Contains(texts(all["aud"]), p.config.ClientID) {
		return errors.New("invalid audience (aud) claim")
	}
	if party, ok := all["azp"]; ok && party != p.config.ClientID {
		return errors.New("invalid authorized party (azp) claim")
	}
	nonce, _ := all["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(v.Nonce)) != 1 {
		return errors.New("invalid nonce claim")
	}
	return nil
}

// addUserInfo adds the claims that the provider's endpoint of that name has beyond those of the ID token: OpenID Connect
// Core 1.0, section 5.3.
func (p *Provider) addUserInfo(ctx context.Context, c *Client, address, accessToken string, all map[string]any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	var text json.RawMessage
	more := map[string]any{}
	err = c.Do(r, &text)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // as the claims of tokens are read: numbers keep all their digits
		err = d.Decode(&more)
	}
	if err != nil {
		return fmt.Errorf("ask for the user's claims: %w", err)
	}
	if subject, _ := all["sub"].(string); subject == "" || more["sub"] != subject {
		return errors.New("the user's claims are of another subject (sub)")
	}
	for name, claim := range more {
		if all[name] == nil {
			all[name] = claim
		}
	}
	return nil
}
