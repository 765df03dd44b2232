package acl

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"lictor/claims"
	"lictor/replica"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Authority
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// The methods.
var (
	BootstrapMethod         = rpc.Method[Bootstrap, *Token]{Name: "ACL.Bootstrap"}
	SetPolicyMethod         = rpc.Method[PolicyChange, *Policy]{Name: "ACL.PolicySet"}
	DeletePolicyMethod      = rpc.Method[ByID, bool]{Name: "ACL.PolicyDelete"}
	SetRoleMethod           = rpc.Method[RoleChange, *Role]{Name: "ACL.RoleSet"}
	DeleteRoleMethod        = rpc.Method[ByID, bool]{Name: "ACL.RoleDelete"}
	SetTokenMethod          = rpc.Method[TokenChange, *Token]{Name: "ACL.TokenSet"}
	CloneTokenMethod        = rpc.Method[Clone, *Token]{Name: "ACL.TokenClone"}
	DeleteTokenMethod       = rpc.Method[ByID, bool]{Name: "ACL.TokenDelete"}
	SetAuthMethodMethod     = rpc.Method[AuthMethodChange, *AuthMethod]{Name: "ACL.AuthMethodSet"}
	DeleteAuthMethodMethod  = rpc.Method[ByName, bool]{Name: "ACL.AuthMethodDelete"}
	SetBindingRuleMethod    = rpc.Method[BindingRuleChange, *BindingRule]{Name: "ACL.BindingRuleSet"}
	DeleteBindingRuleMethod = rpc.Method[ByID, bool]{Name: "ACL.BindingRuleDelete"}
	LoginMethod             = rpc.Method[Login, *Token]{Name: "ACL.Login"}
	StartOIDCMethod         = rpc.Method[OIDCStart, *OIDCAddress]{Name: "ACL.OIDCAuthURL", Repeatable: true}
	FinishOIDCMethod        = rpc.Method[OIDCCallback, *Token]{Name: "ACL.OIDCCallback"}
	LogoutMethod            = rpc.Method[struct{}, bool]{Name: "ACL.Logout"}
	ExplainMethod           = rpc.Method[Question, *Explanation]{Name: "ACL.Explain", Anywhere: true, Repeatable: true}
	ResolveMethod           = rpc.Method[struct{}, *Resolution]{Name: "ACL.Resolve", Anywhere: true, Repeatable: true}
	ResolveGlobalMethod     = rpc.Method[Abroad, *Resolution]{Name: "ACL.ResolveGlobal", Anywhere: true, Repeatable: true}
	ReplicationMethod       = rpc.Method[struct{}, *Replication]{Name: "ACL.ReplicationStatus", Repeatable: true}
)

// Abroad names the datacenter in which the answer is to hold.
type Abroad struct{ Datacenter string }

// ByID names a row.
type ByID struct{ ID string }

// Bootstrap asks for the first token of all rights. Secret is what it is to be; "" lets the server choose.
type Bootstrap struct{ Secret string }

// A PolicyChange makes a policy, or changes the one with its ID.
type PolicyChange struct{ Policy Policy }

// A RoleChange makes a role, or changes the one with its ID.
type RoleChange struct{ Role Role }

// A TokenChange makes a token, or changes the one with its accessor.
type TokenChange struct {
	Token  Token
	Create bool
}

// A Clone makes a token with the grants of another.
type Clone struct{ AccessorID, Description string }

// ByName names a row.
type ByName struct{ Name string }

// An AuthMethodChange makes an auth method, or changes the one with its name.
type AuthMethodChange struct{ Method AuthMethod }

// A BindingRuleChange makes a binding rule, or changes the one with its ID.
type BindingRuleChange struct{ Rule BindingRule }

// A Login asks for a token for who can prove something to an auth method.
type Login struct {
	AuthMethod  string
	BearerToken string
	Meta        map[string]string `msg:"Meta,allownil"`
}

// An Authority answers the package's methods and queries on a server.
type Authority struct {
	Log        state.Log
	Datacenter string
	Enabled    bool
	Defaults   Defaults
	// Primary is the datacenter that owns policies, roles and all tokens but the local ones; "" is this one. TokensCopied tells
	// that those tokens are copied, as policies and roles are.
	Primary      string
	TokensCopied bool
	// Copying tells how the copying goes on this server, of Copied in its order; nil where nothing is copied.
	Copying func() replica.Status
	// ResetIndex is what an operator has written to allow one more bootstrap; 0 is nothing. Forget removes that.
	ResetIndex func() uint64
	Forget     func()
	// NoBootstrap refuses to bootstrap at all.
	NoBootstrap bool
	// Keys are the keys of issuers that auth methods fetch.
	Keys claims.Keys
}

