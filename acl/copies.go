package acl

import (
	"slices"
	"strings"
	"time"

	"lictor/replica"
	"lictor/state"
)

//go:generate go tool msgp -o copies_gen.go -tests=false -io=false

// Copied are the rows of the primary datacenter that others copy: policies, roles that hold them, and with tokens those that
// are not local and hold both. The built-in policies are made by each datacenter.
func (s *Authority) Copied(tokens bool) []replica.Kind[Authorizer] {
	readers := func(az Authorizer) error { return s.require(az, Read) }
	kinds := []replica.Kind[Authorizer]{
		&replica.Table[Authorizer, Policy]{Name: "acl-policies", Rows: Policies, Key: func(p *Policy) string { return p.ID },
			Takes:   func(p *Policy) bool { return !isBuiltin(p.ID) },
			Bare:    func(p Policy) Policy { p.CreateIndex, p.ModifyIndex = 0, 0; return p },
			May:     func(az Authorizer, _ *Policy, _ bool) error { return readers(az) },
			Command: func(rows []*Policy, gone []string) (state.Command, error) { return &CopyPolicies{rows, gone}, nil }},
		&replica.Table[Authorizer, Role]{Name: "acl-roles", Rows: Roles, Key: func(r *Role) string { return r.ID },
			Bare:    func(r Role) Role { r.CreateIndex, r.ModifyIndex = 0, 0; return r },
			May:     func(az Authorizer, _ *Role, _ bool) error { return readers(az) },
			Command: func(rows []*Role, gone []string) (state.Command, error) { return &CopyRoles{rows, gone}, nil }},
	}
	if !tokens {
		return kinds
	}
	return append(kinds, &replica.Table[Authorizer, Token]{Name: "acl-tokens", Rows: Tokens, Key: (*Token).key,
		Takes: func(t *Token) bool { return !t.Local },
		Over:  func(t *Token) bool { return t.Expired(time.Now()) }, // each datacenter removes those that have expired
		Bare:  func(t Token) Token { t.CreateIndex, t.ModifyIndex = 0, 0; return t },
		May: func(az Authorizer, _ *Token, whole bool) error {
			if whole { // its secret is part of it
				return s.require(az, Write)
			}
			return readers(az)
		},
		Command: copyTokens})
}

func isBuiltin(policy string) bool {
	return policy == globalManagementID || policy == globalReadOnlyID
}

// copyTokens makes what writes tokens. One whose secret is withheld is refused: what stands for it would be known to everybody.
func copyTokens(rows []*Token, gone []string) (state.Command, error) {
	for _, t := range rows {
		if t.SecretID == "" || t.SecretID == hidden {
			return nil, refuse("the primary datacenter withholds the secret of token %q: acl.tokens.replication needs acl:write", t.AccessorID)
		}
	}
	return &CopyTokens{rows, gone}, nil
}

// A CopyPolicies makes policies what they are in the primary datacenter, and removes those that are gone there.
type CopyPolicies struct {
	Set  []*Policy `msg:"Set,allownil"`
	Gone []string  `msg:"Gone,allownil"`
}

// Apply answers nothing. A policy that has a name which another one had before takes its place.
func (c *CopyPolicies) Apply(tx *state.Tx) (any, error) {
	for _, id := range c.Gone {
		if old := Policies.Get(tx, id); old != nil && !isBuiltin(id) {
			Policies.Delete(tx, old)
		}
	}
	for _, p := range c.Set {
		if other := policyByName(tx, p.Name); other != nil && other.ID != p.ID {
			Policies.Delete(tx, other)
		}
		putPolicy(tx, *p)
	}
	tx.Touch(rulesIndex)
	return nil, nil
}

// A CopyRoles makes roles what they are in the primary datacenter, and removes those that are gone there.
type CopyRoles struct {
	Set  []*Role  `msg:"Set,allownil"`
	Gone []string `msg:"Gone,allownil"`
}

// Apply answers nothing. A role that has a name which another one had before takes its place.
func (c *CopyRoles) Apply(tx *state.Tx) (any, error) {
	for _, id := range c.Gone {
		if old := Roles.Get(tx, id); old != nil {
			Roles.Delete(tx, old)
		}
	}
	for _, r := range c.Set {
		if other := roleByName(tx, r.Name); other != nil && other.ID != r.ID {
			Roles.Delete(tx, other)
		}
		putRole(tx, *r)
	}
	tx.Touch(rulesIndex)
	return nil, nil
}

// A CopyTokens makes tokens what they are in the primary datacenter, and removes those that are gone there. Local tokens stay
// what they are.
type CopyTokens struct {
	Set  []*Token `msg:"Set,allownil"`
	Gone []string `msg:"Gone,allownil"`
}

// Apply answers the accessors of tokens that it has not written, because a local one has the accessor or the secret.
func (c *CopyTokens) Apply(tx *state.Tx) (any, error) {
	for _, id := range c.Gone {
		if old := tokenOf(tx, id); old != nil && !old.Local {
			Tokens.Delete(tx, old)
		}
	}
	var refused []string
	for _, t := range c.Set {
		old, other := tokenOf(tx, t.AccessorID), Tokens.First(tx, "secret", state.Key(t.SecretID))
		switch {
		case old != nil && old.Local || other != nil && other.Local || t.Local:
			refused = append(refused, t.AccessorID)
			continue
		case other != nil && other.key() != t.key():
			Tokens.Delete(tx, other)
		}
		putToken(tx, *t)
	}
	return refused, nil
}

// A DeleteLocalMethod removes an auth method of a datacenter that copies tokens, its binding rules and the tokens that it has
// made there. Tokens of a method of this name in the primary datacenter stay.
type DeleteLocalMethod struct{ Name string }

// Apply answers whether it was there.
func (d *DeleteLocalMethod) Apply(tx *state.Tx) (any, error) {
	return deleteMethod(tx, d.Name, func(t *Token) bool { return t.Local }), nil
}

// deleteMethod removes an auth method with those of its tokens that are ours, and tells whether it was there.
func deleteMethod(tx *state.Tx, name string, ours func(*Token) bool) bool {
	old := AuthMethods.Get(tx, strings.ToLower(name))
	if old == nil {
		return false
	}
	AuthMethods.Delete(tx, old)
	for r := range BindingRules.Each(tx, "method", state.Key(strings.ToLower(old.Name))) {
		BindingRules.Delete(tx, r)
	}
	for _, t := range slices.Collect(Tokens.Each(tx, "method", state.Key(old.Name))) {
		if ours(t) {
			Tokens.Delete(tx, t)
		}
	}
	return true
}
