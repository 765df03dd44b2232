package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lictor/agent/audit"
)

// audited runs an agent with ACLs and an audit log, and gives the file of the log.
func audited(t *testing.T, hcl ...string) (*subject, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit", "audit.json")
	s := startManaged(t, filepath.Join(dir, "data"), append(hcl, auditHCL(path))...)
	return s, path
}

// withACLs are ACLs that deny.
const withACLs = `acl { enabled = true default_policy = "deny" tokens { initial_management = "` + management + `" agent = "` + management + `" } } `

func auditHCL(path string) string {
	return fmt.Sprintf(`audit { enabled = true sink "all" { type = "file" format = "json" path = %q delivery_guarantee = "best-effort" mode = "0600" rotate_bytes = 25165824 rotate_duration = "24h" rotate_max_files = 15 } }`, path)
}

// startManaged runs an agent with ACLs that deny, until the test ends.
func startManaged(t *testing.T, dir string, hcl ...string) *subject {
	t.Helper()
	s, err := newSubject(t, append([]string{basis(t, dir), withACLs}, hcl...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	s.eventually("the node is in the catalog", func() bool {
		_, text := s.askAs(management, "GET", "/v1/catalog/nodes", "")
		return strings.Contains(text, `"Node":"n1"`)
	})
	return s
}

// records reads an audit log, of which every line must be whole.
func records(t testing.TB, path string) (all []audit.Event) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var r struct {
			CreatedAt string      `json:"created_at"`
			EventType string      `json:"event_type"`
			Payload   audit.Event `json:"payload"`
		}
		if line[len(line)-1] != '\n' {
			break // is being written
		}
		if err := json.Unmarshal(line, &r); err != nil || r.EventType != "audit" || r.CreatedAt == "" {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, r.Payload)
	}
	return all
}

// completed finds the record of the end of what has a user agent.
func completed(t testing.TB, path, agent string) (found []audit.Event) {
	t.Helper()
	for _, e := range records(t, path) {
		if e.Request.UserAgent == agent && e.Stage == audit.Complete {
			found = append(found, e)
		}
	}
	return found
}

