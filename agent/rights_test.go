package agent

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"lictor/acl"
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
		{"GET /v1/exported-services", "", `mesh = "read"`, service("write"), ""},
		{"POST /v1/query", `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`, `query "secret-query" { policy = "write" }`, `query "secret-query" { policy = "read" }`, ""},
		{"GET /v1/operator/kv-replication", "", `operator = "read"`, `key_prefix "" { policy = "write" } keyring = "write"`, ""},
		{"GET /debug/pprof/cmdline", "", `operator = "read"`, `agent "secret-node" { policy = "write" }`, ""},
	}
}

// A realm is an agent under a default of deny, full of secrets, with tokens for whoever is tried.
type realm struct {
	*subject
	made int // policies
}

func newRealm(t *testing.T) *realm {
	t.Helper()
	s, err := newSubject(t, basis(t, t.TempDir()), `acl { enabled = true default_policy = "deny" tokens { initial_management = "`+management+`" agent = "`+management+`" } }
		node_name = "secret-node" consul { coordinate { update_period = "10ms" } }`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	r := &realm{subject: s}
	s.eventually("the node is there", func() bool {
		_, text := s.askAs(management, "GET", "/v1/catalog/nodes", "")
		return strings.Contains(text, "secret-node")
	})
	return r
}

// must makes a request that is allowed and succeeds.
func (r *realm) must(method, path, body string) string {
	r.t.Helper()
	status, text := r.askAs(management, method, path, body)
	if status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// token makes a token with these rules. With left, its end is that far away: it may be in the past.
func (r *realm) token(rules string, left time.Duration) (secret, accessor string) {
	r.t.Helper()
	r.made++
	r.must("PUT", "/v1/acl/policy", fmt.Sprintf(`{"Name": "p%d", "Rules": %q}`, r.made, rules))
	f := r.fields(r.must("PUT", "/v1/acl/token", fmt.Sprintf(`{"Policies": [{"Name": "p%d"}]}`, r.made)))
	secret, accessor = f["SecretID"].(string), f["AccessorID"].(string)
	if left != 0 { // the API makes none that are over so soon
		row := *acl.Tokens.Get(r.server.node.DB().Read(), accessor)
		row.ExpirationTime = acl.MomentOf(time.Now().Add(left))
		if _, err := r.server.node.Apply(context.Background(), &acl.SetToken{Token: row}); err != nil {
			r.t.Fatal(err)
		}
	}
	return secret, accessor
}

// spent are tokens that had these rules once, which use has made known: one that has expired, and one that was revoked.
func (r *realm) spent(rules string) map[string]string {
	r.t.Helper()
	over, _ := r.token(rules, -time.Second)
	revoked, gone := r.token(rules, 0)
	r.askAs(revoked, "GET", "/v1/kv/none", "")
	r.must("DELETE", "/v1/acl/token/"+gone, "")
	return map[string]string{"a wrong token": someID, "an expired token": over, "a revoked token": revoked}
}

// Under a default of deny, each family of requests is open to a token with exactly its rights, and to none that is
// missing, wrong, too narrow, expired or revoked.
func TestRights(t *testing.T) {
	s := newRealm(t)
	s.must("PUT", "/v1/agent/service/register", `{"Name": "secret-service"}`)
	s.must("PUT", "/v1/coordinate/update", `{"Node": "secret-node", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5}}`)
	s.must("PUT", "/v1/event/fire/secret-event", "")
	session := s.fields(s.must("PUT", "/v1/session/create", `{"TTL": "1h"}`))["ID"].(string)
	for path, word := range map[string]string{"/v1/coordinate/nodes": "secret-node", "/v1/event/list": "secret-event", "/v1/health/service/secret-service": "secret-service"} {
		s.eventually(path, func() bool { return strings.Contains(s.must("GET", path, ""), word) })
	}
	for _, r := range rights(session) {
		method, path, _ := strings.Cut(r.request, " ")
		s.must("PUT", "/v1/kv/secret/key", "x")
		s.must("PUT", "/v1/kv/secret/other", "x")
		narrow, _ := s.token(r.narrow, 0)
		exact, accessor := s.token(r.rules, 0)
		others := s.spent(r.rules)
		others["no token"], others["a narrow token"] = "", narrow
		for who, secret := range others {
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
}
