package acl

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func ruling(t testing.TB, d Defaults, texts ...string) *Ruling {
	t.Helper()
	var policies []*Policy
	for _, text := range texts {
		policies = append(policies, &Policy{Name: "p", Rules: text})
	}
	r, err := NewRuling(policies, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Exact rules count more than prefixes, longer prefixes more than shorter ones, and deny more than anything for the same name.
func TestWhichRuleDecides(t *testing.T) {
	const app = `key_prefix "app/" { policy = "write" } key "app/secret" { policy = "deny" } key_prefix "app/ro/" { policy = "read" } key_prefix "app/ls/" { policy = "list" }`
	for _, c := range []struct {
		rules    []string
		resource Resource
		name     string
		access   Access
		want     bool
	}{
		{[]string{app}, Key, "app/a", Write, true},
		{[]string{app}, Key, "app/secret", Read, false},
		{[]string{app}, Key, "app/secret2", Write, true},
		{[]string{app}, Key, "app/ro/x", Read, true},
		{[]string{app}, Key, "app/ro/x", Write, false},
		{[]string{app}, Key, "app", Read, false},
		{[]string{app}, Key, "app/", WritePrefix, false},
		{[]string{app}, Key, "app/x/", WritePrefix, true},
		{[]string{app}, Key, "app/ro/", WritePrefix, false},
		{[]string{app, `key "app/secret" { policy = "write" }`}, Key, "app/secret", Read, false},
		{[]string{`key_prefix "" { policy = "deny" }`, `key_prefix "" { policy = "write" }`}, Key, "x", Read, false},
		{[]string{`key_prefix "" { policy = "read" }`, `key_prefix "" { policy = "write" }`}, Key, "x", Write, true},
		{[]string{`service "a" { policy = "write" }`}, Intention, "a", Read, true},
		{[]string{`service "a" { policy = "write" }`}, Intention, "a", Write, false},
		{[]string{`service "a" { policy = "read" intentions = "write" }`}, Intention, "a", Write, true},
		{[]string{`service_prefix "" { policy = "write" } service "a" { policy = "deny" }`}, Intention, "a", Read, false},
		{[]string{`operator = "read"`}, Mesh, "", Read, true},
		{[]string{`operator = "read" mesh = "deny"`}, Mesh, "", Read, false},
		{[]string{`operator = "write"`}, Peering, "", Write, true},
		{[]string{`acl = "read"`}, ACL, "", Write, false},
		{[]string{`session_prefix "n" { policy = "write" }`}, Session, "node", Write, true},
		{[]string{`{"node": {"n": {"policy": "write"}}, "acl": "write"}`}, Node, "n", Write, true},
		{[]string{`{"key_prefix": [{"a": {"policy": "read"}}, {"b": {"policy": "write"}}]}`}, Key, "bc", Write, true},
		{[]string{`event_prefix "" { policy = "write" } query "q" { policy = "read" } agent "x" { policy = "write" }`}, Query, "q", Read, true},
		{[]string{``}, Key, "x", Read, false},
	} {
		if got := ruling(t, Defaults{}, c.rules...).Allow(c.resource, c.name, c.access); got != c.want {
			t.Errorf("%q: %s:%s %q is %v", c.rules, c.resource, c.access, c.name, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	open := ruling(t, Defaults{AllowAll: true}, `key "no" { policy = "deny" }`)
	for _, c := range []struct {
		resource Resource
		name     string
		access   Access
		want     bool
	}{{Key, "yes", Write, true}, {Key, "no", Read, false}, {Key, "", WritePrefix, false}, {Operator, "", Write, true}, {ACL, "", Read, false}, {Key, "x", List, true}} {
		if open.Allow(c.resource, c.name, c.access) != c.want {
			t.Errorf("%v", c)
		}
	}
	strict := ruling(t, Defaults{KeyList: true}, `key_prefix "a" { policy = "read" } key_prefix "b" { policy = "list" }`)
	if strict.Allow(Key, "a", List) || !strict.Allow(Key, "b", List) || !strict.Allow(Key, "b", Read) || strict.Allow(Key, "b", Write) {
		t.Error("enable_key_list_policy does not ask for list")
	}
	if open.id == strict.id || ruling(t, Defaults{}, `acl = "read"`, `mesh = "read"`).id != ruling(t, Defaults{}, `mesh = "read"`, `acl = "read"`, `acl = "read"`).id {
		t.Error("what is the same does not share an id, or what is not does")
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ rules, text string }{
		{`key "a" { policy`, "Failed to parse ACL rules: At 1:18: key 'policy' expected start of object ('{') or assignment ('=')"},
		{`key "a" { policy = "list-all" }`, `Invalid key policy: &acl.KeyRule{Prefix:"a", Policy:"list-all", EnterpriseRule:acl.EnterpriseRule{}}`},
		{`key "a" { }`, `Invalid key policy: &acl.KeyRule{Prefix:"a", Policy:"", EnterpriseRule:acl.EnterpriseRule{}}`},
		{`key "a" { policy = "read" policy = "write" }`, `the argument "policy" was already set; each argument can only be defined once`},
		{`operator = "read" operator = "write"`, `the argument "operator" was already set`},
		{`operator = "maybe"`, `Invalid operator policy: "maybe"`},
		{`node "n" { policy = "list" }`, `Invalid node policy: &acl.NodeRule{Name:"n", Policy:"list"`},
		{`service "a" { policy = "read" intentions = "odd" }`, `Invalid service intentions policy: &acl.ServiceRule{Name:"a", Policy:"read", Intentions:"odd", EnterpriseRule:acl.EnterpriseRule{}}`},
		{`key = "read"`, `key takes a name and a block`},
		{`acl "x" { policy = "read" }`, `acl must be one of`},
		{strings.Repeat("{", 100000), "nested more than 16 deep"},
		{strings.Repeat(" ", MaxRules+1), "more than the"},
	} {
		if _, err := ParseRules(c.rules); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%.60q: %v, want %s", c.rules, err, c.text)
		}
	}
	for _, fine := range []string{`nonsense "a" { policy = "read" }`, `key "a" { policy = "write" sentinel { code = "x" } }`, " \n"} {
		if _, err := ParseRules(fine); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}

// The built-in policies give what their names say.
func TestBuiltInPolicies(t *testing.T) {
	all, read := ruling(t, Defaults{}, builtin()[0].Rules), ruling(t, Defaults{}, builtin()[1].Rules)
	for _, resource := range []Resource{ACL, Agent, Event, Intention, Key, Keyring, Mesh, Node, Operator, Peering, Query, Service, Session} {
		if !all.Allow(resource, "x", Write) || !read.Allow(resource, "x", Read) || read.Allow(resource, "x", Write) {
			t.Errorf("%s", resource)
		}
	}
	for _, tmpl := range Templates() {
		if p, err := tmpl.Preview(&TemplateVariables{"web"}, nil); err != nil || len(p.Rules) == 0 {
			t.Errorf("%s: %v", tmpl.TemplateName, err)
		} else if _, err := ParseRules(p.Rules); err != nil {
			t.Errorf("%s: %v", tmpl.TemplateName, err)
		}
	}
}

// Compiled rules answer as a search through all of them does.
func TestCompiledAnswersAsASearchDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, random.IntN(4))
		for i := range b {
			b[i] = "ab"[random.IntN(2)]
		}
		return string(b)
	}
	for range 3000 {
		var rules []Rule
		for range random.IntN(8) {
			rules = append(rules, Rule{Key, random.IntN(2) == 0, word(), Level(1 + random.IntN(4))})
		}
		c, name := compile(rules), word()+word()
		best, rank := unset, -1
		for _, r := range rules {
			own := -1
			switch {
			case !r.Prefix && r.Name == name:
				own = 1 << 20
			case r.Prefix && strings.HasPrefix(name, r.Name):
				own = len(r.Name)
			}
			if own > rank || own == rank && own >= 0 && r.Level > best {
				best, rank = r.Level, own
			}
		}
		for _, access := range []Access{Read, List, Write} {
			if got, want := c.allow(Key, name, access, false), best.gives(access); got != want {
				t.Fatalf("%v: %s of %q is %v", rules, access, name, got)
			}
		}
		if c.allow(Key, name, WritePrefix, false) && slices.ContainsFunc(rules, func(r Rule) bool { return strings.HasPrefix(r.Name, name) && r.Level == LevelDeny }) {
			t.Fatalf("%v: the tree %q may be written", rules, name)
		}
	}
}

func FuzzRules(f *testing.F) {
	for _, text := range []string{managementRules, `{"key": {"x": {"policy": "read"}}}`, `key = [{ "a" { policy = "read" } }]`, "acl = <<X\nread\nX\n", `key "a" "b" { }`, `= `, "key \"\x00\" {}",
		`service_prefix "" { policy = "read" intentions = "write" } service "web" { policy = "deny" intentions = "list" }`, `service "web" { policy = "write" intentions = "deny" }`,
		`key_prefix "a/" { policy = "list" } key "a/b" { policy = "deny" } node "n" { policy = "list" }`, `operator = "read" operator = "write"`, `mesh = "list"`, `acl "x" { policy = "read" }`,
		`key "a" { policy = "read" policy = "write" }`, `key "a" { policy = 1 sentinel { code = "x" } }`, `{"key_prefix": [{"": {"policy": "write"}}, {"b": [{"policy": "read"}]}], "operator": "read"}`,
		`agent_prefix "" { policy = "read" } event "e" { policy = "write" } query_prefix "q" { policy = "read" } session "s" { policy = "write" } keyring = "write" peering = "deny"`,
		`namespace "x" { key "a" { policy = "read" } }`, strings.Repeat("key = [", 20), `key "${a}" { policy = "read" }`, `key "\u00e9" { policy = "read" } # comment`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		c := compile(rules)
		for _, r := range rules {
			if _, err := ParseRules(r.String()); err != nil && !strings.ContainsAny(r.Name, "\"\\$\n\x00") && r.Name == strings.ToValidUTF8(r.Name, "") && r.Resource != Intention {
				t.Errorf("%s is no rule: %v", r, err)
			}
			c.allow(r.Resource, r.Name, WritePrefix, true)
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	var texts []string
	for i := range 20 {
		texts = append(texts, `key_prefix "app`+strings.Repeat("x", i)+`/" { policy = "write" } service_prefix "web" { policy = "read" }`)
	}
	r := ruling(b, Defaults{}, texts...)
	for b.Loop() {
		r.Allow(Key, "app/color/of/the/thing", Read)
	}
}
