package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
	"lictor/view"
)

// A lockServer answers what locks are made of from a log without Raft.
type lockServer struct {
	*Server
	registry rpc.Registry[acl.Authorizer]
	log      *state.Local
}

// Call implements rpc.Caller.
func (s *lockServer) Call(ctx context.Context, _ rpc.Header, method string, args, reply any) error {
	return s.registry.Dispatch(ctx, acl.AllowAll(), method, args, reply)
}

func newLockServer(t testing.TB) *lockServer {
	t.Helper()
	log, err := state.NewLocal(10, slices.Concat(catalog.Tables(), kv.Tables(), session.Tables())...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Apply(context.Background(), &catalog.Register{Node: "n1", Address: "10.0.0.1",
		Checks: []*catalog.Check{{Node: "n1", CheckID: catalog.SerfHealth, Status: catalog.Passing}}}); err != nil {
		t.Fatal(err)
	}
	s := &lockServer{log: log}
	sessions := &session.Service{Log: log}
	transactions := &txn.Service{Log: log, Catalog: &catalog.Service{Log: log, Datacenter: "dc1"}}
	rpc.Handle(&s.registry, session.CreateMethod, sessions.Create)
	rpc.Handle(&s.registry, session.DestroyMethod, sessions.Destroy)
	rpc.Handle(&s.registry, session.RenewMethod, sessions.Renew)
	rpc.Handle(&s.registry, session.LockMethod, sessions.Lock)
	rpc.Handle(&s.registry, txn.WriteMethod, transactions.Write)
	rpc.Handle(&s.registry, txn.ReadMethod, transactions.Read)
	views := view.New(view.Config{Log: log, Datacenter: "dc1"})
	t.Cleanup(views.Stop)
	view.Handle(views, session.InfoQuery, sessions.Info)
	view.Handle(views, session.ListQuery, sessions.List)
	view.Handle(views, session.NodeQuery, sessions.OnNode)
	s.Server = New(Config{Caller: s, Views: views, Datacenter: "dc1", Node: "n1", Log: slog.New(slog.DiscardHandler)})
	return s
}

func (s *lockServer) ask(method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func (s *lockServer) create(t testing.TB, body string) *session.Session {
	t.Helper()
	w := s.ask("PUT", "/v1/session/create", body)
	var made struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return session.Find(s.log.DB().Read(), made.ID)
}

func TestSessionForms(t *testing.T) {
	s := newLockServer(t)
	for body, want := range map[string]session.Session{
		``:                                {LockDelay: 15 * time.Second, NodeChecks: session.CheckIDs{"serfHealth"}},
		`{"lockdelay": 0, "ttl":"10.0s"}`: {TTL: "10.0s", NodeChecks: session.CheckIDs{"serfHealth"}},
		`{"LockDelay": "20s", "Foo": 1}`:  {LockDelay: 20 * time.Second, NodeChecks: session.CheckIDs{"serfHealth"}},
		`{"LockDelay": 5}`:                {LockDelay: 5 * time.Second, NodeChecks: session.CheckIDs{"serfHealth"}},
		`{"LockDelay": 5000000000}`:       {LockDelay: 5 * time.Second, NodeChecks: session.CheckIDs{"serfHealth"}},
		`{"checks": []}`:                  {LockDelay: 15 * time.Second, Checks: []string{}},
		`{"Checks": ["serfHealth"]}`:      {LockDelay: 15 * time.Second, NodeChecks: session.CheckIDs{"serfHealth"}, Checks: []string{"serfHealth"}},
		`{"NodeChecks": []}`:              {LockDelay: 15 * time.Second, NodeChecks: session.CheckIDs{}},
	} {
		got := *s.create(t, body)
		got.ID, got.CreateIndex, got.ModifyIndex = "", 0, 0
		want.Node, want.Behavior = "n1", session.KeysRelease
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: got %+v, want %+v", body, got, want)
		}
	}
}

func TestSessionAnswers(t *testing.T) {
	s := newLockServer(t)
	id := s.create(t, `{"TTL": "30s"}`).ID
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/v1/session/create", `{"TTL": 10}`, 400, "Request decode failed: json: cannot unmarshal number into Go struct field .Alias.TTL of type string"},
		{"PUT", "/v1/session/create", `{"LockDelay": "x"}`, 400, `Request decode failed: time: invalid duration "x"`},
		{"PUT", "/v1/session/create", `{"TTL": "1s"}`, 500, "Invalid Session TTL '1000000000', must be between [10s=24h0m0s]"},
		{"PUT", "/v1/session/create", `{"Node": "n2"}`, 500, "apply failed: Missing node registration"},
		{"PUT", "/v1/session/destroy/", ``, 400, "Missing session"},
		{"PUT", "/v1/session/destroy/none", ``, 200, "true"},
		{"PUT", "/v1/session/renew/none", ``, 404, "Session id 'none' not found"},
		{"GET", "/v1/session/info/none", ``, 200, "[]"},
		{"GET", "/v1/session/node/none", ``, 200, "[]"},
		{"GET", "/v1/session/node/", ``, 400, "Missing node name"},
		{"PUT", "/v1/kv/k?acquire=" + id, ``, 200, "true"},
		{"PUT", "/v1/kv/k?acquire=none", ``, 500, `raft apply failed: invalid session "none"`},
		{"PUT", "/v1/kv/k?acquire=", ``, 500, "raft apply failed: missing session"},
		{"PUT", "/v1/kv/k?release=none", ``, 200, "false"},
		{"PUT", "/v1/kv/k?release=a&acquire=b", ``, 400, "Conflicting flags: acquire=b&release=a\n"},
		{"PUT", "/v1/kv/k?release=" + id, ``, 200, "true"},
		{"PUT", "/v1/session/destroy/" + id, ``, 200, "true"},
		{"GET", "/v1/session/list", ``, 200, "[]"},
	} {
		if w := s.ask(x.method, x.path, x.body); w.Code != x.status || w.Body.String() != x.want {
			t.Errorf("%s %s %s: %d %q, want %d %q", x.method, x.path, x.body, w.Code, w.Body, x.status, x.want)
		}
	}
}

