package acl

import (
	"strings"

	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// rulesIndex moves when policies, roles or what they hold change: what tokens may do has to be looked up again.
const rulesIndex = "acl-rules"

// A Begin makes what is there from the beginning: the built-in policies and the anonymous token. With Token it also
// gives the cluster its first token of all rights.
type Begin struct {
	Policies  []*Policy
	Anonymous *Token
	Token     *Token `msg:"Token,allownil"`
	// Once refuses if there has been a first token already, unless the index of that is Reset.
	Once  bool
	Reset uint64
}

// Apply answers the first token, if there was one to make.
func (b *Begin) Apply(tx *state.Tx) (any, error) {
	if at := BegunAt(tx); b.Once && at > 0 && (b.Reset == 0 || b.Reset != at) {
		return nil, errBegun(at)
	}
	for _, p := range b.Policies {
		if old := Policies.Get(tx, p.ID); old == nil || string(old.Hash) != string(p.Hash) {
			putPolicy(tx, *p)
		}
	}
	if Tokens.Get(tx, AnonymousID) == nil {
		putToken(tx, *b.Anonymous)
	}
	if b.Token == nil {
		return (*Token)(nil), nil
	}
	if Tokens.First(tx, "secret", state.Key(b.Token.SecretID)) != nil { // as the last start made it
		if BegunAt(tx) == 0 {
			begun.Insert(tx, &Begun{begunKey, tx.Index()})
		}
		return (*Token)(nil), nil
	}
	begun.Insert(tx, &Begun{begunKey, tx.Index()})
	return putToken(tx, *b.Token), nil
}

// BegunAt is the index at which the ACLs had their first token of all rights; 0 if they have had none.
func BegunAt(tx *state.Tx) uint64 {
	if b := begun.Get(tx, begunKey); b != nil {
		return b.Index
	}
	return 0
}

// A SetPolicy makes or changes a policy.
type SetPolicy struct{ Policy Policy }

// Apply answers the policy. It fails if another one has its name.
func (s *SetPolicy) Apply(tx *state.Tx) (any, error) {
	if other := policyByName(tx, s.Policy.Name); other != nil && other.ID != s.Policy.ID {
		return nil, refuse("Invalid Policy: A Policy with Name %q already exists", s.Policy.Name)
	}
	return putPolicy(tx, s.Policy), nil
}

func putPolicy(tx *state.Tx, p Policy) *Policy {
	p.CreateIndex, p.ModifyIndex = tx.Index(), tx.Index()
	if old := Policies.Get(tx, p.ID); old != nil {
		p.CreateIndex = old.CreateIndex
	}
	Policies.Insert(tx, &p)
	tx.Touch(rulesIndex)
	return &p
}

func policyByName(tx *state.Tx, name string) *Policy {
	return Policies.First(tx, "name", state.Key(strings.ToLower(name)))
}

// A DeletePolicy removes a policy. Those who hold it lose it.
type DeletePolicy struct{ ID string }

// Apply answers whether it was there.
func (d *DeletePolicy) Apply(tx *state.Tx) (any, error) {
	old := Policies.Get(tx, d.ID)
	if old == nil {
		return false, nil
	}
	Policies.Delete(tx, old)
	tx.Touch(rulesIndex)
	return true, nil
}

// A SetRole makes or changes a role.
type SetRole struct{ Role Role }

// Apply answers the role. It fails if another one has its name.
func (s *SetRole) Apply(tx *state.Tx) (any, error) {
	if other := roleByName(tx, s.Role.Name); other != nil && other.ID != s.Role.ID {
		return nil, refuse("Invalid Role: A Role with Name %q already exists", s.Role.Name)
	}
	return putRole(tx, s.Role), nil
}

func putRole(tx *state.Tx, r Role) *Role {
	r.CreateIndex, r.ModifyIndex = tx.Index(), tx.Index()
	if old := Roles.Get(tx, r.ID); old != nil {
		r.CreateIndex = old.CreateIndex
	}
	Roles.Insert(tx, &r)
	tx.Touch(rulesIndex)
	return &r
}

func roleByName(tx *state.Tx, name string) *Role {
	return Roles.First(tx, "name", state.Key(strings.ToLower(name)))
}

// A DeleteRole removes a role. Those who hold it lose it.
type DeleteRole struct{ ID string }

// Apply answers whether it was there.
func (d *DeleteRole) Apply(tx *state.Tx) (any, error) {
	old := Roles.Get(tx, d.ID)
	if old == nil {
		return false, nil
	}
	Roles.Delete(tx, old)
	tx.Touch(rulesIndex)
	return true, nil
}

// A SetToken makes a token, or changes one.
type SetToken struct {
	Token  Token
	Create bool
	Login  bool // it is made at a login, by an auth method that has to be there still
}

// Apply answers the token. It fails if a new one's accessor or secret is taken, or one to change is gone.
func (s *SetToken) Apply(tx *state.Tx) (any, error) {
	old := tokenOf(tx, s.Token.AccessorID)
	switch {
	case s.Create && old != nil:
		return nil, refuse("Invalid Token: AccessorID is already in use")
	case s.Create && Tokens.First(tx, "secret", state.Key(s.Token.SecretID)) != nil:
		return nil, refuse("Invalid Token: SecretID is already in use")
	case !s.Create && (old == nil || old.SecretID != s.Token.SecretID):
		return nil, refuse("Cannot find token %q", s.Token.AccessorID)
	case s.Login && AuthMethods.Get(tx, strings.ToLower(s.Token.AuthMethod)) == nil:
		return nil, errNoMethod(s.Token.AuthMethod)
	}
	return putToken(tx, s.Token), nil
}

// key is what a token is found by: its accessor, whose case does not count.
func (t *Token) key() string { return strings.ToLower(t.AccessorID) }

// tokenOf finds a token by its accessor, in any case.
func tokenOf(tx *state.Tx, accessor string) *Token { return Tokens.Get(tx, strings.ToLower(accessor)) }

func putToken(tx *state.Tx, t Token) *Token {
	t.CreateIndex, t.ModifyIndex = tx.Index(), tx.Index()
	if old := tokenOf(tx, t.AccessorID); old != nil {
		t.CreateIndex = old.CreateIndex
	}
	Tokens.Insert(tx, &t)
	return &t
}

// A DeleteTokens removes tokens.
type DeleteTokens struct{ AccessorIDs []string }

// Apply answers how many of them were there.
func (d *DeleteTokens) Apply(tx *state.Tx) (any, error) {
	n := 0
	for _, id := range d.AccessorIDs {
		if old := tokenOf(tx, id); old != nil {
			Tokens.Delete(tx, old)
			n++
		}
	}
	return n, nil
}

// A SetAuthMethod makes or changes an auth method.
type SetAuthMethod struct{ Method AuthMethod }

// Apply answers the method. It fails if that would change its type.
func (s *SetAuthMethod) Apply(tx *state.Tx) (any, error) {
	m := s.Method
	m.CreateIndex, m.ModifyIndex = tx.Index(), tx.Index()
	if old := AuthMethods.Get(tx, strings.ToLower(m.Name)); old != nil {
		if old.Type != m.Type {
			return nil, errMethodType
		}
		m.CreateIndex = old.CreateIndex
	}
	AuthMethods.Insert(tx, &m)
	return &m, nil
}

// A DeleteAuthMethod removes an auth method, its binding rules and the tokens that it has made.
type DeleteAuthMethod struct{ Name string }

// Apply answers whether it was there.
func (d *DeleteAuthMethod) Apply(tx *state.Tx) (any, error) {
	return deleteMethod(tx, d.Name, func(*Token) bool { return true }), nil
}

// A SetBindingRule makes or changes a binding rule.
type SetBindingRule struct{ Rule BindingRule }

// Apply answers the rule. It fails if there is no such auth method.
func (s *SetBindingRule) Apply(tx *state.Tx) (any, error) {
	r := s.Rule
	if AuthMethods.Get(tx, strings.ToLower(r.AuthMethod)) == nil {
		return nil, refuse("cannot find auth method with name %q", r.AuthMethod)
	}
	r.CreateIndex, r.ModifyIndex = tx.Index(), tx.Index()
	if old := BindingRules.Get(tx, r.ID); old != nil {
		r.CreateIndex = old.CreateIndex
	}
	BindingRules.Insert(tx, &r)
	return &r, nil
}

// A DeleteBindingRule removes a binding rule.
type DeleteBindingRule struct{ ID string }

// Apply answers whether it was there.
func (d *DeleteBindingRule) Apply(tx *state.Tx) (any, error) {
	old := BindingRules.Get(tx, d.ID)
	if old == nil {
		return false, nil
	}
	BindingRules.Delete(tx, old)
	return true, nil
}

// refuse is an error that clients see with the status 500, as from Consul.
func refuse(format string, args ...any) error { return rpc.Errorf(rpc.Internal, format, args...) }
