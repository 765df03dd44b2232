package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/state"
)

var allow = acl.AllowAll()

func TestNothingIsDoneWithoutPermission(t *testing.T) {
	s := newStore(t)
	s.register(on("n", "w", "web", check("c", Passing, "w")))
	before := s.dump()
	ctx := context.Background()
	for about, err := range map[string]error{
		"register a node":          second(s.Register(ctx, acl.DenyAll(), &Register{Node: "m", Address: "a"})),
		"register nothing":         second(s.Register(ctx, acl.DenyAll(), &Register{})),
		"change a node":            second(s.Register(ctx, acl.DenyAll(), &Register{Node: "n", Address: "b"})),
		"register a service":       second(s.Register(ctx, acl.DenyAll(), ptr(on("n", "x", "x")))),
		"register a check":         second(s.Register(ctx, acl.DenyAll(), &Register{Node: "n", SkipNodeUpdate: true, Check: check("d", Passing, "")})),
		"register a service check": second(s.Register(ctx, acl.DenyAll(), &Register{Node: "n", SkipNodeUpdate: true, Check: check("d", Passing, "w")})),
		"deregister a node":        second(s.Deregister(ctx, acl.DenyAll(), &Deregister{Node: "n"})),
		"deregister a service":     second(s.Deregister(ctx, acl.DenyAll(), &Deregister{Node: "n", ServiceID: "w"})),
		"deregister a check":       second(s.Deregister(ctx, acl.DenyAll(), &Deregister{Node: "n", CheckID: "c"})),
		"deregister nothing":       second(s.Deregister(ctx, acl.DenyAll(), &Deregister{})),
	} {
		if denied := new(acl.Denial); !errors.As(err, &denied) {
			t.Errorf("%s: got %v", about, err)
		}
	}
	if s.dump() != before {
		t.Error("something was changed")
	}
	for _, q := range questions() {
		value, _, err := q.ask(s, s.log.DB().Read(), acl.DenyAll())
		b, _ := json.Marshal(value)
		if denied := new(acl.Denial); !errors.As(err, &denied) && strings.Contains(string(b), "web") {
			t.Errorf("%s shows %s", q.name, b)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestPermissions(t *testing.T) {
	ctx := context.Background()
	web, node := may(acl.Service, "web"), may(acl.Node, "n")
	for _, c := range []struct {
		about string
		az    acl.Authorizer
		do    Register
		fails string
	}{
		{"node as it is", token(), Register{Node: "n", Address: "10.0.0.1"}, ""},
		{"node changed", token(web), Register{Node: "n", Address: "10.0.0.2"}, `node:write' on "n"`},
		{"node changed", token(node), Register{Node: "n", Address: "10.0.0.2"}, ""},
		{"service on a node that stays", token(web), on("n", "web2", "web"), ""},
		{"service on a new node", token(web), on("m", "web2", "web"), `node:write' on "m"`},
		{"another service", token(web, node), on("n", "db", "db"), `service:write' on "db"`},
		{"instance of another service", token(web, node), on("n", "db1", "web"), `service:write' on "db"`},
		{"service check", token(web), Register{Node: "n", SkipNodeUpdate: true, Check: check("c", Passing, "web1")}, ""},
		{"service check of another", token(web, node), Register{Node: "n", SkipNodeUpdate: true, Check: check("c", Passing, "db1")}, `service:write' on "db"`},
		{"node check", token(web), Register{Node: "n", SkipNodeUpdate: true, Check: check("c", Passing, "")}, `node:write' on "n"`},
		{"service and its check", token(web), on("n", "web9", "web", check("c", Passing, "web9")), ""},
	} {
		s := newStore(t)
		s.register(on("n", "web1", "web"))
		s.register(on("n", "db1", "db"))
		_, err := s.Register(ctx, c.az, copied(t, &c.do))
		if c.fails == "" && err != nil || c.fails != "" && !strings.Contains(fmt.Sprint(err), c.fails) {
			t.Errorf("%s: got %v", c.about, err)
		}
	}
}

func TestRowsThatMayNotBeSeenAreLeftOut(t *testing.T) {
	s := newStore(t)
	s.register(on("n", "web1", "web", check("c", Passing, "web1")))
	s.register(on("n", "db1", "db", check("d", Passing, "db1")))
	s.register(Register{Node: "secret", Address: "10.0.0.2", Check: check("s", Passing, "")})
	az := token(may(acl.Node, "n"), may(acl.Service, "web"))
	for _, c := range []struct {
		q    question
		want string
	}{
		{questionOf("", (*Service).Nodes, Nodes{}), `"Node":"n"`},
		{questionOf("", (*Service).Services, Services{}), `{"web":[]}`},
		{questionOf("", (*Service).ServiceNodes, ServiceNodes{Service: "db"}), `[]`},
		{questionOf("", (*Service).ServiceHealth, ServiceHealth{Service: "db"}), `[]`},
		{questionOf("", (*Service).Node, OnNode{Node: "secret"}), `null`},
		{questionOf("", (*Service).Node, OnNode{Node: "n"}), `"ID":"web1"`},
		{questionOf("", (*Service).NodeServices, OnNode{Node: "n"}), `"ID":"web1"`},
		{questionOf("", (*Service).NodeChecks, NodeChecks{Node: "n"}), `"CheckID":"c"`},
		{questionOf("", (*Service).ServiceChecks, ServiceChecks{Service: "db"}), `[]`},
		{questionOf("", (*Service).ChecksInState, ChecksInState{State: AnyState}), `"CheckID":"c"`},
	} {
		value, _, err := c.q.ask(s, s.log.DB().Read(), az)
		b, _ := json.Marshal(value)
		if err != nil || !strings.Contains(string(b), c.want) || strings.Contains(string(b), "db1") || strings.Contains(string(b), "secret") {
			t.Errorf("%s: %s, %v", c.want, b, err)
		}
		if !value.(interface{ FilteredByACLs() bool }).FilteredByACLs() {
			t.Errorf("%T does not tell that rows were left out", value)
		}
		value, _, _ = c.q.ask(s, s.log.DB().Read(), allow)
		if value.(interface{ FilteredByACLs() bool }).FilteredByACLs() {
			t.Errorf("%T tells that rows were left out", value)
		}
	}
}

// What is refused is refused in Consul's words, and changes nothing.
func TestRefusals(t *testing.T) {
	proxy := func(p Proxy, port int) *Instance {
		return &Instance{Service: "p", Kind: ConnectProxy, Port: port, Proxy: p}
	}
	for _, c := range []struct {
		do   Register
		want string
	}{
		{Register{}, "Must provide node"},
		{Register{Node: "n"}, "Must provide address if SkipNodeUpdate is not set"},
		{Register{Node: "n", Address: "a", ID: "x"}, "Bad node ID: uuid string is wrong length"},
		{Register{Node: "n", Address: "a", ID: strings.Repeat("x", 36)}, "Bad node ID: uuid is improperly formatted"},
		{Register{Node: "n\x00", Address: "a"}, `A name may not contain a NUL character: "n\x00"`},
		{Register{Node: "n", Address: "a", Service: &Instance{}}, "Must provide service name (Service.Service)"},
		{Register{Node: "n", Address: "a", Service: &Instance{ID: "x"}}, "Must provide service name (Service.Service) when service ID is provided"},
		{Register{Node: "n", Address: "a", Service: proxy(Proxy{}, 0)}, "2 errors occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\n"},
		{Register{Node: "n", Address: "a", Service: proxy(Proxy{DestinationServiceName: "*"}, 1)}, "1 error occurred:\n\t* Proxy.DestinationServiceName must not be a wildcard for Connect proxy services\n\n"},
		{Register{Node: "n", Address: "a", Check: check("c", Passing, "none")}, "Unknown service ID 'none' for check ID 'c'"},
		{Register{Node: "n", Address: "a", PeerName: "p"}, "cannot register requests with PeerName in them"},
		{Register{Node: "n", Address: "a", Service: &Instance{Service: "s", PeerName: "p"}}, "cannot register requests with PeerName in them"},
		{Register{Node: "n", Address: "a", Check: &Check{CheckID: "c", PeerName: "p"}}, "cannot register requests with PeerName in them"},
		{Register{Node: "n", Address: "a", Check: &Check{}}, "failed inserting check: object missing primary index"},
		{Register{Node: "n", Address: "a", Check: &Check{Node: "m", CheckID: "c"}}, "Node 'm' for check 'c' doesn't match register request node 'n'"},
		{Register{Node: "n", Address: "a", Checks: []*Check{nil}}, "A check may not be null"},
	} {
		s := newStore(t)
		_, err := s.Register(context.Background(), allow, &c.do)
		if fmt.Sprint(err) != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if d := s.dump(); d != "" {
			t.Errorf("%s: there is now %s", c.want, d)
		}
	}
}

func TestNearestFirst(t *testing.T) {
	s := newStore(t)
	s.Distance = func(_ *state.Tx, a, b string) (time.Duration, bool) {
		if a == "unknown" || b == "n0" {
			return 0, false
		}
		return time.Duration(max(int(a[1])-int(b[1]), int(b[1])-int(a[1]))) * time.Second, true
	}
	for _, n := range []string{"n0", "n1", "n2", "n3"} {
		s.register(on(n, "w", "web"))
	}
	for near, want := range map[string]string{"n3": "n3 n2 n1 n0", "n1": "n1 n2 n3 n0", "unknown": "n0 n1 n2 n3", "": "n0 n1 n2 n3"} {
		l, _, _ := s.ServiceHealth(s.log.DB().Read(), allow, &ServiceHealth{Service: "web", Near: near})
		var got []string
		for _, e := range l.Rows {
			got = append(got, e.Node.Node)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("near %q: got %s, want %s", near, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	s := newStore(t)
	s.register(on("n", "consul", "consul"))
	s.register(on("n", "w1", "web"))
	s.register(on("n", "w2", "web"))
	r := on("m", "p", "proxy")
	r.Service.Kind, r.Service.Proxy.DestinationServiceName = ConnectProxy, "web"
	s.register(r)
	u, _, _ := s.Usage(s.log.DB().Read(), allow, &Count{})
	if u.Nodes != 2 || u.Services != 3 || u.ServiceInstances != 4 || u.BillableServiceInstances != 2 || u.ConnectServiceInstances[ConnectProxy] != 1 {
		t.Errorf("got %+v", u)
	}
}
