package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

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
	{15, "a denial more allows nothing", []string{"../configentry/intention_test.go TestADenialMoreNeverWidens"}},
	{16, "Raft and calls among servers need a server's certificate", []string{"tls_test.go TestCallsOfServers", "../certs/certs_test.go TestIntermediates"}},
	{17, "a transaction may do what its operations may", []string{"advisories_test.go TestAdvisory17TransactionsAreNoWayAround"}},
	{18, "nobody gives more than they have", []string{"advisories_test.go TestAdvisory18NobodyGivesThemselvesMore"}},
	{19, "no gateway stops a server", []string{"advisories_test.go TestAdvisory19Gateways", "../configentry/configentry_test.go FuzzParse"}},
	{20, "a check follows no redirect to another host", []string{"../health/http_test.go TestHTTPRedirectToAnotherHost"}},
	{21, "a claim is no part of an expression", []string{"../acl/service_test.go FuzzSelector", "../claims/claims_test.go FuzzParameters"}},
	{22, "a certificate has one name", []string{"../ca/sign_test.go TestWhatIsNotSigned"}},
	{23, "pages and what comes from elsewhere are filtered as all else", []string{"advisories_test.go TestAdvisory23PagesAreFiltered"}},
	{24, "peers cannot stop a server", []string{"advisories_test.go TestAdvisory24Peers"}},
	{25, "extensions of proxies are for one's own service", []string{"advisories_test.go TestAdvisory25Extensions"}},
	{26, "every answer says what it is", []string{"advisories_test.go TestAdvisory26EveryAnswerHasAType"}},
	{27, "lengths are not believed", []string{"abuse_test.go TestLyingLengths", "abuse_test.go TestEndlessBodies", "abuse_test.go TestLyingMessages"}},
	{28, "an event's payload is bounded", []string{"abuse_test.go TestTooLargeBodies", "abuse_test.go TestEndlessBodies"}},
	{29, "a key's name leads nowhere else", []string{"abuse_test.go TestAbsurdPaths", "advisories_test.go TestAdvisories"}},
	{30, "no file is read that the API names", []string{"advisories_test.go TestAdvisories"}},
	{31, "nobody registers scripts from elsewhere", []string{"hardening_test.go TestRemoteScripts"}},
	{32, "a page of another site does not reach the API", []string{"advisories_test.go TestAdvisories", "../httpapi/browser_test.go TestBrowsers"}},
	{33, "filters come after the token, denials win, nothing is said twice", []string{"hardening_test.go TestFiltersSeeNoSecrets", "advisories_test.go TestAdvisories", "advisories_test.go TestAdvisory33DenialsWin"}},
}

// rows is how many rows the list has; replicated are those about access control in several datacenters.
const rows = 33

var replicated = []int{8, 9, 11}

