package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lictor/httpapi"
)

// advisories says where the tests are that keep out what has gone wrong in systems of this kind. The number is the row of the
// list that they were made from; what they are about is the title.
var advisories = []struct {
	row   int
	title string
	tests []string // file and name
}{
	{1, "TLS that is asked for is used", []string{"tls_test.go TestNothingLeavesInPlaintext"}},
	{2, "a client's certificate is not a server's", []string{"tls_test.go TestWhoMaySpeak", "../certs/certs_test.go TestSignedForClientsIsNoServer"}},
	{3, "what stands for a hidden secret is no secret", []string{"advisories_test.go TestAdvisories", "../acl/copies_test.go TestWithheldSecrets", "../internal/testcluster/replication_test.go TestReplicationTokenWithoutWrite"}},
	{4, "a recursive deletion asks for every key", []string{"advisories_test.go TestAdvisories"}},
	{5, "connections are bounded", []string{"siege_test.go TestSilence", "siege_test.go TestFlood", "abuse_test.go TestSlowHeaders", "abuse_test.go TestTooManyConnections"}},
	{6, "every path asks for the token", []string{"access_test.go TestEveryPathAsks", "access_test.go TestEveryMethodAsks"}},
	{7, "no configuration entry stops a server", []string{"advisories_test.go TestAdvisory07ConfigEntries"}},
	{8, "what is revoked in the primary datacenter is denied in all others within the TTL", []string{"../internal/testcluster/replication_test.go TestRevocationReachesTheSecondary", "../internal/testcluster/replication_test.go TestTokensOfThePrimaryWithoutCopies"}},
	{9, "a local token is good in its own datacenter alone", []string{"../internal/testcluster/replication_test.go TestWritesOfASecondary", "../internal/testcluster/replication_test.go TestTokensOfThePrimaryWithoutCopies"}},
	{10, "names that are not there do not fill the memory", []string{"hardening_test.go TestManyNamesThatAreNotThere"}},
	{11, "what does not differ is not written", []string{"../acl/copies_test.go TestCopies", "../internal/testcluster/replication_test.go TestTheSecondaryHasWhatThePrimaryOwns"}},
	{12, "a raw value is no page", []string{"advisories_test.go TestAdvisories"}},
	{13, "no key and no token in what is shown", []string{"advisories_test.go TestAdvisories"}},
	{14, "every request has a record", []string{"auditing_test.go TestAdvisory14EveryPathHasARecord"}},
	{16, "Raft and calls among servers need a server's certificate", []string{"tls_test.go TestCallsOfServers", "../certs/certs_test.go TestIntermediates"}},
	{17, "a transaction may do what its operations may", []string{"advisories_test.go TestAdvisory17TransactionsAreNoWayAround"}},
	{20, "a check follows no redirect to another host", []string{"../health/http_test.go TestHTTPRedirectToAnotherHost"}},
	{22, "a certificate has one name", []string{"../ca/sign_test.go TestWhatIsNotSigned"}},
	{26, "every answer says what it is", []string{"advisories_test.go TestAdvisory26EveryAnswerHasAType"}},
	{27, "lengths are not believed", []string{"abuse_test.go TestLyingLengths", "abuse_test.go TestEndlessBodies"}},
	{28, "an event's payload is bounded", []string{"abuse_test.go TestTooLargeBodies", "abuse_test.go TestEndlessBodies"}},
	{29, "a key's name leads nowhere else", []string{"abuse_test.go TestAbsurdPaths", "advisories_test.go TestAdvisories"}},
	{30, "no file is read that the API names", []string{"advisories_test.go TestAdvisories"}},
	{31, "nobody registers scripts from elsewhere", []string{"hardening_test.go TestRemoteScripts"}},
	{32, "a page of another site does not reach the API", []string{"advisories_test.go TestAdvisories", "../httpapi/browser_test.go TestBrowsers"}},
	{33, "filters come after the token, denials win, nothing is said twice", []string{"hardening_test.go TestFiltersSeeNoSecrets", "advisories_test.go TestAdvisories", "advisories_test.go TestAdvisory33DenialsWin"}},
}

