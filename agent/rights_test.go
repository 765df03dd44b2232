package agent

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/rpc"
)

const management = "00000000-aaaa-4aaa-8aaa-000000000001"

// A right is what a request needs: it is carried out for who has exactly that, and for nobody else.
type right struct {
	request, body string
	rules         string // exactly what it needs
	narrow        string // somewhat less
	shows         string // what a listing shows to who may see it; "" is for requests that are refused
}

// rights is what the families of requests need.
func rights(session string) []right {
	node := func(level string) string { return fmt.Sprintf(`node "secret-node" { policy = %q } `, level) }
	service := func(level string) string { return fmt.Sprintf(`service "secret-service" { policy = %q } `, level) }
	return []right{
		{"GET /v1/kv/secret/key", "", `key "secret/key" { policy = "read" }`, `key_prefix "secret/k" { policy = "read" } key "secret/key" { policy = "deny" }`, ""},
		{"PUT /v1/kv/secret/key", "x", `key "secret/key" { policy = "write" }`, `key "secret/key" { policy = "read" }`, ""},
		{"DELETE /v1/kv/secret/?recurse", "", `key_prefix "secret/" { policy = "write" }`, `key_prefix "secret/" { policy = "write" } key "secret/other" { policy = "read" }`, ""},
		{"GET /v1/kv/?keys", "", `key_prefix "secret/" { policy = "read" }`, `key "secret" { policy = "write" }`, "secret/key"},
		{"GET /v1/catalog/nodes", "", node("read"), service("write"), "secret-node"},
		{"GET /v1/catalog/services", "", service("read"), node("write"), "secret-service"},
		{"GET /v1/health/service/secret-service", "", service("read") + node("read"), service("write"), "secret-service"},
		{"PUT /v1/catalog/register", `{"Node": "secret-node", "Address": "10.0.0.9", "SkipNodeUpdate": true, "Service": {"Service": "secret-service", "ID": "x"}}`, service("write"), service("read") + node("write"), ""},
		{"PUT /v1/catalog/deregister", `{"Node": "secret-node", "ServiceID": "x"}`, service("write"), service("read"), ""},
		{"PUT /v1/session/create", `{"Node": "secret-node", "NodeChecks": []}`, `session "secret-node" { policy = "write" }`, `session_prefix "" { policy = "read" }`, ""},
		{"GET /v1/session/info/" + session, "", `session "secret-node" { policy = "read" }`, node("write"), session},
		{"PUT /v1/session/renew/" + session, "", `session "secret-node" { policy = "write" }`, `session "secret-node" { policy = "read" }`, ""},
		{"PUT /v1/txn", `[{"KV": {"Verb": "set", "Key": "secret/t", "Value": ""}}]`, `key "secret/t" { policy = "write" }`, `key "secret/t" { policy = "read" }`, ""},
		{"GET /v1/agent/self", "", `agent "secret-node" { policy = "read" }`, `operator = "write"`, ""},
		{"GET /v1/agent/services", "", service("read"), `agent_prefix "" { policy = "write" }`, "secret-service"},
		{"PUT /v1/agent/service/register", `{"Name": "secret-service", "ID": "y"}`, service("write"), service("read"), ""},
		{"PUT /v1/agent/service/deregister/y", "", service("write"), service("read"), ""},
		{"PUT /v1/agent/reload", "", `agent "secret-node" { policy = "write" }`, `agent "secret-node" { policy = "read" }`, ""},
		{"PUT /v1/agent/token/dns", `{"Token": "x"}`, `agent "secret-node" { policy = "write" }`, `agent "secret-node" { policy = "read" } acl = "write"`, ""},
		{"GET /v1/agent/members", "", node("read"), `agent_prefix "" { policy = "write" }`, "secret-node"},
		{"GET /v1/coordinate/nodes", "", node("read"), service("read"), "secret-node"},
		{"PUT /v1/event/fire/secret-event", "", `event "secret-event" { policy = "write" }`, `event "secret-event" { policy = "read" }`, ""},
		{"GET /v1/event/list", "", `event "secret-event" { policy = "read" }`, `event "other" { policy = "write" }`, "secret-event"},
		{"GET /v1/operator/raft/configuration", "", `operator = "read"`, `acl = "write"`, ""},
		{"PUT /v1/operator/autopilot/configuration", `{}`, `operator = "write"`, `operator = "read"`, ""},
		{"GET /v1/acl/tokens", "", `acl = "read"`, `operator = "write"`, ""},
		{"PUT /v1/acl/policy", `{"Name": "more"}`, `acl = "write"`, `acl = "read"`, ""},
		{"GET /v1/snapshot", "", `acl = "write"`, `acl = "read" operator = "write"`, ""},
		{"PUT /v1/config", `{"Kind": "service-defaults", "Name": "secret-service", "Protocol": "http"}`, service("write"), service("read"), ""},
		{"POST /v1/query", `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`, `query "secret-query" { policy = "write" }`, `query "secret-query" { policy = "read" }`, ""},
		{"GET /v1/operator/kv-replication", "", `operator = "read"`, `key_prefix "" { policy = "write" } keyring = "write"`, ""},
		{"GET /debug/pprof/cmdline", "", `operator = "read"`, `agent "secret-node" { policy = "write" }`, ""},
	}
}