func TestTransactionAnswers(t *testing.T) {
	s := newLockServer(t)
	many := strings.Repeat(`,{"KV":{"Verb":"get","Key":"k"}}`, txn.MaxOps+1)[1:]
	for _, x := range []struct {
		body   string
		status int
		want   string
	}{
		{``, 400, "Failed to parse body: EOF"},
		{`{bad`, 400, "Failed to parse body: invalid character 'b' looking for beginning of object key string"},
		{`{}`, 400, "Failed to parse body: json: cannot unmarshal object into Go value of type api.TxnOps"},
		{`[{"KV":{"Verb":"set","Key":"v","Value":"not base64!"}}]`, 400, "Failed to parse body: illegal base64 data at input byte 3"},
		{`[` + many + `]`, 413, "Transaction contains too many operations (129 > 128)"},
		{`[{"KV":{"Verb":"set","Key":"k","Value":"dg=="}}]`, 200,
			`{"Results":[{"KV":{"LockIndex":0,"Key":"k","Flags":0,"Value":null,"CreateIndex":11,"ModifyIndex":11}}],"Errors":null}`},
		{`[{"KV":{"Verb":"delete-cas","Key":"k","Index":1}}]`, 409,
			`{"Results":null,"Errors":[{"OpIndex":0,"What":"failed to delete key \"k\", index is stale"}]}`},
		{`[{"KV":{"Verb":"get","Key":"k"}}]`, 200, `{"Backend":0,"ConsistencyLevel":"","Errors":null,"Index":11,"KnownLeader":true,"LastContact":0,"NotModified":false,` +
			`"Results":[{"KV":{"LockIndex":0,"Key":"k","Flags":0,"Value":"dg==","CreateIndex":11,"ModifyIndex":11}}],"ResultsFilteredByACLs":false}`},
		{`[{"KV":{}}]`, 409, `{"Backend":0,"ConsistencyLevel":"","Errors":[{"OpIndex":0,"What":"Must provide key"}],"Index":0,"KnownLeader":false,"LastContact":0,` +
			`"NotModified":false,"Results":null,"ResultsFilteredByACLs":false}`},
	} {
		if w := s.ask("PUT", "/v1/txn", x.body); w.Code != x.status || w.Body.String() != x.want {
			t.Errorf("%.80s: %d %s\nwant %d %s", x.body, w.Code, w.Body, x.status, x.want)
		}
	}
}

func FuzzSessionCreate(f *testing.F) {
	s := newLockServer(f)
	f.Add(`{"TTL":"10s","LockDelay":"-20s","Checks":["serfHealth"],"ServiceChecks":[{"ID":"x"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		if w := s.ask("PUT", "/v1/session/create", body); w.Code != 200 && w.Code != 400 && w.Code != 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzTransaction(f *testing.F) {
	s := newLockServer(f)
	f.Add(`[{"KV":{"Verb":"set","Key":"k","Value":"dg=="}},{"Node":{"Verb":"set","Node":{"Node":"m","Address":"1.1.1.1"}}}]`)
	f.Add(`[{"Service":{"Verb":"set","Node":"m","Service":{"Service":"x"}}},{"Check":{"Verb":"cas","Check":{"Node":"m","CheckID":"c"}}}]`)
	f.Add(`[{"Session":{"Verb":"delete","Session":{"ID":"s"}}},{"KV":{"Verb":"lock","Key":"k","Session":"s"}},{}]`)
	f.Fuzz(func(t *testing.T, body string) {
		switch w := s.ask("PUT", "/v1/txn", body); w.Code {
		case 200, 400, 409, 413:
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
