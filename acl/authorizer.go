package acl

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// A Ruling is the policies of a token, compiled. Tokens with the same policies share it.
type Ruling struct {
	Defaults
	rules *compiled
	id    string
}

// Defaults are what the configuration says of accesses that rules say nothing of.
type Defaults struct {
	AllowAll bool // acl.default_policy
	KeyList  bool // acl.enable_key_list_policy
}

// NewRuling compiles policies, whose order does not matter.
func NewRuling(policies []*Policy, d Defaults) (*Ruling, error) {
	var all []Rule
	for _, p := range policies {
		rules, err := ParseRules(p.Rules)
		if err != nil {
			return nil, err
		}
		all = append(all, rules...)
	}
	return &Ruling{d, compile(all), rulingID(policies, d)}, nil
}

// rulingID tells what is allowed by these rules from what is allowed by others.
func rulingID(policies []*Policy, d Defaults) string {
	texts := make([]string, len(policies))
	for i, p := range policies {
		texts[i] = p.Rules
	}
	slices.Sort(texts)
	h := sha256.New()
	for _, text := range slices.Compact(texts) {
		one := sha256.Sum256([]byte(text))
		h.Write(one[:])
	}
	id := "deny-"
	if d.AllowAll {
		id = "allow-"
	}
	if d.KeyList {
		id += "list-"
	}
	return id + hex.EncodeToString(h.Sum(nil)[:16])
}

// Allow tells whether the rules give an access.
func (r *Ruling) Allow(resource Resource, name string, access Access) bool {
	if access == List && !r.KeyList {
		return true // whoever lists keys sees those that may be read
	}
	return r.rules.allow(resource, name, access, r.AllowAll)
}

// An identity is a token at work: an Authorizer.
type identity struct {
	*Ruling
	accessor string
	about    Bearer
}

// A Bearer is what is said of a token beside what it may do.
type Bearer struct {
	Description string
	CreateTime  Moment
}

// About tells what is said of the token of an Authorizer; nothing, if it has none.
func About(az Authorizer) Bearer {
	if b, ok := az.(interface{ bearer() Bearer }); ok {
		return b.bearer()
	}
	return Bearer{}
}

func (i *identity) bearer() Bearer { return i.about }

// ID is the same for tokens whose policies are the same.
func (i *identity) ID() string { return i.id }

// Accessor is the token's public name; "" is the anonymous token.
func (i *identity) Accessor() string { return i.accessor }

// Ended is closed when the answers of an Authorizer are out of date, so that the token has to be resolved again; nil
// never is.
func Ended(az Authorizer) <-chan struct{} {
	if w, ok := az.(interface{ ended() <-chan struct{} }); ok {
		return w.ended()
	}
	return nil
}

// Recovery is what an agent's recovery token may do: look after this agent, and see the nodes.
func Recovery(node string) Authorizer {
	rules := []Rule{{Resource: Agent, Name: node, Level: LevelWrite}, {Resource: Node, Prefix: true, Level: LevelRead}}
	return &identity{&Ruling{Defaults{}, compile(rules), "recovery-" + node}, "agent-recovery", Bearer{Description: "Recovery token of " + node}}
}
