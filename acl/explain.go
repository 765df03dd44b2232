package acl

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lictor/rpc"
)

//msgp:ignore asked
//go:generate go tool msgp -o explain_gen.go -tests=false -io=false

// A Question is whether a token has an access, and why.
type Question struct {
	AccessorID string // "" is the caller's own
	Resource   string
	Name       string
	Access     string
}

// asked is what a question is about.
type asked struct {
	Resource Resource
	Name     string
	Access   Access
}

// An Explanation answers a Question.
type Explanation struct {
	AccessorID string
	Allowed    bool
	// Deciding is the rule that decides, in the words of rules; "" if none does and the default policy holds.
	Deciding string
	Policy   string // the name of the policy that has it
	// Others are further rules about this name, that the deciding one has put aside.
	Others  []Opinion `msg:"Others,allownil"`
	Default string    // what holds where no rule speaks
	// Needed are rules that would give the access; "" if there is nothing to add.
	Needed string
}

// An Opinion is a rule of a policy.
type Opinion struct{ Policy, Rule string }

// Explain tells which rule of which policy decides an access. Who may not read ACLs may ask about its own token.
func (s *Authority) Explain(_ context.Context, az Authorizer, question *Question) (*Explanation, error) {
	q := &asked{Resource(question.Resource), question.Name, Access(question.Access)}
	if !s.Enabled {
		return nil, ErrDisabled
	}
	if !Known(q.Resource, q.Access) {
		return nil, rpc.Errorf(rpc.Invalid, "there is no access %q to a resource %q: resources are acl, agent, event, intention, key, keyring, mesh, node, operator, "+
			"peering, query, service and session; accesses are read and write, and list for keys", q.Access, q.Resource)
	}
	if err := Require(az, ACL, "", Read); err != nil {
		return nil, err
	}
	id := question.AccessorID
	if id == "" {
		id = az.Accessor()
	}
	if id == "" {
		id = AnonymousID
	}
	if !uuid.MatchString(id) {
		return nil, errLookup("token")
	}
	tx := s.Log.DB().Read().Unwatched()
	t := tokenOf(tx, id)
	if t == nil || t.Expired(time.Now()) {
		return nil, errNoToken
	}
	policies := policiesOf(tx, &t.Grants, s.Datacenter)
	ruling, err := NewRuling(policies, s.Defaults)
	if err != nil {
		return nil, err
	}
	e := &Explanation{AccessorID: t.AccessorID, Allowed: ruling.Allow(q.Resource, q.Name, q.Access), Default: "deny"}
	if s.Defaults.AllowAll {
		e.Default = "allow"
	}
	if err := e.search(policies, q); err != nil {
		return nil, err
	}
	if !e.Allowed {
		e.Needed = needed(q)
	}
	return e, nil
}

// search finds the rules about a name, and the one among them that decides.
func (e *Explanation) search(policies []*Policy, q *asked) error {
	var best *Rule
	for _, p := range policies {
		rules, err := ParseRules(p.Rules)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if !r.about(q) {
				continue
			}
			o := Opinion{p.Name, r.String()}
			if best == nil || r.beats(best, q) {
				if best != nil {
					e.Others = append(e.Others, Opinion{e.Policy, e.Deciding})
				}
				rule := r
				best, e.Policy, e.Deciding = &rule, o.Policy, o.Rule
			} else {
				e.Others = append(e.Others, o)
			}
		}
	}
	return nil
}

// about tells whether a rule speaks of what is asked about.
func (r *Rule) about(q *asked) bool {
	of := r.Resource == q.Resource || r.Resource == Operator && (q.Resource == Mesh || q.Resource == Peering)
	switch {
	case !of:
		return false
	case unnamed[r.Resource]:
		return true
	case q.Access == WritePrefix && strings.HasPrefix(r.Name, q.Name):
		return true
	case r.Prefix:
		return strings.HasPrefix(q.Name, r.Name)
	}
	return r.Name == q.Name
}

// beats tells whether a rule counts more than another about the same thing.
func (r *Rule) beats(o *Rule, q *asked) bool {
	if q.Access == WritePrefix { // one that refuses is enough
		return !r.Level.gives(Write) && o.Level.gives(Write)
	}
	own, others := r.Resource == q.Resource, o.Resource == q.Resource
	switch {
	case own != others:
		return own
	case r.Prefix != o.Prefix:
		return !r.Prefix
	case len(r.Name) != len(o.Name):
		return len(r.Name) > len(o.Name)
	}
	return r.Level > o.Level
}

// String is the rule as it is written.
func (r Rule) String() string {
	if unnamed[r.Resource] {
		return fmt.Sprintf("%s = %q", r.Resource, r.Level)
	}
	kind, field := string(r.Resource), "policy"
	if r.Resource == Intention {
		kind, field = string(Service), "intentions"
	}
	if r.Prefix {
		kind += "_prefix"
	}
	return fmt.Sprintf("%s %q { %s = %q }", kind, r.Name, field, r.Level)
}

// needed are rules that would give an access.
func needed(q *asked) string {
	level := Level(LevelRead)
	switch q.Access {
	case Write, WritePrefix:
		level = LevelWrite
	case List:
		level = LevelList
	}
	if q.Resource == Intention {
		return fmt.Sprintf("service %q {\n  policy = \"read\"\n  intentions = %q\n}", q.Name, level)
	}
	return Rule{q.Resource, q.Access == WritePrefix, q.Name, level}.String()
}
