package agent

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const master = "11111111-2222-4333-8444-555555555555"

// as makes a request with a token, which must succeed, and gives its answer.
func (s *subject) as(token, method, path, body string) string {
	s.t.Helper()
	status, text := s.askAs(token, method, path, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// A query that has captured a token runs with that token's rights, which are looked at anew when they change. Who asks
// sees neither the token nor what it may not read itself.
func TestCapturedToken(t *testing.T) {
	s, err := newSubject(t, basis(t, t.TempDir()), `acl { enabled = true default_policy = "deny" tokens { initial_management = "`+master+`" agent = "`+master+`" } }`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	s.eventually("there is a leader that knows the token", func() bool {
		status, _ := s.askAs(master, "GET", "/v1/acl/token/self", "")
		return status == http.StatusOK
	})
	for _, node := range []string{"n8", "n9"} {
		s.as(master, "PUT", "/v1/catalog/register", `{"Node": "`+node+`", "Address": "10.0.0.9", "Service": {"Service": "web", "Port": 80}}`)
	}
	s.as(master, "PUT", "/v1/acl/policy", `{"Name": "web", "Rules": "service \"web\" { policy = \"read\" } node \"n9\" { policy = \"read\" }"}`)
	s.as(master, "PUT", "/v1/acl/policy", `{"Name": "queries", "Rules": "query_prefix \"\" { policy = \"read\" }"}`)
	web := s.fields(s.as(master, "PUT", "/v1/acl/token", `{"Policies": [{"Name": "web"}]}`))
	reader := s.fields(s.as(master, "PUT", "/v1/acl/token", `{"Policies": [{"Name": "queries"}]}`))["SecretID"].(string)
	id := s.fields(s.as(master, "POST", "/v1/query", fmt.Sprintf(`{"Name": "own", "Token": %q, "Service": {"Service": "web"}}`, web["SecretID"])))["ID"].(string)
	s.as(master, "POST", "/v1/query", `{"Name": "plain", "Service": {"Service": "web"}}`)

	for _, mode := range []string{"", "?stale", "?consistent", "?cached"} {
		own := s.as("", "GET", "/v1/query/own/execute"+mode, "")
		if !strings.Contains(own, `"Node":"n9"`) || strings.Contains(own, `"Node":"n8"`) {
			t.Errorf("%s: own gives %s", mode, own)
		}
		if plain := s.as("", "GET", "/v1/query/plain/execute"+mode, ""); !strings.Contains(plain, `"Nodes":[]`) {
			t.Errorf("%s: plain gives %s", mode, plain)
		}
		if plain := s.as(master, "GET", "/v1/query/plain/execute"+mode, ""); !strings.Contains(plain, `"n8"`) || !strings.Contains(plain, `"n9"`) {
			t.Errorf("%s: plain gives the manager %s", mode, plain)
		}
	}
	secret := web["SecretID"].(string)
	for _, path := range []string{"/v1/query", "/v1/query/" + id, "/v1/query/own/explain", "/v1/query/own/execute"} {
		if text := s.as(reader, "GET", path, ""); strings.Contains(text, secret) {
			t.Errorf("%s shows the token: %s", path, text)
		}
	}
	if text := s.as(master, "GET", "/v1/query/"+id, ""); !strings.Contains(text, secret) {
		t.Errorf("the manager does not see the token: %s", text)
	}

	policy := s.fields(s.as(master, "GET", "/v1/acl/policy/name/web", ""))["ID"].(string)
	s.as(master, "PUT", "/v1/acl/policy/"+policy, `{"Name": "web", "Rules": "service \"web\" { policy = \"read\" } node \"n8\" { policy = \"read\" }"}`)
	if own := s.as("", "GET", "/v1/query/own/execute", ""); !strings.Contains(own, `"Node":"n8"`) || strings.Contains(own, `"Node":"n9"`) {
		t.Errorf("after a change of the policy: %s", own)
	}
	s.as(master, "DELETE", "/v1/acl/token/"+web["AccessorID"].(string), "")
	if status, text := s.askAs("", "GET", "/v1/query/own/execute", ""); status != http.StatusForbidden || !strings.Contains(text, "ACL not found") {
		t.Errorf("after the token is gone: %d %s", status, text)
	}
}

// Answers of executions are shared by all who ask, and are found anew as soon as a check fails.
func TestExecutionsFollowTheChecks(t *testing.T) {
	s := start(t, t.TempDir())
	register := func(node, status string) {
		t.Helper()
		s.put("/v1/catalog/register", fmt.Sprintf(`{"Node": %q, "Address": "10.0.0.1", "Service": {"Service": "web", "Port": 80},
			"Check": {"CheckID": "c", "Name": "c", "ServiceID": "web", "Status": %q}}`, node, status))
	}
	s.ask("POST", "/v1/query", `{"Name": "web", "Service": {"Service": "web"}}`)
	register("a", "passing")
	for i := range 20 {
		status := []string{"passing", "critical"}[i%2]
		register("b", status)
		for range 3 {
			if got, want := strings.Count(s.get("/v1/query/web/execute"), `"Service":{`), 2-i%2; got != want {
				t.Fatalf("the check is %s: %d instances, not %d", status, got, want)
			}
		}
	}
	s.get("/v1/query/web/explain")
	metrics := s.get("/v1/agent/metrics?format=prometheus")
	for _, name := range []string{"apply", "execute", "explain", "execute_remote"} {
		if !strings.Contains(metrics, "consul_prepared_query_"+name+"_count") {
			t.Errorf("nothing tells of %s", name)
		}
	}
	if got := strings.Count(s.get("/v1/query/web/execute?limit=1"), `"Service":{`); got != 1 {
		t.Errorf("%d instances with limit=1", got)
	}
}

// Who waits for the list of queries or for one of them is woken by what concerns it.
func TestWaitingForQueries(t *testing.T) {
	s := start(t, t.TempDir())
	create := func(name string) string {
		t.Helper()
		_, text := s.ask("POST", "/v1/query", `{"Name": "`+name+`", "Service": {"Service": "web"}}`)
		return s.fields(text)["ID"].(string)
	}
	index := func(path string) string {
		t.Helper()
		answer, err := s.http.Get(s.url(path))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.Header.Get("X-Consul-Index")
	}
	first, second := create("first"), create("second")
	for path, act := range map[string]func(){
		"/v1/query":          func() { create("third") },
		"/v1/query/" + first: func() { s.put("/v1/query/"+first, `{"Name": "renamed", "Service": {"Service": "web"}}`) },
	} {
		answers := make(chan string, 1)
		url := s.url(path + "?wait=20s&index=" + index(path))
		go func() {
			answer, err := s.http.Get(url)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer answer.Body.Close()
			answers <- answer.Header.Get("X-Consul-Index")
		}()
		before := index(path)
		s.eventually("somebody waits", func() bool {
			return strings.Contains(s.get("/v1/agent/metrics?format=prometheus"), "consul_rpc_queries_blocking 1")
		})
		act()
		select {
		case at := <-answers:
			if at == before || at != index(path) {
				t.Errorf("%s: woken at %s, which was %s and is %s", path, at, before, index(path))
			}
		case <-time.After(patience):
			t.Errorf("%s: never woken", path)
		}
	}
	if status, text := s.ask("GET", "/v1/query/"+second+"?wait=1ms&index="+index("/v1/query/"+second), ""); status != http.StatusOK || !strings.Contains(text, "second") {
		t.Errorf("%d %s", status, text)
	}
}