// The list above is true.
func TestAdvisoriesHaveTests(t *testing.T) {
	for _, a := range advisories {
		for _, where := range a.tests {
			file, name, _ := strings.Cut(where, " ")
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), "\nfunc "+name+"(") {
				t.Errorf("%d, %s: %s is not there: %v", a.row, a.title, where, err)
			}
		}
	}
}

// policies numbers the policies of the tests.
var policies atomic.Int64

// token makes a token with rules of its own and gives accessor and secret.
func (s *subject) token(rules string) (accessor, secret string) {
	s.t.Helper()
	name := fmt.Sprintf("p%d", policies.Add(1))
	body, _ := json.Marshal(map[string]string{"Name": name, "Rules": rules})
	if status, text := s.askAs(management, "PUT", "/v1/acl/policy", string(body)); status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", rules, status, text)
	}
	_, text := s.askAs(management, "PUT", "/v1/acl/token", `{"Policies": [{"Name": "`+name+`"}]}`)
	made := s.fields(text)
	return made["AccessorID"].(string), made["SecretID"].(string)
}

// may puts a key as whoever may do everything.
func (s *subject) may(key string) {
	s.t.Helper()
	if status, text := s.askAs(management, "PUT", "/v1/kv/"+key, "value of "+key); status != http.StatusOK {
		s.t.Fatalf("%d %s", status, text)
	}
}

func (s *subject) value(key string) string {
	s.t.Helper()
	status, text := s.askAs(management, "GET", "/v1/kv/"+key+"?raw", "")
	return fmt.Sprint(status, " ", text)
}

