package acl

import (
	"fmt"
	"slices"
	"strings"

	"lictor/consulsnap"
	"lictor/state"
)

// ImportPolicy takes over a policy as Consul has saved it, rules that cannot be read here included: who has one of them is
// refused everything, rather than given what it would have denied.
func ImportPolicy(tx *state.Tx, f consulsnap.Fields) error {
	p := &Policy{}
	f.Bytes("Hash")
	if err := f.Into(p); err != nil {
		return err
	}
	p.ID = strings.ToLower(p.ID)
	for _, b := range builtin() { // as they are here
		if b.ID == p.ID {
			p.Rules, p.Hash = b.Rules, hashOf(b)
		}
	}
	if err := checkImport("policy", p.ID, p.Name, Policies.First(tx, "name", state.Key(strings.ToLower(p.Name))) != nil); err != nil {
		return err
	}
	Policies.Insert(tx, p)
	tx.Touch(rulesIndex)
	return nil
}

// ImportRole takes over a role as Consul has saved it.
func ImportRole(tx *state.Tx, f consulsnap.Fields) error {
	r := &Role{}
	f.Bytes("Hash")
	if err := f.Into(r); err != nil {
		return err
	}
	r.ID = strings.ToLower(r.ID)
	if err := checkImport("role", r.ID, r.Name, Roles.First(tx, "name", state.Key(strings.ToLower(r.Name))) != nil); err != nil {
		return err
	}
	Roles.Insert(tx, r)
	tx.Touch(rulesIndex)
	return nil
}

// ImportToken takes over a token as Consul has saved it. Tokens with rules of their own, which Consul has given up, are left out.
// Once there is one of all rights, the ACLs have begun.
func ImportToken(tx *state.Tx, f consulsnap.Fields) error {
	if f.String("Rules") != "" {
		return consulsnap.ErrNotSupported
	}
	f.Bytes("Hash")
	if err := f.Times("CreateTime", "ExpirationTime"); err != nil {
		return err
	}
	t := &Token{}
	if err := f.Into(t); err != nil {
		return err
	}
	if err := checkImport("token", t.key(), t.SecretID, Tokens.First(tx, "secret", state.Key(t.SecretID)) != nil); err != nil {
		return err
	}
	Tokens.Insert(tx, t)
	if slices.ContainsFunc(t.Policies, func(l Link) bool { return l.ID == globalManagementID }) && BegunAt(tx) == 0 {
		begun.Insert(tx, &Begun{begunKey, tx.Index()})
	}
	return nil
}

// ImportAuthMethod takes over an auth method as Consul has saved it. Types that nobody can log in by here are left out.
func ImportAuthMethod(tx *state.Tx, f consulsnap.Fields) error {
	m := &AuthMethod{}
	if err := f.Into(m); err != nil {
		return err
	}
	if m.Name == "" || AuthMethods.Get(tx, strings.ToLower(m.Name)) != nil {
		return fmt.Errorf("%w: an auth method without a name of its own: %q", consulsnap.ErrDamaged, m.Name)
	}
	if !slices.Contains([]string{"jwt", "kubernetes", "oidc"}, m.Type) {
		return consulsnap.ErrNotSupported
	}
	AuthMethods.Insert(tx, m)
	return nil
}

// ImportBindingRule takes over a binding rule as Consul has saved it.
func ImportBindingRule(tx *state.Tx, f consulsnap.Fields) error {
	r := &BindingRule{}
	if err := f.Into(r); err != nil {
		return err
	}
	r.ID = strings.ToLower(r.ID)
	if err := checkImport("binding rule", r.ID, r.AuthMethod, BindingRules.Get(tx, r.ID) != nil); err != nil {
		return err
	}
	BindingRules.Insert(tx, r)
	return nil
}

// checkImport refuses rows that no server can have saved: two with one name, or without one. It does not tell names, as
// those of tokens are secrets.
func checkImport(kind, id, name string, taken bool) error {
	if !uuid.MatchString(id) || name == "" || taken {
		return fmt.Errorf("%w: %s %q, without a name of its own", consulsnap.ErrDamaged, kind, id)
	}
	return nil
}
