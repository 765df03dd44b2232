package configentry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lictor/acl"
	"lictor/catalog"
	"lictor/state"
)

func newService(t testing.TB) *Service {
	t.Helper()
	log, err := state.NewLocal(1, append(Tables(), catalog.Tables()...)...)
	if err != nil {
		t.Fatal(err)
	}
	return &Service{Log: log}
}

// write writes an entry as a client would, and gives the error's text.
func (s *Service) write(t testing.TB, text string) string {
	t.Helper()
	var f Form
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	e, err := Parse(f)
	if err == nil {
		_, err = s.Put(t.Context(), acl.AllowAll(), &Put{Entry: *e})
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s *Service) show(t testing.TB, kind, name string) string {
	t.Helper()
	e := Find(s.Log.DB().Read(), kind, name)
	if e == nil {
		return ""
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"Hash", "CreateIndex", "ModifyIndex"} {
		delete(m, k)
	}
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestShapes(t *testing.T) {
	for _, c := range []struct{ in, kind, name, out string }{
		{`{"kind":"service-defaults","name":"Web","protocol":"HTTP","max_inbound_connections":"3"}`, ServiceDefaults, "web",
			`{"Expose":{},"Kind":"service-defaults","MaxInboundConnections":3,"MeshGateway":{},"Name":"Web","Protocol":"http","TransparentProxy":{}}`},
		{`{"Kind":"mesh","Meta":null}`, Mesh, "mesh", `{"Kind":"mesh","TransparentProxy":{}}`},
		{`{"Kind":"service-resolver","Name":"r","ConnectTimeout":5000000000,"Subsets":{"a":{}}}`, ServiceResolver, "r",
			`{"ConnectTimeout":"5s","Kind":"service-resolver","Name":"r","Subsets":{"a":{}}}`},
		{`{"Kind":"ingress-gateway","Name":"g","Listeners":{"Port":1,"Services":{"Name":"a"}}}`, IngressGateway, "g",
			`{"Kind":"ingress-gateway","Listeners":[{"Port":1,"Protocol":"tcp","Services":[{"Hosts":null,"Name":"a"}]}],"Name":"g","TLS":{"Enabled":false}}`},
		{`{"Kind":"service-intentions","Name":"d","Sources":[{"Name":"*","Action":"deny"},{"Name":"a","Action":"allow"}]}`, ServiceIntentions, "d",
			`{"Kind":"service-intentions","Name":"d","Sources":[{"Action":"allow","Name":"a","Precedence":9,"Type":"consul"},{"Action":"deny","Name":"*","Precedence":8,"Type":"consul"}]}`},
		{`{"Kind":"proxy-defaults","Name":"global","Config":{"a":null,"b":[{"c":1}]}}`, ProxyDefaults, "global",
			`{"AccessLogs":{},"Config":{"a":null,"b":[{"c":1}]},"Expose":{},"Kind":"proxy-defaults","MeshGateway":{},"Name":"global","TransparentProxy":{}}`},
		{`{"Kind":"api-gateway","Name":"g","Listeners":[{"Name":"l","Port":80,"Protocol":"http","TLS":{"TLSMaxVersion":null,"tls_min_version":"TLSv1_2"}}]}`, APIGateway, "g", ""},
	} {
		s := newService(t)
		err := s.write(t, c.in)
		if c.out == "" && err == "" || c.out != "" && err != "" {
			t.Errorf("%s: %s", c.in, err)
		}
		if d := cmp.Diff(c.out, s.show(t, c.kind, c.name)); d != "" {
			t.Errorf("%s: -want +got\n%s", c.in, d)
		}
	}
}

func TestRefused(t *testing.T) {
	s := newService(t)
	for _, fine := range []string{
		`{"Kind":"service-defaults","Name":"web","Protocol":"http"}`,
		`{"Kind":"service-defaults","Name":"api","Protocol":"grpc"}`,
		`{"Kind":"service-resolver","Name":"web","Subsets":{"v1":{}},"Failover":{"*":{"Datacenters":["dc2"]}}}`,
	} {
		if err := s.write(t, fine); err != "" {
			t.Fatal(fine, err)
		}
	}
	for in, want := range map[string]string{
		`{}`:                          "Payload does not contain a kind/Kind key",
		`{"Kind":null,"Name":"x"}`:    "invalid config entry kind",
		`{"Kind":7}`:                  "invalid config entry kind: 7",
		`{"Kind":"service-defaults"}`: "Name is required",
		`{"Kind":"service-defaults","Name":"x","Odd":1,"Even":{"a":2}}`:                                                `invalid config key "Odd"`,
		`{"Kind":"service-defaults","Name":"x","Expose":{"Paths":[{"Odd":1}]}}`:                                        `invalid config key "Expose.Paths[0].Odd"`,
		`{"Kind":"service-defaults","Name":"x","Expose":7}`:                                                            "'Expose' expected a map",
		`{"Kind":"service-defaults","Name":"x","MaxInboundConnections":"many"}`:                                        "cannot parse 'MaxInboundConnections'",
		`{"Kind":"service-defaults","Name":"x","UpstreamConfig":{"Overrides":[null]}}`:                                 "Name is required",
		`{"Kind":"service-router","Name":"web","Routes":[{"Match":{"HTTP":{"Header":[{"Name":"x"}]}}}]}`:               "should contain one of",
		`{"Kind":"service-splitter","Name":"web","Splits":[]}`:                                                         "no splits configured",
		`{"Kind":"service-splitter","Name":"web","Splits":[{"Weight":100,"ServiceSubset":"v9"}]}`:                      `does not have a subset named "v9"`,
		`{"Kind":"service-splitter","Name":"web","Splits":[{"Weight":50},{"Weight":50,"Service":"api"}]}`:              `service "api" has "grpc" which is not "http"`,
		`{"Kind":"service-resolver","Name":"a","Redirect":{"Service":"a"}}`:                                            "circular",
		`{"Kind":"service-intentions","Name":"d","Sources":[null]}`:                                                    "Sources[0].Name is required",
		`{"Kind":"service-intentions","Name":"d","Sources":[{"Name":"a","Permissions":[null]}]}`:                       "Permissions[0].Action",
		`{"Kind":"jwt-provider","Name":"p","JSONWebKeySet":{}}`:                                                        "exactly one of Local or Remote",
		`{"Kind":"jwt-provider","Name":"p","JSONWebKeySet":{"Local":{"Filename":"f"}},"Locations":[null]}`:             "exactly one of",
		`{"Kind":"exported-services","Name":"default","Services":[{"Name":"web","Consumers":[{"Peer":"p"}]}]}`:         "cross-datacenter failover",
		`{"Kind":"ingress-gateway","Name":"g","Listeners":[{"Port":1,"Protocol":"http","Services":[{"Name":"api"}]}]}`: "incompatible with defined listener protocol",
		`{"Kind":"sameness-group","Name":"g"}`:                                                                         "enterprise-only",
		`{"Kind":"bound-api-gateway","Name":"g"}`:                                                                      "made by the servers",
		`{"Kind":"http-route","Name":"r","Rules":[{"Matches":[{"Method":"odd"}]}]}`:                                    "invalid method",
		`{"Kind":"control-plane-request-limit","Name":"l"}`:                                                            "invalid config entry kind",
		`{"Kind":"service-defaults","Name":"x","Namespace":"other"}`:                                                   "enterprise-only",
	} {
		before := s.Log.DB().Read().Changed(Entries.Name())
		if got := s.write(t, in); !strings.Contains(got, want) {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
		if s.Log.DB().Read().Changed(Entries.Name()) != before {
			t.Errorf("%s: refused, yet something has changed", in)
		}
	}
}

// What others need is neither deleted nor changed into what they cannot use.
func TestAgreement(t *testing.T) {
	s := newService(t)
	for _, fine := range []string{
		`{"Kind":"service-defaults","Name":"web","Protocol":"http"}`,
		`{"Kind":"service-defaults","Name":"admin","Protocol":"http"}`,
		`{"Kind":"service-resolver","Name":"admin","Subsets":{"v1":{}}}`,
		`{"Kind":"service-router","Name":"web","Routes":[{"Match":null,"Destination":null},{"Destination":{"Service":"admin","ServiceSubset":"v1"}}]}`,
		`{"Kind":"ingress-gateway","Name":"g","Listeners":[{"Port":1,"Protocol":"http","Services":[{"Name":"admin"}]}]}`,
	} {
		if err := s.write(t, fine); err != "" {
			t.Fatal(fine, err)
		}
	}
	for in, want := range map[string]string{
		`{"Kind":"service-defaults","Name":"admin","Protocol":"grpc"}`: "inconsistent protocols",
		`{"Kind":"service-defaults","Name":"web"}`:                     "does not permit advanced routing",
		`{"Kind":"service-resolver","Name":"admin"}`:                   `does not have a subset named "v1"`,
	} {
		if got := s.write(t, in); !strings.Contains(got, want) {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
	}
	for _, d := range []Delete{{Kind: ServiceDefaults, Name: "web"}, {Kind: ServiceDefaults, Name: "ADMIN"}, {Kind: ServiceResolver, Name: "admin"}} {
		if _, err := s.Delete(t.Context(), acl.AllowAll(), &d); err == nil {
			t.Errorf("deleted: %+v", d)
		}
	}
	for _, d := range []Delete{{Kind: IngressGateway, Name: "g"}, {Kind: ServiceRouter, Name: "web"}, {Kind: ServiceResolver, Name: "admin"}, {Kind: ServiceDefaults, Name: "web"}} {
		if done, err := s.Delete(t.Context(), acl.AllowAll(), &d); err != nil || !done {
			t.Errorf("%+v: %v, %v", d, done, err)
		}
	}
}

func TestCheckAndSet(t *testing.T) {
	s := newService(t)
	put := func(protocol string, cas bool, index uint64) bool {
		e, err := Parse(Form{"Kind": ServiceDefaults, "Name": "web", "Protocol": protocol})
		if err != nil {
			t.Fatal(err)
		}
		done, err := s.Put(t.Context(), acl.AllowAll(), &Put{Entry: *e, CAS: cas, Index: index})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	at := func() uint64 { return Find(s.Log.DB().Read(), ServiceDefaults, "web").ModifyIndex }
	if !put("http", true, 0) || put("grpc", true, 0) || put("grpc", true, at()+1) {
		t.Error("wrong index")
	}
	first := at()
	if !put("http", false, 0) || !put("http", true, 77) || at() != first {
		t.Error("what is there already is written again")
	}
	if !put("grpc", true, first) || at() == first {
		t.Error("right index")
	}
	if done, _ := s.Delete(t.Context(), acl.AllowAll(), &Delete{Kind: ServiceDefaults, Name: "web", CAS: true, Index: first}); done {
		t.Error("deleted by an old index")
	}
}

// Gateways know what they stand before, and who reads of it is woken by a change.
func TestGateways(t *testing.T) {
	s := newService(t)
	tx := s.Log.DB().Read()
	if names, _ := (Gateways{}).Before(tx, "web"); len(names) != 0 {
		t.Error(names)
	}
	if err := s.write(t, `{"Kind":"ingress-gateway","Name":"g","Listeners":[{"Port":1,"Protocol":"tcp","Services":[{"Name":"Web"}]}]}`); err != "" {
		t.Fatal(err)
	}
	if !tx.Watch().Fired() {
		t.Error("who waits sleeps on")
	}
	tx = s.Log.DB().Read()
	if names, at := (Gateways{}).Before(tx, "web"); len(names) != 1 || names[0] != "g" || at == 0 {
		t.Error(names, at)
	}
	if rows, _ := (Gateways{}).Behind(tx, "g"); len(rows) != 1 || rows[0].Service.Name != "Web" || rows[0].Port != 1 {
		t.Errorf("%+v", rows)
	}
}

// A wildcard stands for all services that are there and not named, of an ingress for those that speak the protocol.
func TestWildcardsOfGateways(t *testing.T) {
	s := newService(t)
	for _, i := range []*catalog.Instance{{ID: "a", Service: "a"}, {ID: "B", Service: "B"}, {ID: "c", Service: "c"}, {ID: "g", Service: "g", Kind: "mesh-gateway"},
		{ID: "consul", Service: "consul"}} {
		if _, err := s.Log.Apply(t.Context(), &catalog.Register{Node: "n", Address: "10.0.0.1", Service: i}); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		`{"Kind":"terminating-gateway","Name":"out","Services":[{"Name":"*"},{"Name":"b","SNI":"x"}]}`,
		`{"Kind":"service-defaults","Name":"c","Protocol":"http"}`,
		`{"Kind":"ingress-gateway","Name":"in","Listeners":[{"Port":1,"Protocol":"http","Services":[{"Name":"*"}]}]}`,
	} {
		if err := s.write(t, text); err != "" {
			t.Fatal(err)
		}
	}
	tx := s.Log.DB().Read()
	list := func(gateway string) (names []string) {
		rows, _ := (Gateways{}).Behind(tx, gateway)
		for _, r := range rows {
			names = append(names, fmt.Sprint(r.Service.Name, r.FromWildcard, r.SNI))
		}
		return names
	}
	if got, want := list("out"), []string{"bfalsex", "atrue", "ctrue"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := list("in"), []string{"ctrue"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := s.Log.Apply(t.Context(), &catalog.Register{Node: "n", Address: "10.0.0.1", Service: &catalog.Instance{ID: "d", Service: "d"}}); err != nil {
		t.Fatal(err)
	}
	if !tx.Watch().Fired() {
		t.Error("who waits is not woken by a new service")
	}
}

// Exported is what is named, and for a wildcard all that is there; who waits is woken by either.
func TestExported(t *testing.T) {
	s := newService(t)
	list := func(filter string) (string, *state.Tx) {
		tx := s.Log.DB().Read()
		rows, _, err := s.Exported(tx, acl.AllowAll(), &Exported{Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), tx
	}
	got, tx := list("")
	if got != "[]" {
		t.Errorf("nothing is exported, but %s", got)
	}
	if err := s.write(t, `{"Kind":"exported-services","Name":"default","Services":[{"Name":"web","Consumers":[{"Peer":"west"},{"Peer":"east"}]},{"Name":"*","Consumers":[{"Peer":"north"},{"Peer":"north"}]}]}`); err != "" {
		t.Fatal(err)
	}
	if !tx.Watch().Fired() {
		t.Error("who waits is not woken by the entry")
	}
	if got, tx = list(""); got != `[{"Service":"web","Consumers":{"Peers":["east","west"]}}]` {
		t.Error(got)
	}
	for _, name := range []string{"Web", "db", "consul"} {
		if _, err := s.Log.Apply(t.Context(), &catalog.Register{Node: "n", Address: "10.0.0.1", Service: &catalog.Instance{ID: name, Service: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if !tx.Watch().Fired() {
		t.Error("who waits is not woken by a new service")
	}
	if got, _ = list(""); got != `[{"Service":"db","Consumers":{"Peers":["north"]}},{"Service":"web","Consumers":{"Peers":["east","north","west"]}}]` {
		t.Error(got)
	}
	if got, _ = list("west in Consumers.Peers"); !strings.HasPrefix(got, `[{"Service":"web",`) {
		t.Error(got)
	}
	if got, _ = list("south in Consumers.Peers"); got != "[]" {
		t.Error(got)
	}
	var denial *acl.Denial
	if _, _, err := s.Exported(s.Log.DB().Read(), acl.DenyAll(), &Exported{}); !errors.As(err, &denial) {
		t.Error(err)
	}
}

// Durations of these entries are numbers for who reads them, whatever they were written as.
func TestDurationsAsNumbers(t *testing.T) {
	s := newService(t)
	if err := s.write(t, `{"Kind":"service-resolver","Name":"w","ConnectTimeout":"5s","LoadBalancer":{"Policy":"ring_hash","HashPolicies":[{"Field":"cookie","FieldValue":"c","CookieConfig":{"TTL":"2s"}}]}}`); err != "" {
		t.Fatal(err)
	}
	shown, err := json.Marshal(Find(s.Log.DB().Read(), ServiceResolver, "w"))
	if err != nil || !strings.Contains(string(shown), `"TTL":2000000000`) || !strings.Contains(string(shown), `"ConnectTimeout":"5s"`) {
		t.Errorf("%s %v", shown, err)
	}
}

// Whatever a client sends is stored as it can be read again, or refused.
func FuzzParse(f *testing.F) {
	for kind := range kinds {
		f.Add(`{"Kind":"` + kind + `","Name":"default","Routes":[{}],"Splits":[{"Weight":100}],"Sources":[{"Name":"a","Action":"allow"}]}`)
		f.Add(`{"Kind":"` + kind + `","Name":"global","Listeners":[null],"Services":[null],"Rules":[null],"JSONWebKeySet":null,"Config":{"protocol":1}}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var form Form
		if json.Unmarshal([]byte(text), &form) != nil {
			return
		}
		e, err := Parse(form)
		if err != nil {
			return
		}
		s := newService(t)
		if _, err := s.Put(t.Context(), acl.AllowAll(), &Put{Entry: *e}); err != nil {
			return
		}
		stored := Find(s.Log.DB().Read(), e.Kind, e.Name)
		shown, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		var again Form
		if err := json.Unmarshal(shown, &again); err != nil {
			t.Fatal(err)
		}
		back, err := Parse(again)
		if err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
		if err := Check(back); err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
	})
}
