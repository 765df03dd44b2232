package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/httpapi"
	"lictor/kv"
	"lictor/kvreplication"
	prepared "lictor/query"
	"lictor/raftstore"
	"lictor/replica"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
	"lictor/view"
)

// A stranger may do nothing. It counts what it was asked for.
type stranger struct {
	id    string
	asked atomic.Int64
}

func (s *stranger) Allow(acl.Resource, string, acl.Access) bool { s.asked.Add(1); return false }
func (s *stranger) ID() string                                  { return s.id }
func (s *stranger) Accessor() string                            { return s.id }

// A porter resolves tokens: "" may do everything, any other is a stranger of its own.
type porter struct{ strangers map[string]*stranger }

func (p *porter) resolve(_ context.Context, token string) (acl.Authorizer, error) {
	if token == "" {
		return acl.AllowAll(), nil
	}
	return p.strangers[token], nil
}

func (p *porter) next() *stranger {
	s := &stranger{id: fmt.Sprintf("stranger-%d", len(p.strangers))}
	p.strangers[s.id] = s
	return s
}

// guarded runs an agent full of secrets and gives who resolves its tokens.
func guarded(t *testing.T) (*subject, *porter, string) {
	t.Helper()
	p := &porter{strangers: map[string]*stranger{}}
	s, err := newSubject(t, basis(t, t.TempDir()), `acl { enabled = true default_policy = "deny" tokens { initial_management = "00000000-aaaa-4aaa-8aaa-000000000001" } }
		enable_debug = true node_name = "secret-node" node_meta { m = "secret" }
		consul { coordinate { update_period = "10ms" } }`)
	if err != nil {
		t.Fatal(err)
	}
	s.resolve = p.resolve
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	s.eventually("the node is there", func() bool { return strings.Contains(s.get("/v1/catalog/nodes"), "secret-node") })
	s.put("/v1/kv/secret/key", "secret value")
	s.put("/v1/agent/service/register", `{"ID": "secret-id", "Name": "secret-service", "Address": "10.6.6.6", "Connect": {"Native": true}, "Check": {"CheckID": "secret-check", "TTL": "1h", "Status": "passing"}}`)
	s.eventually("the service is there", func() bool {
		return strings.Contains(s.get("/v1/health/service/secret-service"), "secret-check")
	})
	s.put("/v1/config", `{"Kind": "service-defaults", "Name": "secret-service"}`)
	s.put("/v1/connect/intentions/exact?source=secret-caller&destination=secret-service", `{"Action": "allow"}`)
	s.put("/v1/coordinate/update", `{"Node": "secret-node", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5, "Height": 0.1, "Adjustment": 0}}`)
	s.eventually("the place is there", func() bool { return strings.Contains(s.get("/v1/coordinate/nodes"), "secret-node") })
	s.put("/v1/event/fire/secret-event", "")
	s.eventually("the event is there", func() bool { return strings.Contains(s.get("/v1/event/list"), "secret-event") })
	s.ask("POST", "/v1/query", `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`)
	status, text := s.ask("PUT", "/v1/session/create", `{"Name": "secret-session"}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	return s, p, s.fields(text)["ID"].(string)
}

// someID is an identifier of nothing.
const someID = "12345678-0000-4000-8000-000000000000"

// secretQuery is the ID of the prepared query.
func (s *subject) secretQuery() string {
	id, _, _ := strings.Cut(strings.TrimPrefix(s.get("/v1/query"), `[{"ID":"`), `"`)
	return id
}

// visits are the requests that are good apart from the token, by method and path. What is not here is asked for as it
// stands, and with "secret" behind a slash at the end.
func visits(session, query string) map[string]struct{ path, body string } {
	return map[string]struct{ path, body string }{
		"POST /v1/query":                           {"", `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`},
		"GET /v1/query/":                           {query, ""},
		"PUT /v1/query/":                           {query, `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`},
		"DELETE /v1/query/":                        {query, ""},
		"PUT /v1/acl/policy":                       {"", `{"Name": "mine"}`},
		"PUT /v1/acl/policy/":                      {someID, `{"Name": "mine"}`},
		"GET /v1/acl/policy/":                      {someID, ""},
		"DELETE /v1/acl/policy/":                   {someID, ""},
		"PUT /v1/acl/role":                         {"", `{"Name": "mine"}`},
		"PUT /v1/acl/role/":                        {someID, `{"Name": "mine"}`},
		"GET /v1/acl/role/":                        {someID, ""},
		"DELETE /v1/acl/role/":                     {someID, ""},
		"PUT /v1/acl/token":                        {"", `{}`},
		"PUT /v1/acl/token/":                       {someID, `{}`},
		"GET /v1/acl/token/":                       {someID, ""},
		"DELETE /v1/acl/token/":                    {someID, ""},
		"POST /v1/acl/templated-policy/preview/":   {"builtin/service", `{"Name": "secret"}`},
		"PUT /v1/acl/auth-method":                  {"", `{"Name": "mine", "Type": "jwt"}`},
		"PUT /v1/acl/auth-method/":                 {"mine", `{"Type": "jwt"}`},
		"PUT /v1/acl/binding-rule":                 {"", `{"AuthMethod": "mine"}`},
		"PUT /v1/acl/binding-rule/":                {someID, `{"AuthMethod": "mine"}`},
		"GET /v1/acl/binding-rule/":                {someID, ""},
		"DELETE /v1/acl/binding-rule/":             {someID, ""},
		"POST /v1/acl/explain":                     {"", `{"Resource": "key", "Access": "read"}`},
		"POST /v1/acl/login":                       {"", `{"AuthMethod": "none"}`},
		"POST /v1/acl/oidc/auth-url":               {"", `{"AuthMethod": "none"}`},
		"POST /v1/acl/oidc/callback":               {"", `{"AuthMethod": "none"}`},
		"PUT /v1/agent/token/":                     {"default", `{"Token": "mine"}`},
		"POST /v1/internal/acl/authorize":          {"", `[{"Resource": "key", "Segment": "mine", "Access": "read"}]`},
		"PUT /v1/catalog/register":                 {"", `{"Node": "secret-node", "Address": "10.0.0.1"}`},
		"PUT /v1/catalog/deregister":               {"", `{"Node": "secret-node"}`},
		"PUT /v1/config":                           {"", `{"Kind": "service-defaults", "Name": "secret-service", "Protocol": "http"}`},
		"GET /v1/config/":                          {"service-defaults/secret-service", ""},
		"DELETE /v1/config/":                       {"service-defaults/secret-service", ""},
		"POST /v1/connect/intentions":              {"", `{"SourceName": "x", "DestinationName": "secret-service", "Action": "allow"}`},
		"GET /v1/connect/intentions/":              {someID, ""},
		"PUT /v1/connect/intentions/":              {someID, `{"SourceName": "x", "DestinationName": "secret-service", "Action": "allow"}`},
		"DELETE /v1/connect/intentions/":           {someID, ""},
		"GET /v1/connect/intentions/check":         {"?source=x&destination=secret-service", ""},
		"GET /v1/connect/intentions/exact":         {"?source=secret-caller&destination=secret-service", ""},
		"PUT /v1/connect/intentions/exact":         {"?source=x&destination=secret-service", `{"Action": "deny"}`},
		"DELETE /v1/connect/intentions/exact":      {"?source=secret-caller&destination=secret-service", ""},
		"GET /v1/connect/intentions/match":         {"?by=destination&name=secret-service", ""},
		"PUT /v1/connect/ca/configuration":         {"", `{"Provider": "consul"}`},
		"PUT /v1/coordinate/update":                {"", `{"Node": "secret-node", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5}}`},
		"GET /v1/health/state/":                    {"any", ""},
		"GET /v1/catalog/node/":                    {"secret-node", ""},
		"GET /v1/catalog/node-services/":           {"secret-node", ""},
		"GET /v1/health/node/":                     {"secret-node", ""},
		"GET /v1/coordinate/node/":                 {"secret-node", ""},
		"GET /v1/session/node/":                    {"secret-node", ""},
		"GET /v1/catalog/service/":                 {"secret-service", ""},
		"GET /v1/catalog/connect/":                 {"secret-service", ""},
		"GET /v1/health/checks/":                   {"secret-service", ""},
		"GET /v1/health/connect/":                  {"secret-service", ""},
		"GET /v1/health/ingress/":                  {"secret-service", ""},
		"GET /v1/health/service/":                  {"secret-service", ""},
		"GET /v1/kv/":                              {"secret/key", ""},
		"PUT /v1/kv/":                              {"secret/key", "changed"},
		"DELETE /v1/kv/":                           {"secret/key", ""},
		"PUT /v1/session/create":                   {"", `{"Name": "mine"}`},
		"PUT /v1/session/destroy/":                 {session, ""},
		"PUT /v1/session/renew/":                   {session, ""},
		"GET /v1/session/info/":                    {session, ""},
		"PUT /v1/txn":                              {"", `[{"KV": {"Verb": "set", "Key": "secret/key", "Value": ""}}]`},
		"PUT /v1/agent/join/":                      {"127.0.0.1", ""},
		"PUT /v1/agent/force-leave/":               {"secret-node", ""},
		"GET /v1/agent/service/":                   {"secret-id", ""},
		"PUT /v1/agent/service/register":           {"", `{"Name": "secret-service"}`},
		"PUT /v1/agent/service/deregister/":        {"secret-id", ""},
		"PUT /v1/agent/service/maintenance/":       {"secret-id?enable=true", ""},
		"PUT /v1/agent/maintenance":                {"?enable=true", ""},
		"PUT /v1/agent/check/register":             {"", `{"Name": "mine", "TTL": "1h"}`},
		"PUT /v1/agent/check/deregister/":          {"secret-check", ""},
		"PUT /v1/agent/check/pass/":                {"secret-check", ""},
		"PUT /v1/agent/check/warn/":                {"secret-check", ""},
		"PUT /v1/agent/check/fail/":                {"secret-check", ""},
		"PUT /v1/agent/check/update/":              {"secret-check", `{"Status": "critical"}`},
		"GET /v1/agent/health/service/id/":         {"secret-id", ""},
		"GET /v1/agent/health/service/name/":       {"secret-service", ""},
		"GET /v1/catalog/gateway-services/":        {"secret-service", ""},
		"GET /v1/operator/autopilot/health":        {"", ""},
		"GET /v1/operator/autopilot/state":         {"", ""},
		"DELETE /v1/operator/raft/peer":            {"?id=x", ""},
		"POST /v1/operator/keyring":                {"", `{"Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}`},
		"PUT /v1/operator/keyring":                 {"", `{"Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}`},
		"DELETE /v1/operator/keyring":              {"", `{"Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}`},
		"GET /v1/agent/metrics/stream":             {"", ""},
		"PUT /v1/operator/autopilot/configuration": {"", "{}"},
	}
}

// public are the paths that answer everybody, and why.
var public = map[string]string{
	"GET /v1/status/leader":           "which server leads is told to everybody, as by Consul",
	"GET /v1/status/peers":            "which servers there are is told to everybody, as by Consul",
	"GET /v1/catalog/datacenters":     "which datacenters there are is no secret",
	"GET /v1/coordinate/datacenters":  "which datacenters there are is no secret",
	"GET /v1/acl/replication":         "it tells nothing but that there is one datacenter",
	"POST /v1/internal/acl/authorize": "to each its own",
	"POST /v1/acl/login":              "whoever can prove something",
	"POST /v1/acl/oidc/auth-url":      "whoever wants to prove something",
	"POST /v1/acl/oidc/callback":      "whoever can prove something",
	"POST /v1/acl/logout":             "to each its own",
	"PUT /v1/acl/bootstrap":           "whoever comes first, once",
	"GET /v1/acl/token/self":          "to each its own",
	"GET /v1/connect/ca/roots":        "root certificates are public",
	"GET /v1/agent/connect/ca/roots":  "root certificates are public",
}

var secrets = regexp.MustCompile(`secret|10\.6\.6\.6`)

// Each path asks whether the token may do what it is about to do, and refuses it or leaves out what may not be seen. A
// new path is in this test by itself: if it fails, the path does not ask, or its row is missing in visits.
func TestEveryPathAsks(t *testing.T) {
	s, p, session := guarded(t)
	good := visits(session, s.secretQuery())
	before := s.server.node.Stats()["last_log_index"]
	for _, e := range httpapi.Endpoints() {
		for _, method := range e.Methods {
			name := method + " " + e.Path
			visit := good[name]
			if _, known := good[name]; !known && strings.HasSuffix(e.Path, "/") {
				visit.path = "secret"
			}
			for _, more := range []string{"", "recurse", "keys", "raw", "stale", "cached", `filter=Node=="secret-node"`} {
				if more != "" && (method != "GET" || more != "stale" && more != "cached" && more[0] != 'f' && e.Path != "/v1/kv/") {
					continue
				}
				path := e.Path + visit.path
				switch {
				case more != "" && strings.Contains(path, "?"):
					path += "&" + more
				case more != "":
					path += "?" + more
				}
				who := p.next()
				status, text := s.askAs(who.id, method, path, visit.body)
				judge(t, name, verdict{path: path, status: status, text: text, asked: who.asked.Load() > 0})
			}
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/pprof/profile", "/debug/pprof/trace"} {
		if status, text := s.askAs(p.next().id, "GET", path, ""); status != http.StatusForbidden {
			t.Errorf("GET %s answers a stranger %d %s", path, status, text)
		}
	}
	if after := s.server.node.Stats()["last_log_index"]; before != after {
		t.Errorf("a stranger has caused writes: the log was at %s and is at %s", before, after)
	}
}

// A verdict is how a path has met a stranger.
type verdict struct {
	path   string
	status int
	text   string
	asked  bool
}

func judge(t *testing.T, name string, v verdict) {
	t.Helper()
	switch {
	case public[name] != "", v.status == http.StatusNotImplemented, v.status == http.StatusUnauthorized && v.text == "ACL support disabled":
		return
	case strings.HasPrefix(v.text, "Failed to create boolean expression evaluator"): // nothing was looked at yet
	case !v.asked:
		t.Errorf("%s: nobody was asked, and the answer is %d %.200s", name, v.status, v.text)
	case v.status == http.StatusForbidden:
		if !strings.Contains(v.text, "Permission denied") {
			t.Errorf("%s: %s", name, v.text)
		}
	case name == "PUT /v1/txn":
		if v.status != http.StatusConflict || !strings.Contains(v.text, "Permission denied") {
			t.Errorf("%s answers a stranger %d %s", name, v.status, v.text)
		}
	case !strings.HasPrefix(name, "GET "):
		t.Errorf("%s: a stranger gets %d %.200s", name, v.status, v.text)
	case secrets.MatchString(v.text):
		t.Errorf("%s (%s): a stranger sees %.300s", name, v.path, v.text)
	case v.status != http.StatusOK && v.status != http.StatusNotFound:
		t.Errorf("%s (%s): a stranger gets %d %.200s; its row in visits may be missing", name, v.path, v.status, v.text)
	}
}

// askAs is ask with a token.
func (s *subject) askAs(token, method, path, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(within(s.t), method, s.url(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Consul-Token", token)
	return s.do(request)
}

// A trial is a method or a query, called by somebody.
type trial func(t *testing.T, s *subject, az *stranger) (reply any, err error)

func method[A, R any](m rpc.Method[A, R], args A) (string, trial) {
	return m.Name, func(t *testing.T, s *subject, az *stranger) (any, error) {
		var reply R
		err := s.server.registry.Dispatch(within(t), az, m.Name, &args, &reply)
		return reply, err
	}
}

func query[A comparable, R any](q rpc.Query[A, R], args A) (string, trial) {
	return q.Name, func(t *testing.T, s *subject, az *stranger) (any, error) {
		answer, err := view.Read(within(t), s.views, q, &view.Options{Header: rpc.Header{Token: az.id}}, args)
		if err != nil {
			return nil, err
		}
		return answer.Value(), nil
	}
}

// publicMethods answer everybody.
var publicMethods = []string{"Status.Leader", "Status.Peers", "Coordinate.Datacenters", "Catalog.Datacenters", "ConnectCA.Roots", "Servers.Invite", "Operator.LogStats", "Raft.ReadIndex",
	"AutoConfig.InitialConfiguration",                                                                                                                               // which asks the token that introduces
	"ACL.Bootstrap", "ACL.Login", "ACL.OIDCAuthURL", "ACL.OIDCCallback", "ACL.Logout", "ACL.TokenSelf", "ACL.Resolve", "ACL.ResolveGlobal", "ACL.ReplicationStatus"} // whoever comes first; to each its own

// Each method and query asks, in its own service and not only in the HTTP API. If this fails for a new one, its row is
// missing below, or it does not ask.
func TestEveryMethodAsks(t *testing.T) {
	s, p, id := guarded(t)
	trials := map[string]trial{}
	add := func(name string, do trial) { trials[name] = do }
	add(method(acl.BootstrapMethod, acl.Bootstrap{}))
	add(method(acl.SetPolicyMethod, acl.PolicyChange{Policy: acl.Policy{Name: "mine"}}))
	add(method(acl.DeletePolicyMethod, acl.ByID{ID: someID}))
	add(method(acl.SetRoleMethod, acl.RoleChange{Role: acl.Role{Name: "mine"}}))
	add(method(acl.DeleteRoleMethod, acl.ByID{ID: someID}))
	add(method(acl.SetTokenMethod, acl.TokenChange{Create: true}))
	add(method(acl.CloneTokenMethod, acl.Clone{AccessorID: acl.AnonymousID}))
	add(method(acl.DeleteTokenMethod, acl.ByID{ID: someID}))
	add(method(acl.SetAuthMethodMethod, acl.AuthMethodChange{Method: acl.AuthMethod{Name: "mine"}}))
	add(method(acl.DeleteAuthMethodMethod, acl.ByName{Name: "mine"}))
	add(method(acl.SetBindingRuleMethod, acl.BindingRuleChange{}))
	add(method(acl.DeleteBindingRuleMethod, acl.ByID{ID: someID}))
	add(method(acl.LoginMethod, acl.Login{}))
	add(method(acl.StartOIDCMethod, acl.OIDCStart{}))
	add(method(acl.FinishOIDCMethod, acl.OIDCCallback{}))
	add(method(acl.LogoutMethod, struct{}{}))
	add(method(acl.ExplainMethod, acl.Question{Resource: "key", Access: "read"}))
	add(query(acl.SelfQuery, acl.Self{}))
	add(method(acl.ResolveMethod, struct{}{}))
	add(method(acl.ResolveGlobalMethod, acl.Abroad{Datacenter: "dc2"}))
	add(method(acl.ReplicationMethod, struct{}{}))
	add(method(replica.ListMethod, replica.Question{Kinds: []replica.Seen{{Kind: "acl-tokens"}, {Kind: "config-entries"}}}))
	add(method(replica.FetchMethod, replica.Selection{Kind: "acl-tokens", Keys: []string{acl.AnonymousID}}))
	add(query(acl.TokenQuery, acl.OneToken{AccessorID: acl.AnonymousID}))
	add(query(acl.TokensQuery, acl.ListTokens{}))
	add(query(acl.PolicyQuery, acl.Named{ID: someID}))
	add(query(acl.PoliciesQuery, acl.ListPolicies{}))
	add(query(acl.RoleQuery, acl.Named{ID: someID}))
	add(query(acl.RolesQuery, acl.ListRoles{}))
	add(query(acl.AuthMethodQuery, acl.Named{Name: "x"}))
	add(query(acl.AuthMethodsQuery, acl.ListAuthMethods{}))
	add(query(acl.BindingRuleQuery, acl.Named{ID: someID}))
	add(query(acl.BindingRulesQuery, acl.ListBindingRules{}))
	add(method(ca.SettingsMethod, struct{}{}))
	add(method(ca.SetSettingsMethod, ca.Change{Provider: "consul"}))
	add(method(ca.SignMethod, ca.SignRequest{Node: "secret-node"}))
	add(method(catalog.RegisterMethod, catalog.Register{Node: "secret-node", Address: "10.0.0.1"}))
	add(method(catalog.DeregisterMethod, catalog.Deregister{Node: "secret-node"}))
	add(method(configentry.PutMethod, configentry.Put{Entry: configentry.Entry{Kind: configentry.ServiceDefaults, Name: "secret-service", Text: "{}"}}))
	add(method(configentry.DeleteMethod, configentry.Delete{Kind: configentry.ServiceDefaults, Name: "secret-service"}))
	add(query(configentry.GetQuery, configentry.Get{Kind: configentry.ServiceDefaults, Name: "secret-service"}))
	add(query(configentry.ListQuery, configentry.List{}))
	add(query(configentry.ExportedQuery, configentry.Exported{}))
	add(method(configentry.ChangeIntentionMethod, configentry.ChangeIntention{Verb: configentry.UpsertIntention, Destination: "secret-service", Source: `{"Name": "x", "Action": "allow"}`}))
	add(query(configentry.ListIntentionsQuery, configentry.ListIntentions{}))
	add(query(configentry.OneIntentionQuery, configentry.OneIntention{Source: "secret-caller", Destination: "secret-service"}))
	add(query(configentry.MatchQuery, configentry.Match{Names: catalog.ListOf("secret-service")}))
	add(query(configentry.CheckQuery, configentry.CheckCall{Source: "x", Destination: "secret-service"}))
	add(method(coordinate.UpdateMethod, coordinate.Update{Node: "secret-node"}))
	add(method(coordinate.NamesMethod, struct{}{}))
	add(method(coordinate.DatacentersMethod, struct{}{}))
	add(method(event.FireMethod, event.Event{Name: "secret-event"}))
	add(method(kvreplication.StatusMethod, struct{}{}))
	add(method(kv.PutMethod, kv.Put{Key: "secret/key"}))
	add(method(kv.DeleteMethod, kv.Delete{Key: "secret/key"}))
	add(method(raftstore.LeaderMethod, struct{}{}))
	add(method(raftstore.LogStatsMethod, struct{}{}))
	add(method(raftstore.ReadIndexMethod, raftstore.ReadIndex{}))
	add(method(inviteMethod, nil))
	add(method(ca.IntroduceMethod, ca.Introduce{}))
	add(method(raftstore.PeersMethod, struct{}{}))
	add(method(raftstore.ConfigurationMethod, struct{}{}))
	add(method(raftstore.RemovePeerMethod, raftstore.Peer{ID: "x"}))
	add(method(raftstore.TransferLeaderMethod, raftstore.Peer{}))
	add(method(raftstore.AutopilotMethod, state.ReadOptions{}))
	add(method(raftstore.SetAutopilotMethod, raftstore.SetAutopilot{Config: raftstore.DefaultAutopilot()}))
	add(method(raftstore.FitnessMethod, struct{}{}))
	add(method(gossip.KeyringMethod, gossip.KeyringRequest{Operation: gossip.ListKeys}))
	add(method(session.CreateMethod, session.Create{Session: session.Session{Node: "secret-node"}}))
	add(method(session.DestroyMethod, session.Destroy{IDs: []string{id}}))
	add(method(session.RenewMethod, session.Renew{ID: id}))
	add(method(session.LockMethod, session.Lock{Key: "secret/key", Session: id}))
	add(method(txn.WriteMethod, txn.Ops{{KV: &txn.KVOp{Verb: "set", Key: "secret/key"}}}))
	add(method(txn.ReadMethod, txn.Read{Ops: txn.Ops{{KV: &txn.KVOp{Verb: "get", Key: "secret/key"}}}}))
	add(method(prepared.CreateMethod, prepared.Set{Query: prepared.Query{Name: "secret-query", Service: prepared.Service{Service: "x"}}}))
	add(method(prepared.UpdateMethod, prepared.Set{Query: prepared.Query{ID: s.secretQuery(), Name: "mine", Service: prepared.Service{Service: "x"}}}))
	add(method(prepared.DeleteMethod, prepared.Delete{ID: s.secretQuery()}))
	add(query(prepared.ListQuery, prepared.List{}))
	add(query(prepared.GetQuery, prepared.Get{ID: s.secretQuery()}))
	add(query(prepared.ExplainQuery, prepared.Explain{Name: "secret-query"}))
	found := func(name string, run trial) { // the name of its service is told, as by Consul
		add(name, func(t *testing.T, s *subject, az *stranger) (any, error) {
			r, err := run(t, s, az)
			return r.(*prepared.Response).Nodes, err
		})
	}
	found(query(prepared.ExecuteQuery, prepared.Execute{Name: "secret-query"}))
	found(method(prepared.ElsewhereMethod, prepared.Elsewhere{Execute: prepared.Execute{Name: "secret-query"}}))
	found(method(prepared.SearchMethod, prepared.Search{Service: prepared.Service{Service: "secret-service"}}))
	add(query(ca.RootsQuery, struct{}{}))
	add(query(catalog.NodesQuery, catalog.Nodes{}))
	add(query(catalog.NodeQuery, catalog.OnNode{Node: "secret-node"}))
	add(query(catalog.NodeServicesQuery, catalog.OnNode{Node: "secret-node"}))
	add(query(catalog.ServicesQuery, catalog.Services{}))
	add(query(catalog.ServiceNodesQuery, catalog.ServiceNodes{Service: "secret-service"}))
	add(query(catalog.GatewayQuery, catalog.GatewayServices{Gateway: "secret-service"}))
	add(query(catalog.ServiceHealthQuery, catalog.ServiceHealth{Service: "secret-service"}))
	add(query(catalog.NodeChecksQuery, catalog.NodeChecks{Node: "secret-node"}))
	add(query(catalog.ServiceChecksQuery, catalog.ServiceChecks{Service: "secret-service"}))
	add(query(catalog.ChecksInStateQuery, catalog.ChecksInState{State: catalog.AnyState}))
	add(query(catalog.AddressQuery, catalog.AtAddress{Address: "10.6.6.6"}))
	add(query(catalog.VirtualAddressQuery, catalog.VirtualAddress{Service: "secret-service"}))
	add(query(catalog.UsageQuery, catalog.Count{}))
	add(query(coordinate.NodesQuery, coordinate.Nodes{}))
	add(query(coordinate.NodeQuery, coordinate.OneNode{Node: "secret-node"}))
	add(query(kv.GetQuery, kv.Get{Key: "secret/key"}))
	add(query(kv.ListQuery, kv.List{Prefix: ""}))
	add(query(kv.KeysQuery, kv.Keys{Prefix: ""}))
	add(query(session.InfoQuery, session.Info{ID: id}))
	add(query(session.ListQuery, session.List{}))
	add(query(session.NodeQuery, session.OnNode{Node: "secret-node"}))

	names := s.server.registry.Names()
	for _, q := range reflect.ValueOf(s.views).Elem().FieldByName("queries").MapKeys() {
		names = append(names, q.String())
	}
	before := s.server.node.Stats()["last_log_index"]
	for _, name := range names {
		do := trials[name]
		if do == nil {
			t.Errorf("%s has no row in this test", name)
			continue
		}
		if slices.Contains(publicMethods, name) {
			continue
		}
		az := p.next()
		reply, err := do(t, s, az)
		text, _ := json.Marshal(reply)
		switch {
		case az.asked.Load() == 0:
			t.Errorf("%s did not ask, and answers %s, %v", name, text, err)
		case err != nil && rpc.CodeOf(err) != rpc.PermissionDenied:
			t.Errorf("%s fails with %v", name, err)
		case err == nil && secrets.Match(text) && !strings.Contains(string(text), "Permission denied"):
			t.Errorf("%s shows a stranger %s", name, text)
		}
	}
	if after := s.server.node.Stats()["last_log_index"]; before != after {
		t.Errorf("a stranger has caused writes: the log was at %s and is at %s", before, after)
	}
}
