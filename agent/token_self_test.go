package agent

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Each reads its own token, though others may do the same; who waits hears of changes of it alone, and of its end.
func TestOwnTokenIsWaitedFor(t *testing.T) {
	r := newRealm(t)
	const path = "/v1/acl/token/self"
	first, accessor := r.token(`key "a" { policy = "read" }`, 0)
	second := r.fields(r.must("PUT", "/v1/acl/token", `{"Policies": [{"Name": "p1"}]}`))["SecretID"].(string)
	index := map[string]string{}
	for _, token := range []string{first, second, first} {
		a := r.requestAs(token, "GET", path, "")
		if f := r.fields(a.body); a.status != http.StatusOK || f["SecretID"] != token {
			t.Fatalf("%s reads %d %s", token, a.status, a.body)
		}
		index[token] = a.header.Get("X-Consul-Index")
	}
	wait := func(token string) chan answer {
		c := make(chan answer, 1)
		go func() { c <- r.requestAs(token, "GET", path+"?wait=1m&index="+index[token], "") }()
		return c
	}
	here, there := wait(first), wait(second)
	r.must("PUT", "/v1/acl/token/"+accessor, `{"Description": "changed", "Policies": [{"Name": "p1"}]}`)
	if a := <-here; a.status != http.StatusOK || r.fields(a.body)["Description"] != "changed" || a.header.Get("X-Consul-Index") == index[first] {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.must("DELETE", "/v1/acl/token/"+r.fields(r.requestAs(second, "GET", path, "").body)["AccessorID"].(string), "")
	if a := <-there; a.status != http.StatusForbidden || !strings.Contains(a.body, "ACL not found") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// All that lists or reads ACLs tells the index of the answer, and waits for the next one.
func TestIndexesOfACLs(t *testing.T) {
	r := newRealm(t)
	token, accessor := r.token(`key "a" { policy = "read" }`, 0)
	policy := r.fields(r.must("GET", "/v1/acl/policy/name/p1", ""))["ID"].(string)
	role := r.fields(r.must("PUT", "/v1/acl/role", `{"Name": "r", "Policies": [{"Name": "p1"}]}`))["ID"].(string)
	r.must("PUT", "/v1/acl/auth-method", `{"Name": "m", "Type": "jwt", "Config": {"JWKSURL": "https://127.0.0.1:1/"}}`)
	rule := r.fields(r.must("PUT", "/v1/acl/binding-rule", `{"AuthMethod": "m", "BindType": "role", "BindName": "r"}`))["ID"].(string)
	for path, change := range map[string]struct{ path, body string }{
		"/v1/acl/tokens":               {"/v1/acl/token", `{}`},
		"/v1/acl/token/" + accessor:    {"/v1/acl/token/" + accessor, `{"Description": "x", "Policies": [{"Name": "p1"}]}`},
		"/v1/acl/policies":             {"/v1/acl/policy", `{"Name": "new"}`},
		"/v1/acl/policy/" + policy:     {"/v1/acl/policy/" + policy, `{"Name": "p1", "Description": "x"}`},
		"/v1/acl/policy/name/p1":       {"/v1/acl/policy/" + policy, `{"Name": "p1", "Description": "y"}`},
		"/v1/acl/roles":                {"/v1/acl/role", `{"Name": "new", "Policies": [{"Name": "p1"}]}`},
		"/v1/acl/role/" + role:         {"/v1/acl/role/" + role, `{"Name": "r", "Description": "x", "Policies": [{"Name": "p1"}]}`},
		"/v1/acl/role/name/r":          {"/v1/acl/role/" + role, `{"Name": "r", "Description": "y", "Policies": [{"Name": "p1"}]}`},
		"/v1/acl/auth-methods":         {"/v1/acl/auth-method", `{"Name": "new", "Type": "jwt", "Config": {"JWKSURL": "https://127.0.0.1:1/"}}`},
		"/v1/acl/auth-method/m":        {"/v1/acl/auth-method/m", `{"Name": "m", "Type": "jwt", "Description": "x", "Config": {"JWKSURL": "https://127.0.0.1:1/"}}`},
		"/v1/acl/binding-rules":        {"/v1/acl/binding-rule", `{"AuthMethod": "m", "BindType": "role", "BindName": "r2"}`},
		"/v1/acl/binding-rule/" + rule: {"/v1/acl/binding-rule/" + rule, `{"AuthMethod": "m", "BindType": "role", "BindName": "r3"}`},
	} {
		was := r.requestAs(management, "GET", path, "")
		index := was.header.Get("X-Consul-Index")
		if was.status != http.StatusOK || index == "" || was.header.Get("X-Consul-KnownLeader") != "true" {
			t.Errorf("%s: %d, index %q", path, was.status, index)
			continue
		}
		c := make(chan answer, 1)
		go func() { c <- r.requestAs(management, "GET", path+"?wait=1m&index="+index, "") }()
		r.must("PUT", change.path, change.body)
		if is := <-c; is.status != http.StatusOK || is.body == was.body || is.header.Get("X-Consul-Index") == index {
			t.Errorf("%s: %d %s, index %s after %s", path, is.status, is.body, is.header.Get("X-Consul-Index"), index)
		}
	}
	if a := r.requestAs(token, "GET", "/v1/acl/tokens", ""); a.status != http.StatusForbidden {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What an agent tells of its own for long ends with the rights of who asked.
func TestLongAnswersEndWithTheRights(t *testing.T) {
	r := newRealm(t)
	r.must("PUT", "/v1/agent/service/register", `{"Name": "secret-service"}`)
	r.must("PUT", "/v1/event/fire/secret-event", "")
	r.eventually("the event is there", func() bool { return strings.Contains(r.must("GET", "/v1/event/list", ""), "secret-event") })
	token, accessor := r.token(`agent "secret-node" { policy = "read" } event "secret-event" { policy = "read" } `+onService("read"), 0)
	index := r.requestAs(token, "GET", "/v1/event/list", "").header.Get("X-Consul-Index")
	hash := r.requestAs(token, "GET", "/v1/agent/service/secret-service", "").header.Get("X-Consul-Contenthash")
	waits := []string{"/v1/event/list?index=" + index, "/v1/agent/service/secret-service?hash=" + hash}
	ended := make(chan string, len(waits)+len(streamPaths))
	for _, path := range waits {
		go func() {
			if a := r.requestAs(token, "GET", path, ""); a.status != http.StatusForbidden {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			ended <- path
		}()
	}
	for _, path := range streamPaths {
		request, err := http.NewRequestWithContext(within(t), "GET", r.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Consul-Token", token)
		got, err := r.http.Transport.RoundTrip(request)
		if err != nil || got.StatusCode != http.StatusOK {
			t.Fatal(path, got, err)
		}
		go func() {
			defer got.Body.Close()
			if _, err := io.Copy(io.Discard, got.Body); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			ended <- path
		}()
	}
	other, _ := r.token(onService("read"), 0) // a change that takes nothing from the first
	if a := r.requestAs(other, "GET", "/v1/agent/service/secret-service", ""); a.status != http.StatusOK || len(ended) > 0 {
		t.Errorf("%d %s, %d have ended", a.status, a.body, len(ended))
	}
	r.must("DELETE", "/v1/acl/token/"+accessor, "")
	for range cap(ended) {
		select {
		case <-ended:
		case <-within(t).Done():
			t.Fatal("something goes on for a token that is gone")
		}
	}
}
