package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// nothing is a ResponseWriter for an answer that nobody reads.
type nothing struct {
	header http.Header
	status int
}

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) WriteHeader(status int)      { n.status = status }
func (n *nothing) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkRights measures a request, without its connection, where there are no ACLs and with a token of twenty policies
// under a default of deny.
func BenchmarkRights(b *testing.B) {
	for _, acls := range []bool{false, true} {
		name, hcl, token := "open", "", ""
		if acls {
			name, hcl = "20-policies", withACLs
		}
		s, err := newSubject(b, basis(b, b.TempDir()), hcl)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Start(); err != nil {
			b.Fatal(err)
		}
		defer s.Stop()
		s.eventually("it takes writes", func() bool {
			status, _ := s.askAs(management, "PUT", "/v1/kv/app/key", strings.Repeat("v", 128))
			return status == http.StatusOK
		})
		for i := range 100 {
			body := fmt.Sprintf(`{"Node": "n-%d", "Address": "10.1.0.%[1]d", "Service": {"Service": "web", "Port": 80}, "Check": {"CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": "web"}}`, i)
			if status, text := s.askAs(management, "PUT", "/v1/catalog/register", body); status != http.StatusOK {
				b.Fatalf("%d %s", status, text)
			}
		}
		if acls {
			token = s.ofPolicies(20)
		}
		for what, path := range map[string]string{"kv-get": "/v1/kv/app/key", "health": "/v1/health/service/web?passing"} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequest("GET", path, nil)
					if token != "" {
						r.Header["X-Consul-Token"] = []string{token}
					}
					w := &nothing{header: http.Header{}, status: http.StatusOK}
					if s.Handler().ServeHTTP(w, r); w.status != http.StatusOK {
						b.Fatal(w.status)
					}
				}
			})
		}
	}
}

// ofPolicies makes a token of some policies, each of which has several rules, and gives its secret.
func (s *subject) ofPolicies(n int) string {
	s.t.Helper()
	var links []map[string]string
	for i := range n {
		rules := fmt.Sprintf(`key_prefix "app%s" { policy = "read" } key_prefix "other-%d/" { policy = "write" } service_prefix "we%[1]s" { policy = "read" } node_prefix "" { policy = "read" } service "s-%[2]d" { policy = "write" }`,
			strings.Repeat("/x", i), i)
		if i == 0 {
			rules += ` service_prefix "" { policy = "read" }`
		}
		body, _ := json.Marshal(map[string]string{"Name": fmt.Sprintf("of-%d", i), "Rules": rules})
		if status, text := s.askAs(management, "PUT", "/v1/acl/policy", string(body)); status != http.StatusOK {
			s.t.Fatalf("%d %s", status, text)
		}
		links = append(links, map[string]string{"Name": fmt.Sprintf("of-%d", i)})
	}
	body, _ := json.Marshal(map[string]any{"Policies": links})
	_, text := s.askAs(management, "PUT", "/v1/acl/token", string(body))
	return s.fields(text)["SecretID"].(string)
}