// The list above is true, and whole.
func TestAdvisoriesHaveTests(t *testing.T) {
	has := map[int]bool{}
	for _, a := range advisories {
		if has[a.row] = true; len(a.tests) == 0 {
			t.Errorf("%d, %s: there is no test", a.row, a.title)
		}
		for _, where := range a.tests {
			file, name, _ := strings.Cut(where, " ")
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), "\nfunc "+name+"(") {
				t.Errorf("%d, %s: %s is not there: %v", a.row, a.title, where, err)
			}
		}
	}
	for row := 1; row <= rows; row++ {
		if !has[row] && !slices.Contains(replicated, row) {
			t.Errorf("row %d has no test", row)
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

// A namespace with default policies was a way around the rights of who made it. Here there is none, and whoever may not write
// tokens, roles and policies makes none, not even out of their own.
func TestAdvisory18NobodyGivesThemselvesMore(t *testing.T) {
	s := startManaged(t, t.TempDir())
	accessor, token := s.token(`acl = "read" operator = "write" namespace_prefix "" { acl = "write" key_prefix "" { policy = "write" } } partition "default" { acl = "write" }`)
	_, text := s.askAs(management, "GET", "/v1/acl/token/"+accessor, "")
	policy := s.fields(text)["Policies"].([]any)[0].(map[string]any)["ID"].(string)
	const all = `{"Name": "all", "ACLs": {"PolicyDefaults": [{"Name": "global-management"}]}, "Policies": [{"Name": "global-management"}]}`
	for _, r := range [][3]string{
		{"PUT", "/v1/namespace", all}, {"PUT", "/v1/namespace/all", all}, {"PUT", "/v1/partition", all}, {"PUT", "/v1/acl/token", all}, {"PUT", "/v1/acl/token?ns=all", all},
		{"PUT", "/v1/acl/token/" + accessor, all}, {"PUT", "/v1/acl/token/" + accessor + "/clone", all}, {"PUT", "/v1/acl/token/self", all}, {"PUT", "/v1/acl/role", all},
		{"PUT", "/v1/acl/policy", `{"Name": "all", "Rules": "acl = \"write\""}`}, {"PUT", "/v1/acl/policy/" + policy, `{"Name": "all", "Rules": "acl = \"write\""}`},
		{"PUT", "/v1/acl/bootstrap", `{"BootstrapSecret": "12345678-0000-4000-8000-000000000001"}`},
		{"PUT", "/v1/acl/auth-method", `{"Name": "all", "Type": "jwt", "NamespaceRules": [{"BindNamespace": "all"}]}`},
		{"PUT", "/v1/acl/binding-rule", `{"AuthMethod": "all", "BindType": "policy", "BindName": "global-management"}`},
	} {
		if status, text := s.askAs(token, r[0], r[1], r[2]); status < 400 || status == http.StatusInternalServerError && strings.Contains(text, "internal error") {
			t.Errorf("%s %s: %d %s", r[0], r[1], status, text)
		}
	}
	for _, path := range []string{"/v1/kv/a", "/v1/kv/a?ns=all", "/v1/kv/a?partition=default"} {
		if status, text := s.askAs(token, "PUT", path, "x"); status == http.StatusOK {
			t.Errorf("what the rules say of namespaces gives more: PUT %s: %s", path, text)
		}
	}
	if _, text := s.askAs(management, "GET", "/v1/acl/policies", ""); strings.Contains(text, `"all"`) {
		t.Errorf("there is more than before: %s", text)
	}
}

// No entry of a gateway stops a server, nor who asks what is behind it.
func TestAdvisory19Gateways(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.put("/v1/catalog/register", `{"Node": "m", "Address": "10.0.0.1", "Service": {"Kind": "ingress-gateway", "Service": "gate", "Port": 1}}`)
	s.put("/v1/catalog/register", `{"Node": "m", "Address": "10.0.0.1", "Service": {"Service": "web", "Port": 2, "Connect": {"Native": true}}}`)
	s.put("/v1/config", `{"Kind": "service-defaults", "Name": "web", "Protocol": "http"}`)
	taken := 0
	for _, kind := range []string{"ingress-gateway", "terminating-gateway", "api-gateway", "http-route", "tcp-route"} {
		for _, body := range []string{`"Listeners": [{"Port": 8080, "Protocol": "http", "Services": [{"Name": "*"}]}]`, `"Listeners": [{"Port": 8080, "Protocol": "http", "Services": [{"Name": "*", "Hosts": [""]}]}]`,
			`"Listeners": [{"Port": 8080, "Protocol": "tcp", "Services": [{"Name": "web"}, {"Name": "web"}]}]`, `"Listeners": [{"Port": 8080, "Services": []}]`, `"Listeners": [{"Port": -1}, {"Port": -1}]`,
			`"Listeners": [{"Port": 8080, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["*", "*.x", "x:0"], "RequestHeaders": {"Add": null}, "MaxConnections": -1}]}]`,
			`"Listeners": [{"Port": 8080, "TLS": {"Certificates": [null, {"Kind": "inline-certificate", "Name": "none"}]}}]`, `"Services": [{"Name": "*"}, {"Name": "gate"}]`,
			`"Services": [{"Name": "web", "CAFile": "/etc/passwd"}]`, `"Parents": [{"Kind": "api-gateway", "Name": "gate"}], "Rules": [{"Services": [{"Name": "web", "Weight": -1}]}]`,
			`"Parents": [{"Name": "gate", "SectionName": "none"}], "Services": [{"Name": "web"}, {"Name": "none"}]`} {
			if status, _ := s.ask("PUT", "/v1/config", fmt.Sprintf(`{"Kind": %q, "Name": "gate", %s}`, kind, body)); status == http.StatusOK {
				taken++
			}
			for _, path := range []string{"/v1/catalog/gateway-services/gate", "/v1/health/ingress/web", "/v1/health/connect/web", "/v1/config/" + kind + "/gate"} {
				if status, text := s.ask("GET", path, ""); status == http.StatusInternalServerError {
					t.Errorf("%s, %s: %s: %s", kind, body, path, text)
				}
			}
			s.dig("web.ingress.consul.", dns.TypeA)
		}
	}
	if taken == 0 {
		t.Error("nothing was taken")
	}
	s.serves()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	start(t, dir).serves()
}

// What is made for pages, and what is said to come from other clusters, shows no more than all else does.
func TestAdvisory23PagesAreFiltered(t *testing.T) {
	s := startManaged(t, t.TempDir())
	for _, of := range []string{"", `, "PeerName": "far"`} {
		for _, name := range []string{"web", "secret"} {
			body := fmt.Sprintf(`{"Node": "%s-node", "Address": "10.0.0.1"%s, "Service": {"Service": %[1]q%[2]s}, "Check": {"CheckID": "%[1]s-check", "Name": "x", "ServiceID": %[1]q%[2]s}}`, name, of)
			s.askAs(management, "PUT", "/v1/catalog/register", body) // any answer is good to the second kind
		}
	}
	if _, text := s.askAs(management, "GET", "/v1/health/service/secret", ""); !strings.Contains(text, "secret-check") {
		t.Fatalf("nothing is there to be hidden: %s", text)
	}
	_, token := s.token(`service "web" { policy = "read" } node "web-node" { policy = "read" }`)
	if _, text := s.askAs(token, "GET", "/v1/health/service/web", ""); !strings.Contains(text, "web-check") {
		t.Errorf("what may be read is not shown: %s", text)
	}
	for _, e := range httpapi.Endpoints() {
		if !slices.Contains(e.Methods, "GET") || strings.Contains(e.Path, "stream") || strings.Contains(e.Path, "monitor") || e.Path == "/v1/snapshot" {
			continue
		}
		for _, end := range []string{"", "secret-node", "secret", "web", "any"} {
			if !strings.HasSuffix(e.Path, "/") && end != "" {
				continue
			}
			for _, query := range []string{"", "?peer=far", "?peer=*", "?with-peers", "?merge-central-config"} {
				status, text := s.askAs(token, "GET", e.Path+end+query, "")
				if strings.Contains(strings.ReplaceAll(text, end, ""), "secret") || strings.Contains(text, "secret-check") {
					t.Errorf("%s shows: %d %s", e.Path+end+query, status, text)
				}
			}
		}
	}
}

// Nothing about peers stops a server or fills its memory: they are not there in this version, and that is said.
func TestAdvisory24Peers(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	s.http.Transport = &http.Transport{}
	large := strings.Repeat("x", 100_000)
	round := func() {
		for _, e := range httpapi.Endpoints() {
			if !strings.HasPrefix(e.Path, "/v1/peering") && !strings.HasSuffix(e.Path, "/ui/exported-services") {
				continue
			}
			for _, method := range e.Methods {
				for _, body := range []string{"", "null", `{"PeerName": null}`, `{"PeerName": "far", "PeeringToken": "` + large + `"}`, `{"PeerName": "` + large + `", "Meta": {"a": null}}`} {
					if status, text := s.ask(method, e.Path, body); status != http.StatusNotImplemented || !strings.Contains(text, "peering") {
						t.Fatalf("%s %s: %d %s", method, e.Path, status, text)
					}
				}
			}
		}
	}
	round()
	before := heap()
	for range 50 {
		round()
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("the heap was %d MiB and is %d MiB", before>>20, after>>20)
	}
	for _, exports := range []string{`[{"Name": "web", "Consumers": [{"Peer": "far"}, {"Peer": ""}, {}]}]`, `[{"Name": "*", "Consumers": null}]`, `[{}]`, `[{"Name": "web", "Consumers": [{"Peer": "*"}]}]`} {
		s.ask("PUT", "/v1/config", `{"Kind": "exported-services", "Name": "default", "Services": `+exports+`}`) // any answer is good
		s.ask("GET", "/v1/exported-services", "")
	}
	s.serves()
}

// Extensions of proxies come with the settings of a service, which are written by who may write that service, and with those
// of all, which takes more. A requirement of tokens needs an issuer that is known by name.
func TestAdvisory25Extensions(t *testing.T) {
	s := startManaged(t, t.TempDir())
	_, token := s.token(`service "db" { policy = "write" intentions = "write" }`)
	const extension = `"EnvoyExtensions": [{"Name": "builtin/property-override", "Arguments": {"Patches": [{"ResourceFilter": {"ResourceType": "cluster", "Services": [{"Name": "web"}]}, "Op": "add", "Path": "/x", "Value": 1}]}}]`
	for body, wanted := range map[string]int{
		`{"Kind": "service-defaults", "Name": "db", "Protocol": "http", ` + extension + `}`:                      http.StatusOK,
		`{"Kind": "service-defaults", "Name": "web", "Protocol": "http", ` + extension + `}`:                     http.StatusForbidden,
		`{"Kind": "proxy-defaults", "Name": "global", ` + extension + `}`:                                        http.StatusForbidden,
		`{"Kind": "jwt-provider", "Name": "mine", "Issuer": "me", "JSONWebKeySet": {"Local": {"JWKS": "e30="}}}`: http.StatusForbidden,
		`{"Kind": "service-intentions", "Name": "web", "Sources": [{"Name": "*", "Action": "allow"}]}`:           http.StatusForbidden,
	} {
		if status, text := s.askAs(token, "PUT", "/v1/config", body); status != wanted {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, text := s.askAs(token, "PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "db", "Protocol": "http", "EnvoyExtensions": [{}]}`); status == http.StatusOK {
		t.Errorf("an extension without a name: %s", text)
	}
	const calls = `{"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Permissions": [{"Action": "allow", "JWT": {"Providers": [{"Name": %q}]}}]}]}`
	if status, text := s.askAs(management, "PUT", "/v1/config", fmt.Sprintf(calls, "")); status == http.StatusOK {
		t.Errorf("an issuer without a name: %s", text)
	}
	s.askAs(management, "PUT", "/v1/config", fmt.Sprintf(calls, "none")) // any answer is good
	if _, text := s.askAs(management, "GET", "/v1/connect/intentions/check?source=web&destination=db", ""); strings.Contains(text, `"Allowed":true`) {
		t.Errorf("a call that needs a token is allowed without one: %s", text)
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