// require refuses who has not the access to ACLs, once it is known that there are any.
func (s *Authority) require(az Authorizer, access Access) error {
	if !s.Enabled {
		return ErrDisabled
	}
	return Require(az, ACL, "", access)
}

// read looks at the newest state.
func (s *Authority) read(ctx context.Context) (*state.Tx, error) {
	if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return nil, err
	}
	return s.Log.DB().Read().Unwatched(), nil
}

// apply makes a write and gives its answer as what it is.
func apply[R any](ctx context.Context, s *Authority, cmd state.Command) (R, error) {
	var none R
	answer, err := s.Log.Apply(ctx, cmd)
	if err != nil {
		return none, err
	}
	return answer.(R), nil
}

// Begin makes what is there from the beginning. Secret is the token of all rights that the configuration asks for; "" is
// none, as it is in other datacenters than the primary one. The leader calls it.
func (s *Authority) Begin(ctx context.Context, secret string) error {
	cmd := newBegin()
	if s.Primary != "" {
		secret = ""
	}
	tx := s.Log.DB().Read().Unwatched()
	there := Tokens.Get(tx, AnonymousID) != nil
	for _, p := range cmd.Policies {
		old := Policies.Get(tx, p.ID)
		there = there && old != nil && string(old.Hash) == string(p.Hash)
	}
	if secret != "" {
		if Tokens.First(tx, "secret", state.Key(secret)) == nil || BegunAt(tx) == 0 {
			there = false
			cmd.Token = managementToken(secret, initialText)
		}
	}
	if there {
		return nil
	}
	_, err := s.Log.Apply(ctx, cmd)
	return err
}

func newBegin() *Begin {
	b := &Begin{Policies: builtin(), Anonymous: &Token{AccessorID: AnonymousID, SecretID: anonymousSecret, Description: "Anonymous Token", CreateTime: MomentOf(time.Now())}}
	for _, p := range b.Policies {
		p.Hash = hashOf(p)
	}
	b.Anonymous.seal()
	return b
}

// seal makes the token's hash.
func (t *Token) seal() {
	t.Hash = hashOf(struct {
		Description string
		Grants
	}{t.Description, t.Grants})
}

// seal makes the role's hash.
func (r *Role) seal() {
	r.Hash = hashOf(struct {
		Name, Description string
		Grants
	}{r.Name, r.Description, r.Grants})
}

// managementToken makes a token of all rights.
func managementToken(secret, description string) *Token {
	t := &Token{AccessorID: newID(), SecretID: secret, Description: description, CreateTime: MomentOf(time.Now()),
		Grants: Grants{Policies: []Link{{ID: globalManagementID, Name: globalManagement}}}}
	t.seal()
	return t
}