// Under a default of deny, each family of requests is open to a token with exactly its rights, and to none that is
// missing, wrong, too narrow, expired or revoked.
func TestRights(t *testing.T) {
	s, err := newSubject(t, basis(t, t.TempDir()), `acl { enabled = true default_policy = "deny" tokens { initial_management = "`+management+`" agent = "`+management+`" } }
		enable_debug = true node_name = "secret-node" consul { coordinate { update_period = "10ms" } }`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	must := func(method, path, body string) string {
		t.Helper()
		status, text := s.askAs(management, method, path, body)
		if status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return text
	}
	s.eventually("the node is there", func() bool {
		_, text := s.askAs(management, "GET", "/v1/catalog/nodes", "")
		return strings.Contains(text, "secret-node")
	})
	must("PUT", "/v1/agent/service/register", `{"Name": "secret-service"}`)
	must("PUT", "/v1/coordinate/update", `{"Node": "secret-node", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5}}`)
	must("PUT", "/v1/event/fire/secret-event", "")
	session := s.fields(must("PUT", "/v1/session/create", `{"TTL": "1h"}`))["ID"].(string)
	for path, word := range map[string]string{"/v1/coordinate/nodes": "secret-node", "/v1/event/list": "secret-event", "/v1/health/service/secret-service": "secret-service"} {
		s.eventually(path, func() bool { return strings.Contains(must("GET", path, ""), word) })
	}
	made := 0
	token := func(rules string, left time.Duration) (secret, accessor string) {
		made++
		must("PUT", "/v1/acl/policy", fmt.Sprintf(`{"Name": "p%d", "Rules": %q}`, made, rules))
		text := fmt.Sprintf(`{"Policies": [{"Name": "p%d"}]}`, made)
		f := s.fields(must("PUT", "/v1/acl/token", text))
		secret, accessor = f["SecretID"].(string), f["AccessorID"].(string)
		if left != 0 { // the API makes none that are over so soon
			row := *acl.Tokens.Get(s.server.node.DB().Read(), accessor)
			row.ExpirationTime = acl.MomentOf(time.Now().Add(left))
			if _, err := s.server.node.Apply(context.Background(), &acl.SetToken{Token: row}); err != nil {
				t.Fatal(err)
			}
		}
		return secret, accessor
	}
	for _, r := range rights(session) {
		method, path, _ := strings.Cut(r.request, " ")
		must("PUT", "/v1/kv/secret/key", "x")
		must("PUT", "/v1/kv/secret/other", "x")
		narrow, _ := token(r.narrow, 0)
		exact, accessor := token(r.rules, 0)
		over, _ := token(r.rules, -time.Second)
		revoked, gone := token(r.rules, 0)
		s.askAs(revoked, "GET", "/v1/kv/none", "") // it is known by now
		must("DELETE", "/v1/acl/token/"+gone, "")
		for who, secret := range map[string]string{"no token": "", "a wrong token": someID, "an expired token": over, "a revoked token": revoked, "a narrow token": narrow} {
			status, text := s.askAs(secret, method, path, r.body)
			known := secret == "" || secret == narrow
			switch {
			case !known && (status != http.StatusForbidden || !strings.Contains(text, "ACL not found")):
				t.Errorf("%s: %s gets %d %.150s", r.request, who, status, text)
			case known && r.shows == "" && status != http.StatusForbidden && !(path == "/v1/txn" && status == http.StatusConflict):
				t.Errorf("%s: %s gets %d %.150s", r.request, who, status, text)
			case known && r.shows != "" && strings.Contains(text, r.shows) && !strings.Contains(text, "Permission denied"):
				t.Errorf("%s: %s sees %.150s", r.request, who, text)
			}
		}
		if status, text := s.askAs(exact, method, path, r.body); status != http.StatusOK || !strings.Contains(text, r.shows) {
			t.Errorf("%s: who has exactly the rights (%s) gets %d %.150s", r.request, accessor, status, text)
		}
	}
	for _, secret := range []string{someID, "x"} { // and so the calls of other agents
		if _, err := s.server.answer(within(t), rpc.Header{Token: secret}, acl.SelfMethod.Name, nil); rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Errorf("a call with a wrong token: %v", err)
		}
	}
}
