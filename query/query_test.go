package query

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/session"
	"lictor/state"
)

// log is a Log whose commands are followed by the cascades, as on a server.
type log struct{ *state.Local }

type cascading struct{ state.Command }

func (c cascading) Apply(tx *state.Tx) (any, error) {
	answer, err := c.Command.Apply(tx)
	session.Cascade(tx)
	Cascade(tx)
	tx.Events()
	return answer, err
}

func (l log) Apply(ctx context.Context, c state.Command) (any, error) {
	return l.Local.Apply(ctx, cascading{c})
}

func newKeeper(t testing.TB) *Keeper {
	t.Helper()
	tables := slices.Concat(kv.Tables(), coordinate.Tables(), catalog.Tables(), session.Tables(), Tables())
	local, err := state.NewLocal(1, tables...)
	if err != nil {
		t.Fatal(err)
	}
	k := &Keeper{Log: log{local}, Catalog: &catalog.Service{Log: log{local}, Datacenter: "dc1"}, Datacenter: "dc1"}
	for _, node := range []string{"n1", "n2"} {
		r := &catalog.Register{Node: node, Address: "10.0.0.1", Service: &catalog.Instance{ID: "web", Service: "web", Tags: []string{"all", node}}}
		if _, err := k.Catalog.Register(t.Context(), acl.AllowAll(), r); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *Keeper) add(t testing.TB, q Query) string {
	t.Helper()
	id, err := k.Create(t.Context(), acl.AllowAll(), &Set{q})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (k *Keeper) run(t *testing.T, name string) *Response {
	t.Helper()
	r, _, err := k.Execute(k.Log.DB().Read(), acl.AllowAll(), &Execute{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheLongestTemplateWinsAfterTheExactName(t *testing.T) {
	k := newKeeper(t)
	template := func(name, service string) Query {
		return Query{Name: name, Template: Template{Type: PrefixMatch}, Service: Service{Service: service}}
	}
	k.add(t, template("", "any ${name.full}"))
	k.add(t, template("a-", "a ${name.prefix}|${name.suffix}"))
	k.add(t, template("a-b-", "ab ${name.suffix}"))
	k.add(t, Query{Name: "a-b-exact", Service: Service{Service: "exact"}})
	for name, want := range map[string]string{
		"x": "any x", "a-x": "a a-|x", "A-b-x": "ab x", "a-b-EXACT": "exact", "a-b": "a a-|b",
	} {
		if got := k.run(t, name); got == nil || got.Service != want {
			t.Errorf("%s: got %+v, want %s", name, got, want)
		}
	}
}

func TestTagsMustBeThereOrMustNot(t *testing.T) {
	k := newKeeper(t)
	k.add(t, Query{Name: "q", Service: Service{Service: "web", Tags: []string{"ALL", "!n1"}}})
	if r := k.run(t, "q"); len(r.Nodes) != 1 || r.Nodes[0].Node.Node != "n2" {
		t.Errorf("got %d nodes", len(r.Nodes))
	}
}

func TestAQueryEndsWithItsSession(t *testing.T) {
	k := newKeeper(t)
	ctx := t.Context()
	if _, err := k.Log.Apply(ctx, &session.Create{Session: session.Session{ID: "s", Node: "n1"}}); err != nil {
		t.Fatal(err)
	}
	id := k.add(t, Query{Session: "s", Service: Service{Service: "web"}})
	if _, err := k.Log.Apply(ctx, &catalog.Deregister{Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	if r := k.run(t, id); r != nil {
		t.Errorf("the query is still there: %+v", r)
	}
}

func TestWhatIsRefused(t *testing.T) {
	k := newKeeper(t)
	for want, q := range map[string]Query{
		"NearestN: -1; allowed":                {Name: "x", Service: Service{Service: "x", Failover: Failover{NearestN: -1}}},
		`DNS.TTL: "-1s"`:                       {Name: "x", Service: Service{Service: "x"}, DNS: DNS{TTL: "-1s"}},
		`DNS.TTL: "abc"`:                       {Name: "x", Service: Service{Service: "x"}, DNS: DNS{TTL: "abc"}},
		`Token: "<hidden>"`:                    {Name: "x", Token: hidden, Service: Service{Service: "x"}},
		"Name: 1025 bytes; allowed are 1024":   {Name: strings.Repeat("x", 1025), Service: Service{Service: "x"}},
		"Template.Regexp: 1025 bytes; allowed": {Name: "x", Template: Template{PrefixMatch, strings.Repeat("x", 1025), false}, Service: Service{Service: "x"}},
		"parse error at 1:3":                   {Name: "x", Template: Template{Type: PrefixMatch}, Service: Service{Service: "${foo}"}},
	} {
		if _, err := k.Create(t.Context(), acl.AllowAll(), &Set{q}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := k.Create(t.Context(), acl.DenyAll(), &Set{Query{Name: "x", Service: Service{Service: "x"}}}); !errors.As(err, new(*acl.Denial)) {
		t.Errorf("got %v", err)
	}
}

// world is Remotes of two datacenters, one of which has instances.
type world struct {
	asked  []string
	tokens []string
	limits []int
}

func (*world) Nearest() []string { return []string{"dc2", "dc3"} }

func (w *world) Search(_ context.Context, dc, token string, s *Search) (*Response, error) {
	w.asked, w.tokens, w.limits = append(w.asked, dc), append(w.tokens, token), append(w.limits, s.Limit)
	r := &Response{Service: s.Service.Service, Datacenter: dc, DNS: s.DNS}
	if dc == "dc3" {
		r.Nodes = []*catalog.Entry{{}}
	}
	return r, nil
}

func TestFailover(t *testing.T) {
	k, w := newKeeper(t), &world{}
	k.Remotes = w
	over := Failover{NearestN: 1, Datacenters: []string{"dc9", "dc1", "dc2", "dc3"}}
	k.add(t, Query{Name: "none", Token: "its own", DNS: DNS{TTL: "7s"}, Service: Service{Service: "none", Failover: over}})
	k.add(t, Query{Name: "here", Service: Service{Service: "web", Failover: over}})
	k.add(t, Query{Name: "plain", Service: Service{Service: "none"}})
	k.add(t, Query{Name: "to ${name.suffix}", Template: Template{Type: PrefixMatch}, Service: Service{Service: "none",
		Failover: Failover{Targets: []Target{{Datacenter: "dc2"}}}}})
	elsewhere := func(name string) *Response {
		t.Helper()
		*w = world{}
		r, err := k.Elsewhere(t.Context(), acl.AllowAll(), &Elsewhere{Execute: Execute{Name: name}, Token: "the asker's", Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := k.run(t, "none"); !r.FailsOver || k.run(t, "plain").FailsOver {
		t.Error("what fails over does not say so, or what does not says so")
	}
	if r := elsewhere("none"); r.Datacenter != "dc3" || r.Failovers != 2 || r.DNS.TTL != "7s" || !slices.Equal(w.asked, []string{"dc2", "dc3"}) ||
		w.tokens[0] != "its own" || w.limits[1] != 3 {
		t.Errorf("got %+v, asked %+v", r, w)
	}
	if r := elsewhere("here"); r.Datacenter != "dc1" || len(r.Nodes) != 2 || w.asked != nil {
		t.Errorf("got %+v, asked %v", r, w.asked)
	}
	if r := elsewhere("plain"); r.Datacenter != "dc1" || len(r.Nodes) != 0 || w.asked != nil {
		t.Errorf("got %+v, asked %v", r, w.asked)
	}
	if r := elsewhere("to ${name.suffix}x"); r.Datacenter != "dc2" || r.Failovers != 1 || w.tokens[0] != "the asker's" {
		t.Errorf("got %+v, asked %+v", r, w)
	}
	if r := elsewhere("nobody knows"); r != nil {
		t.Errorf("got %+v", r)
	}
}

func TestSearchForAnotherDatacenter(t *testing.T) {
	k := newKeeper(t)
	r, err := k.Search(t.Context(), acl.AllowAll(), &Search{Service: Service{Service: "web"}, DNS: DNS{TTL: "5s"}, Limit: 1})
	if err != nil || len(r.Nodes) != 1 || r.Datacenter != "dc1" || r.Service != "web" || r.DNS.TTL != "5s" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := k.Search(t.Context(), acl.DenyAll(), &Search{Service: Service{Service: "web"}}); err != nil || len(r.Nodes) > 0 || !r.Filtered {
		t.Errorf("a stranger gets %+v, %v", r, err)
	}
	if _, err := k.Search(t.Context(), acl.AllowAll(), &Search{}); err == nil {
		t.Error("no service was found")
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("${match(1)}-${name.full}", "a-b")
	f.Add("$${x} ${bad(}", "")
	f.Fuzz(func(t *testing.T, text, name string) {
		s := scope{full: name, matches: []string{name}, room: maxRendered}
		out, err := s.interpolate(text)
		if err == nil && !strings.Contains(text, "${") && out != text || len(out) > len(text)+maxRendered {
			t.Errorf("%q became %q", text, out)
		}
		q := Query{Name: name, Template: Template{Type: PrefixMatch, Regexp: text}, Service: Service{Service: text, Tags: []string{"${match(0)}", text}}}
		if q.validate() == nil && q.compile() == nil {
			if _, err := q.render(name+"x", ""); err != nil && !strings.Contains(err.Error(), "more than") {
				t.Errorf("%q is a template, but not for a name that is longer: %v", text, err)
			}
		}
	})
}
