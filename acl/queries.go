package acl

import (
	"slices"
	"strings"
	"time"

	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o queries_gen.go -tests=false -io=false

// The queries. Answers are nil for what is not there.
var (
	TokenQuery        = rpc.Query[OneToken, *ExpandedToken]{Name: "ACL.TokenRead"}
	SelfQuery         = rpc.Query[Self, *Token]{Name: "ACL.TokenSelf"}
	TokensQuery       = rpc.Query[ListTokens, []*Token]{Name: "ACL.TokenList"}
	PolicyQuery       = rpc.Query[Named, *Policy]{Name: "ACL.PolicyRead"}
	PoliciesQuery     = rpc.Query[ListPolicies, []*PolicyStub]{Name: "ACL.PolicyList"}
	RoleQuery         = rpc.Query[Named, *Role]{Name: "ACL.RoleRead"}
	RolesQuery        = rpc.Query[ListRoles, []*Role]{Name: "ACL.RoleList"}
	AuthMethodQuery   = rpc.Query[Named, *AuthMethod]{Name: "ACL.AuthMethodRead"}
	AuthMethodsQuery  = rpc.Query[ListAuthMethods, []*AuthMethodStub]{Name: "ACL.AuthMethodList"}
	BindingRuleQuery  = rpc.Query[Named, *BindingRule]{Name: "ACL.BindingRuleRead"}
	BindingRulesQuery = rpc.Query[ListBindingRules, []*BindingRule]{Name: "ACL.BindingRuleList"}
)

// OneToken asks for a token, with Expanded for all that it amounts to.
type OneToken struct {
	AccessorID string
	Expanded   bool
}

// Self asks for the asker's own token.
type Self struct{ accessor string }

// By implements view.Personal.
func (Self) By(accessor string) Self { return Self{accessor} }

// Named asks for a row by its ID, or by its name if there is one.
type Named struct{ ID, Name string }

// ListTokens asks for the tokens that hold what is named, or were made by a method.
type ListTokens struct{ Policy, Role, AuthMethod, ServiceName string }

// ListPolicies asks for all policies.
type ListPolicies struct{}

// ListRoles asks for the roles that hold a policy; "" asks for all.
type ListRoles struct{ Policy string }

// ListAuthMethods asks for all auth methods.
type ListAuthMethods struct{}

// ListBindingRules asks for the binding rules of an auth method; "" asks for all.
type ListBindingRules struct{ AuthMethod string }

// An ExpandedToken is a token and, if that was asked for, the policies and roles that it amounts to.
type ExpandedToken struct {
	Token
	Expanded         bool      `json:"-"`
	ExpandedPolicies []*Policy `json:"-" msg:"ExpandedPolicies,allownil"`
	ExpandedRoles    []*Role   `json:"-" msg:"ExpandedRoles,allownil"`
}

// A PolicyStub is a policy without its rules.
type PolicyStub struct {
	ID          string
	Name        string
	Description string
	Datacenters []string `msg:"Datacenters,allownil"`
	Hash        []byte   `msg:"Hash,allownil"`
	CreateIndex uint64
	ModifyIndex uint64
}

// hidden is shown in place of a secret.
const hidden = "<hidden>"

// Token answers TokenQuery. Secrets are shown to who may write ACLs.
func (s *Authority) Token(tx *state.Tx, az Authorizer, q *OneToken) (*ExpandedToken, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	if !uuid.MatchString(q.AccessorID) {
		return nil, 0, errLookup("token")
	}
	tx.Changed(Tokens.Name(), rulesIndex)
	quiet := tx.Unwatched()
	t := tokenOf(quiet, q.AccessorID)
	if t == nil || t.Expired(time.Now()) {
		return nil, 0, errNoToken
	}
	out := &ExpandedToken{Token: *shown(quiet, t), Expanded: q.Expanded}
	if !az.Allow(ACL, "", Write) {
		out.SecretID = hidden
	}
	if q.Expanded {
		out.ExpandedPolicies = policiesOf(quiet, &t.Grants, s.Datacenter)
		for _, l := range out.Roles {
			out.ExpandedRoles = append(out.ExpandedRoles, shownRole(quiet, Roles.Get(quiet, l.ID)))
		}
	}
	return out, max(t.ModifyIndex, quiet.Changed(rulesIndex)), nil
}

// Self answers SelfQuery. Whoever has a token may read it, with its secret.
func (s *Authority) Self(tx *state.Tx, _ Authorizer, q *Self) (*Token, uint64, error) {
	if !s.Enabled {
		return nil, 0, ErrDisabled
	}
	tx.Changed(Tokens.Name(), rulesIndex)
	quiet := tx.Unwatched()
	t := tokenOf(quiet, q.accessor)
	if q.accessor == "" || t == nil || t.Expired(time.Now()) {
		return nil, 0, errNoToken
	}
	return shown(quiet, t), max(t.ModifyIndex, quiet.Changed(rulesIndex)), nil
}

// Tokens answers TokensQuery.
func (s *Authority) Tokens(tx *state.Tx, az Authorizer, q *ListTokens) ([]*Token, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	for _, id := range []string{q.Policy, q.Role} {
		if id != "" && !uuid.MatchString(id) {
			return nil, 0, errLookup("token")
		}
	}
	if q.several() {
		return nil, 0, refuse("can only filter by one of: policy, role, servicename, authmethod")
	}
	index := tx.Changed(Tokens.Name(), rulesIndex)
	tx = tx.Unwatched()
	found, now, open := []*Token{}, time.Now(), az.Allow(ACL, "", Write)
	for t := range Tokens.All(tx) {
		if t.Expired(now) || !q.takes(t) {
			continue
		}
		t = shown(tx, t)
		if !open {
			t.SecretID = hidden
		}
		found = append(found, t)
	}
	return found, index, nil
}

// several tells whether more than one thing is named.
func (q *ListTokens) several() bool {
	n := 0
	for _, name := range []string{q.Policy, q.Role, q.AuthMethod, q.ServiceName} {
		if name != "" {
			n++
		}
	}
	return n > 1
}

// takes tells whether a token is one of those that are asked for.
func (q *ListTokens) takes(t *Token) bool {
	has := func(links []Link, id string) bool {
		return id == "" || slices.ContainsFunc(links, func(l Link) bool { return strings.EqualFold(l.ID, id) })
	}
	serves := q.ServiceName == "" || slices.ContainsFunc(t.ServiceIdentities, func(s ServiceIdentity) bool { return s.ServiceName == q.ServiceName })
	return has(t.Grants.Policies, q.Policy) && has(t.Grants.Roles, q.Role) && serves && (q.AuthMethod == "" || strings.EqualFold(t.AuthMethod, q.AuthMethod))
}

// Policy answers PolicyQuery.
func (s *Authority) Policy(tx *state.Tx, az Authorizer, q *Named) (*Policy, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	if q.Name == "" && !uuid.MatchString(q.ID) {
		return nil, 0, errLookup("policy")
	}
	index := tx.Changed(Policies.Name())
	tx = tx.Unwatched()
	p := Policies.Get(tx, strings.ToLower(q.ID))
	if q.Name != "" {
		p = policyByName(tx, q.Name)
	}
	if p == nil {
		return nil, index, nil
	}
	return p, p.ModifyIndex, nil
}

// Policies answers PoliciesQuery.
func (s *Authority) Policies(tx *state.Tx, az Authorizer, _ *ListPolicies) ([]*PolicyStub, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	index := tx.Changed(Policies.Name())
	found := []*PolicyStub{}
	for p := range Policies.All(tx.Unwatched()) {
		found = append(found, &PolicyStub{p.ID, p.Name, p.Description, p.Datacenters, p.Hash, p.CreateIndex, p.ModifyIndex})
	}
	return found, index, nil
}

// Role answers RoleQuery.
func (s *Authority) Role(tx *state.Tx, az Authorizer, q *Named) (*Role, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	if q.Name == "" && !uuid.MatchString(q.ID) {
		return nil, 0, errLookup("role")
	}
	index := tx.Changed(rulesIndex)
	tx = tx.Unwatched()
	r := Roles.Get(tx, strings.ToLower(q.ID))
	if q.Name != "" {
		r = roleByName(tx, q.Name)
	}
	if r == nil {
		return nil, index, nil
	}
	return shownRole(tx, r), index, nil
}

// Roles answers RolesQuery.
func (s *Authority) Roles(tx *state.Tx, az Authorizer, q *ListRoles) ([]*Role, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	if q.Policy != "" && !uuid.MatchString(q.Policy) {
		return nil, 0, errLookup("role")
	}
	index := tx.Changed(rulesIndex)
	tx = tx.Unwatched()
	found := []*Role{}
	for r := range Roles.All(tx) {
		if q.Policy == "" || slices.ContainsFunc(r.Grants.Policies, func(l Link) bool { return strings.EqualFold(l.ID, q.Policy) }) {
			found = append(found, shownRole(tx, r))
		}
	}
	return found, index, nil
}

// AuthMethod answers AuthMethodQuery.
func (s *Authority) AuthMethod(tx *state.Tx, az Authorizer, q *Named) (*AuthMethod, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	index := tx.Changed(AuthMethods.Name())
	m := AuthMethods.Get(tx.Unwatched(), strings.ToLower(q.Name))
	if m == nil {
		return nil, index, nil
	}
	return m, m.ModifyIndex, nil
}

// AuthMethods answers AuthMethodsQuery.
func (s *Authority) AuthMethods(tx *state.Tx, az Authorizer, _ *ListAuthMethods) ([]*AuthMethodStub, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	index := tx.Changed(AuthMethods.Name())
	found := []*AuthMethodStub{}
	for m := range AuthMethods.All(tx.Unwatched()) {
		found = append(found, &AuthMethodStub{m.Name, m.Type, m.DisplayName, m.Description, durationText(m.MaxTokenTTL), m.TokenLocality, m.CreateIndex, m.ModifyIndex})
	}
	return found, index, nil
}

// An AuthMethodStub is an auth method without its configuration.
type AuthMethodStub struct {
	Name          string
	Type          string
	DisplayName   string `json:",omitempty"`
	Description   string `json:",omitempty"`
	MaxTokenTTL   string `json:",omitempty"`
	TokenLocality string `json:",omitempty"`
	CreateIndex   uint64
	ModifyIndex   uint64
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// BindingRule answers BindingRuleQuery.
func (s *Authority) BindingRule(tx *state.Tx, az Authorizer, q *Named) (*BindingRule, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	if !uuid.MatchString(q.ID) {
		return nil, 0, errLookup("binding rule")
	}
	index := tx.Changed(BindingRules.Name())
	r := BindingRules.Get(tx.Unwatched(), strings.ToLower(q.ID))
	if r == nil {
		return nil, index, nil
	}
	return r, r.ModifyIndex, nil
}

// BindingRules answers BindingRulesQuery.
func (s *Authority) BindingRules(tx *state.Tx, az Authorizer, q *ListBindingRules) ([]*BindingRule, uint64, error) {
	if err := s.require(az, Read); err != nil {
		return nil, 0, err
	}
	index := tx.Changed(BindingRules.Name())
	found := []*BindingRule{}
	for r := range BindingRules.All(tx.Unwatched()) {
		if q.AuthMethod == "" || strings.EqualFold(r.AuthMethod, q.AuthMethod) {
			found = append(found, r)
		}
	}
	return found, index, nil
}
