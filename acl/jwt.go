package acl

import (
	"context"
	"errors"
	"fmt"

	"lictor/claims"
)

// jwtConfig is the configuration of an auth method of type jwt.
type jwtConfig struct {
	claims.Config
	// Those of the type oidc, which clients send empty for the type jwt. Tokens and claims are never logged, verbose or not.
	OIDCClientID, OIDCClientSecret                 string
	OIDCScopes, OIDCACRValues, AllowedRedirectURIs []string
	VerboseOIDCLogging                             bool
}

// A jwtVerifier checks signed tokens.
type jwtVerifier struct {
	checker *claims.Checker
	mapped  map[string]string // claims with one value
}

func newJWT(text Document, keys claims.Keys) (verifier, error) {
	var c jwtConfig
	if err := readConfig(text, &c); err != nil {
		return nil, err
	}
	if c.OIDCClientID != "" || c.OIDCClientSecret != "" || len(c.OIDCScopes)+len(c.OIDCACRValues)+len(c.AllowedRedirectURIs) > 0 {
		return nil, refuse(`Invalid Auth Method: 'OIDCClientID', 'OIDCClientSecret', 'OIDCScopes', 'OIDCACRValues' and 'AllowedRedirectURIs' must not be set for type "jwt"`)
	}
	checker, err := claims.New(c.Config, keys)
	if errors.Is(err, claims.ErrSources) {
		return nil, refuse(`Invalid Auth Method: %s for type "jwt"`, err)
	}
	if err != nil {
		return nil, refuse("Invalid Auth Method: %s", err)
	}
	return &jwtVerifier{checker, c.ClaimMappings}, nil
}

// names lists what binding rules may name.
func (v *jwtVerifier) names() []string { return valueNames(v.mapped) }

func valueNames(mapped map[string]string) []string {
	var all []string
	for _, name := range mapped {
		all = append(all, "value."+name)
	}
	return all
}

func (v *jwtVerifier) verify(ctx context.Context, bearer string) (*proof, error) {
	proven, err := v.checker.Check(ctx, bearer, nil)
	if err != nil {
		return nil, fmt.Errorf("error validating token: %w", err)
	}
	return proofOf(proven), nil
}

func proofOf(proven *claims.Claims) *proof {
	values := map[string]string{}
	for name, value := range proven.Value {
		values["value."+name] = value
	}
	return &proof{values, keeper(*proven)}
}