func TestAdvisories(t *testing.T) {
	s := startManaged(t, t.TempDir(), `enable_debug = true encrypt = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="`)
	t.Run("03 what stands for a hidden secret is no secret", func(t *testing.T) {
		_, reader := s.token(`acl = "read"`)
		_, text := s.askAs(reader, "GET", "/v1/acl/tokens", "")
		if strings.Contains(text, management) {
			t.Errorf("who may read sees secrets: %s", text)
		}
		for _, placeholder := range []string{"<hidden>", "redacted", "REDACTED", "hidden", ""} {
			if status, text := s.askAs(placeholder, "GET", "/v1/acl/tokens", ""); status != http.StatusForbidden {
				t.Errorf("%q: %d %s", placeholder, status, text)
			}
			if placeholder == "" {
				continue
			}
			if status, _ := s.askAs(management, "PUT", "/v1/acl/token", `{"SecretID": "`+placeholder+`"}`); status == http.StatusOK {
				t.Errorf("there is a token with the secret %q", placeholder)
			}
		}
	})
	t.Run("04 a recursive deletion asks for every key", func(t *testing.T) {
		for _, key := range []string{"a/1", "a/secret", "ab", "b/1"} {
			s.may(key)
		}
		_, token := s.token(`key_prefix "a" { policy = "write" } key "a/secret" { policy = "deny" }`)
		for _, path := range []string{"/v1/kv/?recurse", "/v1/kv/b?recurse", "/v1/kv/b/?recurse", "/v1/kv/a?recurse", "/v1/kv/a/?recurse", "/v1/kv/b/1", "/v1/kv/a/secret"} {
			if status, text := s.askAs(token, "DELETE", path, ""); status != http.StatusForbidden {
				t.Errorf("DELETE %s: %d %s", path, status, text)
			}
		}
		for _, key := range []string{"a/1", "a/secret", "ab", "b/1"} {
			if got := s.value(key); got != "200 value of "+key {
				t.Errorf("%s is %s", key, got)
			}
		}
		if status, text := s.askAs(token, "DELETE", "/v1/kv/ab?recurse", ""); status != http.StatusOK {
			t.Errorf("what may be deleted: %d %s", status, text)
		}
	})
	t.Run("12 a raw value is no page", func(t *testing.T) {
		const page = "<html><script>alert(1)</script></html>"
		s.askAs(management, "PUT", "/v1/kv/page", page)
		r, _ := http.NewRequest("GET", s.url("/v1/kv/page?raw"), nil)
		r.Header.Set("X-Consul-Token", management)
		r.Header.Set("Accept", "text/html")
		answer, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		h := answer.Header
		if string(body) != page || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s %v", body, h)
		}
	})
	t.Run("13 no key and no token in what is shown", func(t *testing.T) {
		_, reader := s.token(`operator = "read" agent_prefix "" { policy = "read" } node_prefix "" { policy = "read" } keyring = "deny"`)
		for _, e := range httpapi.Endpoints() {
			if !strings.HasPrefix(e.Path, "/v1/operator/") && !strings.HasPrefix(e.Path, "/v1/agent/") && !strings.HasPrefix(e.Path, "/v1/connect/") ||
				strings.Contains(e.Path, "stream") || strings.Contains(e.Path, "monitor") {
				continue
			}
			_, text := s.askAs(reader, "GET", e.Path, "")
			for _, secret := range []string{management, "PRIVATE KEY", "pUqJrVyVRj5jsiYEkM"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows %s: %.300s", e.Path, secret, text)
				}
			}
		}
	})
	t.Run("29 a key's name leads nowhere else", func(t *testing.T) {
		s.may("private/key")
		_, token := s.token(`key_prefix "public/" { policy = "write" }`)
		for _, path := range []string{"public/../private/key", "public/..%2fprivate/key", "public/%2e%2e/private/key", "public/%2e%2e%2fprivate%2fkey", "public//../private/key", "%2e%2e/agent/self", "public\\..\\private/key"} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				if _, text := s.askAs(token, method, "/v1/kv/"+path, "changed"); strings.Contains(text, "value of") || strings.Contains(text, "DebugConfig") {
					t.Errorf("%s %s: %s", method, path, text)
				}
			}
		}
		if got := s.value("private/key"); got != "200 value of private/key" {
			t.Errorf("the key is %s", got)
		}
	})
	t.Run("30 no file is read that the API names", func(t *testing.T) {
		secret := filepath.Join(t.TempDir(), "secret.pem")
		if err := os.WriteFile(secret, []byte("the content of the file"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, config := range []string{
			`"Type": "kubernetes", "Config": {"Host": "https://127.0.0.1:1", "CACert": %q, "ServiceAccountJWT": "a.b.c"}`,
			`"Type": "kubernetes", "Config": {"Host": %[1]q, "CACert": %[1]q, "ServiceAccountJWT": %[1]q}`,
			`"Type": "jwt", "Config": {"JWTValidationPubKeys": [%q]}`,
			`"Type": "jwt", "Config": {"JWKSURL": "file://%s"}`,
			`"Type": "jwt", "Config": {"OIDCDiscoveryURL": "file://%s"}`,
			`"Type": "jwt", "Config": {"JWKSURL": "https://127.0.0.1:1", "JWKSCACert": %q}`,
		} {
			status, text := s.askAs(management, "PUT", "/v1/acl/auth-method", `{"Name": "files", `+fmt.Sprintf(config, secret)+`}`)
			if status == http.StatusOK || strings.Contains(text, "the content") {
				t.Errorf("%s: %d %s", config, status, text)
			}
		}
	})
	t.Run("32 a page of another site does not reach the API", func(t *testing.T) {
		for name, header := range map[string]map[string]string{
			"rebound":     {"Host": "evil.example:8500", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"},
			"cross-site":  {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
			"no origin":   {"Origin": "null"},
			"simple form": {"Origin": "http://evil.example", "Content-Type": "text/plain"},
		} {
			r, _ := http.NewRequest("PUT", s.url("/v1/kv/evil"), strings.NewReader("x"))
			for k, v := range header {
				r.Header.Set(k, v)
			}
			r.Host = header["Host"]
			if status, text := s.do(r); status != http.StatusForbidden || strings.Contains(text, "ACL") || strings.Contains(text, "anonymous") {
				t.Errorf("%s: %d %s", name, status, text)
			}
		}
		r, _ := http.NewRequest("GET", s.url("/v1/status/leader"), nil)
		r.Header.Set("Origin", "http://evil.example")
		answer, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("other sites may read: %s", got)
		}
	})
	t.Run("33 nothing is said twice", func(t *testing.T) {
		for _, rules := range []string{`operator = "read" operator = "write"`, `{"operator": "read", "operator": "write"}`, `key "a" { policy = "read" policy = "write" }`,
			`{"key": {"a": {"policy": "read", "policy": "write"}}}`} {
			body, _ := json.Marshal(map[string]string{"Name": "twice", "Rules": rules})
			if status, text := s.askAs(management, "PUT", "/v1/acl/policy", string(body)); status == http.StatusOK {
				t.Errorf("%s: %d %s", rules, status, text)
			}
		}
	})
}

// What a configuration entry must not hold is refused, or harmless: no server stops at it, nor one that reads the log again.
func TestAdvisory07ConfigEntries(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	kinds := []string{"service-defaults", "proxy-defaults", "service-router", "service-splitter", "service-resolver", "ingress-gateway", "terminating-gateway", "service-intentions",
		"mesh", "exported-services", "sameness-group", "api-gateway", "bound-api-gateway", "http-route", "tcp-route", "inline-certificate", "file-system-certificate", "jwt-provider",
		"control-plane-request-limit", "", "none"}
	bodies := []string{`"Routes": [{"Match": {"HTTP": {"PathPrefix": "/"}}}]`, `"Routes": [null]`, `"Routes": [{"Match": null, "Destination": null}]`, `"Routes": [{"Match": {"HTTP": null}}]`,
		`"Splits": [null]`, `"Splits": null`, `"Subsets": {"a": null}`, `"Failover": {"*": null}`, `"Failover": {"*": {"Targets": [null]}}`, `"Redirect": null`,
		`"LoadBalancer": {"HashPolicies": [null], "RingHashConfig": null, "LeastRequestConfig": null}`, `"Listeners": [null]`, `"Listeners": [{"Services": [null]}]`,
		`"Listeners": [{"Port": 1, "Protocol": "http", "Services": [{"Name": "*", "Hosts": null, "TLS": null}]}], "TLS": null`, `"Services": [null]`, `"Sources": [null]`,
		`"Sources": [{"Name": "a", "Permissions": [null]}]`, `"Sources": [{"Name": "a", "Permissions": [{"HTTP": {"Header": [null]}}]}]`, `"UpstreamConfig": {"Overrides": [null], "Defaults": null}`,
		`"Expose": {"Paths": [null]}`, `"EnvoyExtensions": [null]`, `"Config": {"a": [null, {"b": null}]}`, `"Meta": {"a": null}`, `"Rules": [null]`, `"Rules": [{"Services": [null], "Filters": {"Headers": [null]}}]`,
		`"Members": [null]`, `"Parents": [null]`, `"JSONWebKeySet": null`, `"JSONWebKeySet": {"Local": null, "Remote": null}`, `"Locations": [null]`, `"TransparentProxy": null, "MeshGateway": null`,
		`"Name": null`, `"Name": "\u0000"`, `"Kind": null`, `"Destination": {"Addresses": [null]}`, `"RateLimits": {"InstanceLevel": {"Routes": [null]}}`}
	for _, kind := range kinds {
		for _, body := range bodies {
			text := fmt.Sprintf(`{"Kind": %q, "Name": "x", %s}`, kind, body)
			s.ask("PUT", "/v1/config", text) // any answer is good
			s.ask("PUT", "/v1/config?cas=0", strings.Replace(text, `"Name": "x"`, `"Name": "global"`, 1))
		}
		s.get("/v1/config/" + kind)
	}
	s.serves()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	start(t, dir).serves()
}

// Whatever a token may do: a transaction lets it do that, and nothing else.
func TestAdvisory17TransactionsAreNoWayAround(t *testing.T) {
	s := startManaged(t, t.TempDir())
	s.may("a/1")
	register := func(node, body string) {
		s.askAs(management, "PUT", "/v1/catalog/register", `{"Node": "`+node+`", "Address": "10.0.0.1"`+body+`}`)
	}
	reset := func() {
		s.may("a/1")
		register("m", `, "Service": {"ID": "web", "Service": "web"}, "Checks": [{"CheckID": "c", "Name": "c"}, {"CheckID": "w", "Name": "w", "ServiceID": "web"}]`)
	}
	pairs := []struct{ name, method, path, body, op string }{
		{"set a key", "PUT", "/v1/kv/a/1", "x", `{"KV": {"Verb": "set", "Key": "a/1", "Value": "eA=="}}`},
		{"get a key", "GET", "/v1/kv/a/1", "", `{"KV": {"Verb": "get", "Key": "a/1"}}`},
		{"delete a key", "DELETE", "/v1/kv/a/1", "", `{"KV": {"Verb": "delete", "Key": "a/1"}}`},
		{"delete a tree", "DELETE", "/v1/kv/a/?recurse", "", `{"KV": {"Verb": "delete-tree", "Key": "a/"}}`},
		{"set a node", "PUT", "/v1/catalog/register", `{"Node": "m", "Address": "10.0.0.2"}`, `{"Node": {"Verb": "set", "Node": {"Node": "m", "Address": "10.0.0.2"}}}`},
		{"delete a node", "PUT", "/v1/catalog/deregister", `{"Node": "m"}`, `{"Node": {"Verb": "delete", "Node": {"Node": "m"}}}`},
		{"set a service", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Service": {"ID": "web", "Service": "web", "Port": 1}}`,
			`{"Service": {"Verb": "set", "Node": "m", "Service": {"ID": "web", "Service": "web", "Port": 1}}}`},
		{"set a proxy", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Service": {"Kind": "connect-proxy", "ID": "p", "Service": "web", "Port": 1, "Proxy": {"DestinationServiceName": "db"}}}`,
			`{"Service": {"Verb": "set", "Node": "m", "Service": {"Kind": "connect-proxy", "ID": "p", "Service": "web", "Port": 1, "Proxy": {"DestinationServiceName": "db"}}}}`},
		{"take a service over", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Service": {"ID": "web", "Service": "db"}}`,
			`{"Service": {"Verb": "set", "Node": "m", "Service": {"ID": "web", "Service": "db"}}}`},
		{"delete a service", "PUT", "/v1/catalog/deregister", `{"Node": "m", "ServiceID": "web"}`, `{"Service": {"Verb": "delete", "Node": "m", "Service": {"ID": "web", "Service": "web"}}}`},
		{"delete a service by the name of another", "PUT", "/v1/catalog/deregister", `{"Node": "m", "ServiceID": "web"}`, `{"Service": {"Verb": "delete", "Node": "m", "Service": {"ID": "web", "Service": "db"}}}`},
		{"move a check of a service", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Check": {"CheckID": "w", "Name": "w", "Status": "passing"}}`,
			`{"Check": {"Verb": "set", "Check": {"Node": "m", "CheckID": "w", "Name": "w", "Status": "passing"}}}`},
		{"set a check of a node", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Check": {"CheckID": "c", "Name": "c", "Status": "passing"}}`,
			`{"Check": {"Verb": "set", "Check": {"Node": "m", "CheckID": "c", "Name": "c", "Status": "passing"}}}`},
		{"set a check of a service", "PUT", "/v1/catalog/register", `{"Node": "m", "SkipNodeUpdate": true, "Check": {"CheckID": "w", "Name": "w", "ServiceID": "web", "Status": "passing"}}`,
			`{"Check": {"Verb": "set", "Check": {"Node": "m", "CheckID": "w", "Name": "w", "ServiceID": "web", "Status": "passing"}}}`},
		{"delete a check", "PUT", "/v1/catalog/deregister", `{"Node": "m", "CheckID": "w"}`, `{"Check": {"Verb": "delete", "Check": {"Node": "m", "CheckID": "w"}}}`},
	}
	for _, rules := range []string{``, `key_prefix "" { policy = "write" }`, `key_prefix "" { policy = "read" }`, `key "a/1" { policy = "write" }`, `key_prefix "a/" { policy = "write" } key "a/1" { policy = "deny" }`,
		`node_prefix "" { policy = "write" }`, `node_prefix "" { policy = "read" } service_prefix "" { policy = "write" }`, `service "web" { policy = "write" }`, `service "db" { policy = "write" }`,
		`service "web" { policy = "write" } service "db" { policy = "write" }`, `node "m" { policy = "write" } service "web" { policy = "write" }`, `operator = "write" agent_prefix "" { policy = "write" }`} {
		_, token := s.token(rules)
		for _, p := range pairs {
			reset()
			direct, text := s.askAs(token, p.method, p.path, p.body)
			reset()
			together, answer := s.askAs(token, "PUT", "/v1/txn", "["+p.op+"]")
			allowed := together == http.StatusOK && !(p.method == "GET" && strings.Contains(answer, `"Results":[]`))
			if wanted := direct == http.StatusOK; wanted != allowed {
				t.Errorf("%s with %q: directly %d %.200s, in a transaction %d %.200s", p.name, rules, direct, text, together, answer)
			}
		}
	}
}

// Every answer with a body says what it is, and none is a page but those that are meant to be.
func TestAdvisory26EveryAnswerHasAType(t *testing.T) {
	s := startManaged(t, t.TempDir())
	for _, e := range httpapi.Endpoints() {
		if strings.Contains(e.Path, "stream") || strings.Contains(e.Path, "monitor") || e.Path == "/v1/agent/leave" || e.Path == "/v1/snapshot" {
			continue
		}
		for _, token := range []string{"", management, "<script>"} {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"} {
				if token == management && method == "DELETE" {
					continue
				}
				r, _ := http.NewRequest(method, s.url(e.Path+"%3Cscript%3E?x=%3Cscript%3E"), strings.NewReader("<script>"))
				r.Header.Set("X-Consul-Token", token)
				answer, err := s.http.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				kind := answer.Header.Get("Content-Type")
				if len(body) > 0 && (kind == "" || strings.Contains(kind, "html")) {
					t.Errorf("%s %s: %d is of type %q: %.100s", method, e.Path, answer.StatusCode, kind, body)
				}
				if len(body) > 0 && strings.HasPrefix(kind, "text/plain") && answer.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s %s: %d may be taken for something else: %.100s", method, e.Path, answer.StatusCode, body)
				}
			}
		}
	}
}