// newID makes a random identifier in the form of a UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Bootstrap makes the first token of all rights: once, or once more after an operator has allowed that.
func (s *Authority) Bootstrap(ctx context.Context, _ Authorizer, b *Bootstrap) (*Token, error) {
	if !s.Enabled {
		return nil, ErrDisabled
	}
	if s.Primary != "" {
		return nil, rpc.Errorf(rpc.PermissionDenied, "Permission denied: ACLs are bootstrapped in the primary datacenter %q", s.Primary)
	}
	if s.NoBootstrap {
		return nil, rpc.Errorf(rpc.PermissionDenied, "Permission denied: acl.msp_disable_bootstrap is set")
	}
	cmd := newBegin()
	cmd.Once = true
	if s.ResetIndex != nil {
		cmd.Reset = s.ResetIndex()
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if at := BegunAt(tx); at > 0 && cmd.Reset != at { // nothing is written for it
		return nil, errBegun(at)
	}
	secret := newID()
	if b.Secret != "" {
		if !uuid.MatchString(b.Secret) {
			return nil, rpc.Errorf(rpc.Invalid, "invalid BootstrapSecret: it must be a UUID")
		}
		secret = b.Secret
	}
	cmd.Token = managementToken(secret, bootstrapText)
	t, err := apply[*Token](ctx, s, cmd)
	if err == nil && t == nil {
		err = rpc.Errorf(rpc.Invalid, "invalid BootstrapSecret: the secret is already in use")
	}
	if err != nil {
		return nil, err
	}
	if cmd.Reset != 0 && s.Forget != nil {
		s.Forget()
	}
	return shown(s.Log.DB().Read().Unwatched(), t), nil
}

// shown is a token as clients see it: links have the names of the moment, and those that lead nowhere are left out.
func shown(tx *state.Tx, t *Token) *Token {
	c := *t
	c.Grants = shownGrants(tx, &t.Grants)
	return &c
}

func shownGrants(tx *state.Tx, g *Grants) Grants {
	c := *g
	c.Policies, c.Roles = nil, nil
	for _, l := range g.Policies {
		if p := Policies.Get(tx, l.ID); p != nil {
			c.Policies = append(c.Policies, Link{p.ID, p.Name})
		}
	}
	for _, l := range g.Roles {
		if r := Roles.Get(tx, l.ID); r != nil {
			c.Roles = append(c.Roles, Link{r.ID, r.Name})
		}
	}
	return c
}

// SetPolicy makes or changes a policy.
func (s *Authority) SetPolicy(ctx context.Context, az Authorizer, c *PolicyChange) (*Policy, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	p := c.Policy
	if err := checkPolicyName(p.Name); err != nil {
		return nil, err
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if p.ID == "" {
		p.ID = newID()
	} else if p.ID, err = s.changedPolicy(tx, &p); err != nil {
		return nil, err
	}
	if _, err := ParseRules(p.Rules); err != nil {
		return nil, refuse("%s", err)
	}
	if len(p.Datacenters) == 0 {
		p.Datacenters = nil
	}
	p.Hash = hashOf([]any{p.Name, p.Description, p.Rules, p.Datacenters})
	return apply[*Policy](ctx, s, &SetPolicy{p})
}

// changedPolicy looks at a change of a policy, and gives its ID as it is stored.
func (s *Authority) changedPolicy(tx *state.Tx, p *Policy) (string, error) {
	if !uuid.MatchString(p.ID) {
		return "", refuse("Invalid Policy: invalid UUID %q for ID", p.ID)
	}
	old := Policies.Get(tx, strings.ToLower(p.ID))
	if old == nil {
		return "", refuse("cannot find policy %s", p.ID)
	}
	for _, b := range builtin() {
		if b.ID == old.ID && p.Rules != old.Rules {
			return "", refuse("Changing the Rules for the builtin %s policy is not permitted", b.Name)
		}
		if b.ID == old.ID && (p.Name != old.Name || len(p.Datacenters) > 0) {
			return "", refuse("Changing the name or the Datacenters of the builtin %s policy is not permitted", b.Name)
		}
	}
	return old.ID, nil
}

func checkPolicyName(name string) error {
	switch {
	case name == "":
		return refuse("Invalid Policy: no Name is set")
	case len(name) >= 128:
		return refuse("Invalid Policy: invalid Name. Length must be greater than 0 and less than 128")
	case !policyName.MatchString(name):
		return refuse("Invalid Policy: invalid Name. Only alphanumeric characters, a single '/', '-' and '_' are allowed")
	}
	return nil
}

// DeletePolicy removes a policy, and answers whether it was there.
func (s *Authority) DeletePolicy(ctx context.Context, az Authorizer, q *ByID) (bool, error) {
	if err := s.require(az, Write); err != nil {
		return false, err
	}
	if !uuid.MatchString(q.ID) {
		return false, errLookup("policy")
	}
	for _, b := range builtin() {
		if b.ID == strings.ToLower(q.ID) {
			return false, refuse("Delete operation not permitted on the builtin %s policy", b.Name)
		}
	}
	return apply[bool](ctx, s, &DeletePolicy{strings.ToLower(q.ID)})
}

// SetRole makes or changes a role.
func (s *Authority) SetRole(ctx context.Context, az Authorizer, c *RoleChange) (*Role, error) {
	if err := s.require(az, Write); err != nil {
		return nil, err
	}
	r := c.Role
	switch {
	case r.Name == "":
		return nil, refuse("Invalid Role: no Name is set")
	case !roleName.MatchString(r.Name):
		return nil, refuse("Invalid Role: invalid Name. Only alphanumeric characters, '-' and '_' are allowed")
	case len(r.Roles) > 0:
		return nil, refuse("Invalid Role: a role cannot hold other roles")
	}
	tx, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if r.ID == "" {
		r.ID = newID()
	} else {
		if !uuid.MatchString(r.ID) {
			return nil, errLookup("role")
		}
		old := Roles.Get(tx, strings.ToLower(r.ID))
		if old == nil {
			return nil, refuse("cannot find role %s", r.ID)
		}
		r.ID = old.ID
	}
	if err := settle(tx, &r.Grants, "role"); err != nil {
		return nil, err
	}
	r.seal()
	made, err := apply[*Role](ctx, s, &SetRole{r})
	if err != nil {
		return nil, err
	}
	return shownRole(s.Log.DB().Read().Unwatched(), made), nil
}

func shownRole(tx *state.Tx, r *Role) *Role {
	c := *r
	c.Grants = shownGrants(tx, &r.Grants)
	return &c
}

// DeleteRole removes a role, and answers whether it was there.
func (s *Authority) DeleteRole(ctx context.Context, az Authorizer, q *ByID) (bool, error) {
	if err := s.require(az, Write); err != nil {
		return false, err
	}
	if !uuid.MatchString(q.ID) {
		return false, errLookup("role")
	}
	return apply[bool](ctx, s, &DeleteRole{strings.ToLower(q.ID)})
}