// send writes a request as it stands and gives the status line; "" if none came.
func send(t testing.TB, s *subject, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.HTTPAddrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestAuditTellsWhoDidWhat(t *testing.T) {
	s, path := audited(t)
	_, text := s.askAs(management, "PUT", "/v1/acl/token", `{"Description": "the reader"}`)
	reader := s.fields(text)
	secret := reader["SecretID"].(string)
	r, _ := http.NewRequest("PUT", s.url("/v1/kv/a%2Fb?flags=7&token="+secret), strings.NewReader("hidden body"))
	r.Header.Set("User-Agent", "one")
	if status, _ := s.do(r); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	var found []audit.Event
	s.eventually("the request has a record", func() bool { found = completed(t, path, "one"); return len(found) == 1 })
	e := found[0]
	if e.Type != audit.HTTP || e.Version != "1" || e.Auth == nil || e.Auth.Accessor != reader["AccessorID"] || e.Auth.Description != "the reader" || e.Auth.CreateTime.IsZero() ||
		e.Request.Operation != "PUT" || e.Request.Endpoint != "/v1/kv/a/b" || fmt.Sprint(e.Request.Query) != "map[flags:[7] token:[<hidden>]]" || e.Request.RemoteAddr == "" ||
		e.Datacenter != "dc1" || e.Node != "n1" || *e.Response != (audit.Response{Status: "403", Error: "permission_denied"}) {
		t.Errorf("%+v", e)
	}
	begun := false
	for _, other := range records(t, path) {
		begun = begun || other.ID == e.ID && other.Stage == audit.Start && other.Response == nil
	}
	if !begun {
		t.Error("the start of the request has no record")
	}
	whole, _ := os.ReadFile(path)
	for _, never := range []string{secret, management, "hidden body"} {
		if strings.Contains(string(whole), never) {
			t.Errorf("the log holds %s", never)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	s.askAs("99999999-0000-4000-8000-000000000000", "GET", "/v1/agent/self?who=unknown", "")
	s.eventually("a token that nobody knows has a record", func() bool {
		for _, e := range records(t, path) {
			if e.Request.Query["who"] != nil && e.Auth.Error != "" && e.Auth.Accessor == "" {
				return true
			}
		}
		return false
	})
}

// Row 14: each request that is served has a record, under the path that it means.
func TestAdvisory14EveryPathHasARecord(t *testing.T) {
	s, path := audited(t)
	odd := []string{"//v1//agent//self", "/v1/%61gent/self", "/v1/agent/../agent/self", "/v1/kv/%2e%2e/%2e%2e/x", "/v1/kv/a%00b", "/v1/kv/%ff%fe", "/v1/kv/a%2f%2fb",
		"/", "//", "/v1", "/ui/../v1/agent/self", "/v1/agent/self/", "/V1/AGENT/SELF", "/v1/kv/%250a", "/v1/agent/self?;", "/v1/agent/self?%zz", "/v1/agent/self#x", "http://other/v1/agent/self",
		"/v1/kv/" + strings.Repeat("x", 20000), "/./v1/./agent/./self", "/v1/agent\\self", "/debug/pprof/", "/v1/kv/a;b=c"}
	pieces := []string{"/", "//", "v1", "agent", "self", "kv", "%2f", "%2F", "..", ".", "%2e", "%00", "%0a", "é", "%c3%a9", "?", ";", "&", "%25", "a", "\\", ":", "@", "*"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		p := "/"
		for range 1 + rng.IntN(9) {
			p += pieces[rng.IntN(len(pieces))]
		}
		odd = append(odd, p)
	}
	served := map[string]string{}
	for i, p := range odd {
		agent := fmt.Sprintf("fuzz-%d", i)
		method := []string{"GET", "PUT", "DELETE", "HEAD", "OPTIONS", "POST", "PATCH", "BREW"}[i%8]
		answer := send(t, s, method+" "+p+" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: "+agent+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		if !strings.HasSuffix(answer, "400 Bad Request") { // most of those did not get as far as a handler
			served[agent] = p
		}
	}
	if len(served) < 200 {
		t.Errorf("%d requests were served", len(served))
	}
	s.eventually("all have records", func() bool {
		seen := map[string]audit.Event{}
		for _, e := range records(t, path) {
			if e.Stage == audit.Complete {
				seen[e.Request.UserAgent] = e
			}
		}
		for agent := range served {
			if _, ok := seen[agent]; !ok {
				return false
			}
		}
		for i, p := range odd[:3] {
			if e := seen[fmt.Sprintf("fuzz-%d", i)]; e.Request.Endpoint != "/v1/agent/self" {
				t.Fatalf("%s is recorded as %s", p, e.Request.Endpoint)
			}
		}
		for _, e := range seen {
			if strings.Contains(e.Request.Endpoint, "//") || strings.Contains(e.Request.Endpoint, "/../") {
				t.Fatalf("not canonical: %q", e.Request.Endpoint)
			}
		}
		return true
	})
}

// A request that waits while the log is turned off, on and elsewhere is recorded to its end.
func TestAuditReload(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	s := startManaged(t, filepath.Join(dir, "data"))
	reload := func(hcl string) {
		t.Helper()
		s.configure(withACLs, hcl)
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(agent string) (answered chan struct{}) {
		r, _ := http.NewRequest("GET", s.url("/v1/kv/wait?index=1&wait=60s&token="+management), nil)
		r.Header.Set("User-Agent", agent)
		answered = make(chan struct{})
		go func() { defer close(answered); s.do(r) }()
		return answered
	}
	s.askAs(management, "PUT", "/v1/kv/wait", "0")
	reload(auditHCL(first))
	_, head := s.askAs(management, "GET", "/v1/kv/wait", "")
	var pairs []map[string]any
	if err := json.Unmarshal([]byte(head), &pairs); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", s.url(fmt.Sprintf("/v1/kv/wait?index=%v&wait=60s&token=%s", pairs[0]["ModifyIndex"], management)), nil)
	r.Header.Set("User-Agent", "waits")
	answered := make(chan struct{})
	go func() { defer close(answered); s.do(r) }()
	s.eventually("the waiting request has begun", func() bool { return strings.Contains(read(t, first), `"waits"`) })
	reload(`audit { enabled = false }`)
	s.askAs(management, "PUT", "/v1/kv/wait", "1")
	<-answered
	s.eventually("its end has a record", func() bool { return len(completed(t, first, "waits")) == 1 })
	reload(auditHCL(second))
	<-wait("again")
	s.eventually("there is a record in the second file", func() bool { return len(completed(t, second, "again")) == 1 })
	s.configure(withACLs, auditHCL("/proc/none/audit.json"))
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), `audit.sink "all"`) {
		t.Errorf("a file that cannot be written: %v", err)
	}
	<-wait("after")
	s.eventually("the log before it goes on", func() bool { return len(completed(t, second, "after")) == 1 })
}

func TestAuditOfDNS(t *testing.T) {
	s, path := audited(t, `acl { tokens { dns = "`+management+`" } }`)
	for range 2 { // the second is answered from memory
		s.dig("n1.node.consul.", dns.TypeA)
	}
	s.eventually("both questions have records", func() bool {
		n := 0
		for _, e := range records(t, path) {
			if e.Type == audit.DNS && e.Request.Endpoint == "n1.node.consul." && e.Request.Operation == "A" && e.Response.Status == "NOERROR" && e.Auth.Accessor != "" && e.Request.RemoteAddr != "" {
				n++
			}
		}
		return n == 2
	})
}

// What was done by hand while the agent was stopped is in its log when it starts again.
func TestAuditOfRecovery(t *testing.T) {
	dir := t.TempDir()
	data, path := filepath.Join(dir, "data"), filepath.Join(dir, "audit.json")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := audit.Leave(data, "", audit.Request{Operation: "operator raft recover", Endpoint: data}, audit.Response{Status: "done"}); err != nil {
		t.Fatal(err)
	}
	s := startManaged(t, data, auditHCL(path))
	s.eventually("it has a record", func() bool {
		for _, e := range records(t, path) {
			if e.Type == audit.Local && e.Request.Operation == "operator raft recover" && e.Auth.Description != "" {
				return true
			}
		}
		return false
	})
	if _, err := os.Stat(filepath.Join(data, "audit-pending.json")); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}
