package catalog

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"lictor/state"
)

const (
	id1 = "aaaaaaaa-0000-4000-8000-000000000001"
	id2 = "aaaaaaaa-0000-4000-8000-000000000002"
)

// An observed command hands on the facts that it states.
type observed struct {
	state.Command
	facts *[]any
}

func (o observed) Apply(tx *state.Tx) (any, error) {
	v, err := o.Command.Apply(tx)
	*o.facts = append(*o.facts, tx.Events()...)
	return v, err
}

func (s *store) facts(cmd state.Command) []any {
	s.t.Helper()
	var facts []any
	if _, err := s.log.Apply(context.Background(), observed{cmd, &facts}); err != nil {
		s.t.Fatal(err)
	}
	return facts
}

func TestFacts(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		about string
		cmd   state.Command
		want  []any
	}{
		{"healthy", ptr(on("n", "w1", "web", check("c", Passing, "w1"), check("n", Passing, ""))), nil},
		{"check turns critical", ptr(Register{Node: "n", SkipNodeUpdate: true, Checks: []*Check{check("c", Critical, "w1")}}), []any{CheckCritical{"n", "c"}}},
		{"stays critical", ptr(Register{Node: "n", SkipNodeUpdate: true, Checks: []*Check{{CheckID: "c", Status: Critical, ServiceID: "w1", Output: "more"}}}), nil},
		{"born critical", ptr(Register{Node: "n", SkipNodeUpdate: true, Checks: []*Check{check("d", Critical, "")}}), []any{CheckCritical{"n", "d"}}},
		{"check goes", &Deregister{Node: "n", CheckID: "d"}, []any{CheckGone{"n", "d"}}},
		{"check goes again", &Deregister{Node: "n", CheckID: "d"}, nil},
		{"service renamed", ptr(on("n", "w1", "site")), []any{ServiceGone{"n", "w1", "web"}}},
		{"service goes", &Deregister{Node: "N", ServiceID: "W1"}, []any{CheckGone{"n", "c"}, ServiceGone{"n", "w1", "site"}}},
		{"service again", ptr(on("n", "w2", "web")), nil},
		{"node goes", &Deregister{Node: "n"}, []any{ServiceGone{"n", "w2", "web"}, CheckGone{"n", "n"}, NodeGone{"n"}}},
		{"node with an identifier", ptr(Register{Node: "n", ID: id1, Address: "a"}), nil},
		{"node renamed", ptr(Register{Node: "m", ID: id1, Address: "a"}), []any{NodeGone{"n"}}},
	} {
		if got := s.facts(c.cmd); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.about, got, c.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// What does not concern a query does not wake it.
func TestIndexesAreNarrow(t *testing.T) {
	web := "health of x"
	for _, c := range []struct {
		about, name string
		cmd         state.Command
		wakes       bool
	}{
		{"another service on the node", web, ptr(on("a", "9", "other")), false},
		{"another service's check", web, ptr(Register{Node: "a", SkipNodeUpdate: true, Checks: []*Check{check("s", Critical, "2")}}), false},
		{"another node", web, ptr(on("c", "3", "z")), false},
		{"another node's check", web, ptr(Register{Node: "b", SkipNodeUpdate: true, Checks: []*Check{check("n", Critical, "")}}), false},
		{"its own check", web, ptr(Register{Node: "a", SkipNodeUpdate: true, Checks: []*Check{check("x", Critical, "1")}}), true},
		{"its node's check", web, ptr(Register{Node: "a", SkipNodeUpdate: true, Checks: []*Check{check("n", Critical, "")}}), true},
		{"its node's address", web, ptr(Register{Node: "a", Address: "10.9.9.9"}), true},
		{"another instance", web, ptr(on("c", "1", "x")), true},
		{"the end of one", web, &Deregister{Node: "a", ServiceID: "1"}, true},
		{"the end of another", web, &Deregister{Node: "a", ServiceID: "2"}, false},
		{"a check", "services", ptr(Register{Node: "a", SkipNodeUpdate: true, Checks: []*Check{check("x", Critical, "1")}}), false},
		{"a node", "services", ptr(Register{Node: "q", Address: "10.9.9.9"}), false},
		{"a service", "nodes", ptr(on("a", "9", "other")), false},
		{"a check on another node", "checks of a", ptr(Register{Node: "b", SkipNodeUpdate: true, Checks: []*Check{check("n", Critical, "")}}), false},
		{"a check that becomes a warning", "critical checks", ptr(Register{Node: "b", SkipNodeUpdate: true, Checks: []*Check{check("n", Warning, "")}}), false},
	} {
		s := newStore(t)
		s.register(on("a", "1", "x", check("x", Passing, "1")))
		s.register(on("a", "2", "y"))
		s.register(on("b", "2", "y"))
		s.register(Register{Node: "b", SkipNodeUpdate: true, Checks: []*Check{check("other", Critical, "")}})
		was := s.answer(named(c.name))
		if r, ok := c.cmd.(*Register); ok {
			r.Datacenter = "dc1"
		}
		s.facts(c.cmd)
		is := s.answer(named(c.name))
		if was.watch.Fired() != c.wakes || (is.index > was.index) != c.wakes {
			t.Errorf("%s of %s: woken %v, index %d then %d", c.name, c.about, was.watch.Fired(), was.index, is.index)
		}
	}
}

func TestNodeNames(t *testing.T) {
	alive := []*Check{check(SerfHealth, Passing, "")}
	for _, c := range []struct {
		about string
		first Register
		then  Register
		fails string
		names string
	}{
		{"renamed", Register{Node: "a", ID: id1, Address: "1"}, Register{Node: "b", ID: id1, Address: "1"}, "", "b"},
		{"renamed while alive", Register{Node: "a", ID: id1, Address: "1", Checks: alive}, Register{Node: "b", ID: id1, Address: "1"}, "", "b"},
		{"other case", Register{Node: "a", ID: id1, Address: "1"}, Register{Node: "A", Address: "1"}, "", "A"},
		{"dead node replaced", Register{Node: "a", ID: id1, Address: "1", Checks: []*Check{check(SerfHealth, Critical, "")}}, Register{Node: "a", ID: id2, Address: "1"}, "", "a"},
		{"node without checks replaced", Register{Node: "a", ID: id1, Address: "1"}, Register{Node: "a", ID: id2, Address: "1"}, "", "a"},
		{"live node kept", Register{Node: "a", ID: id1, Address: "1", Checks: alive}, Register{Node: "a", ID: id2, Address: "2"},
			`failed inserting node: Error while renaming Node ID: "` + id2 + `": Node name a is reserved by node ` + id1 + " with name a (1)", "a"},
		{"same identifier in other case", Register{Node: "a", ID: id1, Address: "1", Checks: alive}, Register{Node: "a", ID: strings.ToUpper(id1), Address: "1"}, "", "a"},
	} {
		s := newStore(t)
		s.register(c.first)
		_, err := s.log.Apply(context.Background(), &c.then)
		if fmt.Sprint(err) != c.fails && (err != nil || c.fails != "") {
			t.Errorf("%s: got %v", c.about, err)
		}
		var names []string
		for n := range nodes.All(s.log.DB().Read()) {
			names = append(names, n.Node)
		}
		if got := strings.Join(names, " "); got != c.names {
			t.Errorf("%s: nodes are %s", c.about, got)
		}
	}
}

func TestVirtualAddresses(t *testing.T) {
	s := newStore(t)
	proxy := func(id, of string) Register {
		r := on("n", id, id)
		r.Service.Kind, r.Service.Proxy.DestinationServiceName = ConnectProxy, of
		return r
	}
	expect := func(want map[string]string) {
		t.Helper()
		for service, address := range want {
			got, _, _ := s.VirtualAddress(s.log.DB().Read(), allow, &VirtualAddress{service})
			if got != address {
				t.Errorf("%s has %q, want %q", service, got, address)
			}
		}
	}
	s.register(on("n", "web", "web"))
	expect(map[string]string{"web": ""})
	s.register(proxy("p1", "web"))
	s.register(proxy("p2", "db"))
	s.register(proxy("p3", "WEB"))
	expect(map[string]string{"web": "240.0.0.1", "Web": "240.0.0.1", "db": "240.0.0.2"})
	i := FindInstance(s.log.DB().Read(), "n", "p1")
	if got := i.TaggedAddresses[virtualTag]; got != (ServiceAddress{"240.0.0.1", 80}) {
		t.Errorf("the instance is tagged with %v", got)
	}
	s.deregister(Deregister{Node: "n", ServiceID: "p1"})
	s.deregister(Deregister{Node: "n", ServiceID: "p3"})
	expect(map[string]string{"web": "240.0.0.1"}) // the service itself is still there
	s.deregister(Deregister{Node: "n", ServiceID: "web"})
	expect(map[string]string{"web": "", "db": "240.0.0.2"})
	s.register(proxy("p4", "cache"))
	s.register(proxy("p5", "mail"))
	expect(map[string]string{"cache": "240.0.0.1", "mail": "240.0.0.3"})
	s.register(proxy("p4", "new"))
	expect(map[string]string{"cache": "", "new": "240.0.0.4"})
	s.register(proxy("p6", "again"))
	expect(map[string]string{"again": "240.0.0.1"})
}