// Where everything is allowed that no rule speaks of, a rule that denies does.
func TestAdvisory33DenialsWin(t *testing.T) {
	s := startManaged(t, t.TempDir(), `acl { default_policy = "allow" }`)
	_, token := s.token(`keyring = "deny" operator = "deny" acl = "deny" key_prefix "" { policy = "deny" } event_prefix "" { policy = "deny" } session_prefix "" { policy = "deny" }
		node_prefix "" { policy = "deny" } agent_prefix "" { policy = "deny" } service_prefix "" { policy = "deny" } query_prefix "" { policy = "deny" } mesh = "deny"`)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/operator/keyring", ""}, {"POST", "/v1/operator/keyring", `{"Key": "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="}`}, {"PUT", "/v1/operator/autopilot/configuration", `{}`},
		{"GET", "/v1/operator/raft/configuration", ""}, {"GET", "/v1/acl/tokens", ""}, {"PUT", "/v1/acl/policy", `{"Name": "x"}`}, {"PUT", "/v1/kv/x", "x"}, {"DELETE", "/v1/kv/?recurse", ""},
		{"PUT", "/v1/event/fire/x", ""}, {"PUT", "/v1/session/create", `{}`}, {"PUT", "/v1/catalog/register", `{"Node": "x", "Address": "1.1.1.1"}`}, {"GET", "/v1/agent/self", ""},
		{"PUT", "/v1/agent/service/register", `{"Name": "x"}`}, {"POST", "/v1/query", `{"Name": "x", "Service": {"Service": "x"}}`}, {"PUT", "/v1/config", `{"Kind": "mesh"}`}, {"PUT", "/v1/txn", `[{"KV": {"Verb": "set", "Key": "x"}}]`},
	} {
		status, text := s.askAs(token, c.method, c.path, c.body)
		if status != http.StatusForbidden && !(status == http.StatusConflict && strings.Contains(text, "Permission denied")) { // a transaction tells it of its operation
			t.Errorf("%s %s: %d %.200s", c.method, c.path, status, text)
		}
	}
}
