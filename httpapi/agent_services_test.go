package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"github.com/mitchellh/hashstructure"

	"lictor/acl"
	"lictor/catalog"
)

// A register is Services and Checks in memory. It notes what it is told.
type register struct {
	mu       sync.Mutex // guards services and changed, which a test changes while a request waits
	services map[string]*catalog.Instance
	checks   map[string]*catalog.Check
	changed  chan struct{}
	told     []string
	last     *catalog.ServiceDefinition
	check    *catalog.CheckDefinition
}

func newRegister() *register {
	return &register{services: map[string]*catalog.Instance{}, checks: map[string]*catalog.Check{}, changed: make(chan struct{})}
}

func (r *register) Services() map[string]*catalog.Instance { return r.services }
func (r *register) Checks() map[string]*catalog.Check      { return r.checks }
func (r *register) CheckRow(id string) *catalog.Check      { return r.checks[id] }

func (r *register) Service(id string) (*catalog.Instance, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.services[id], r.changed
}

func (r *register) put(row *catalog.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services[row.ID] = row
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *register) RegisterService(_ context.Context, d *catalog.ServiceDefinition, token string, replace bool) error {
	r.last = d
	r.told = append(r.told, "register "+d.Identity()+" "+token)
	if replace {
		r.told = append(r.told, "replace")
	}
	r.put(d.Instance("node1"))
	return nil
}

func (r *register) DeregisterService(_ context.Context, id string) error {
	r.told = append(r.told, "deregister "+id)
	return nil
}

func (r *register) SetServiceMaintenance(_ context.Context, id string, on bool, reason, _ string) error {
	r.told = append(r.told, "maintain "+id+" "+reason)
	return nil
}

func (r *register) SetNodeMaintenance(_ context.Context, _ bool, reason, _ string) error {
	r.told = append(r.told, "maintain node "+reason)
	return nil
}

func (r *register) RegisterCheck(_ context.Context, d *catalog.CheckDefinition, token string) error {
	r.check = d
	r.told = append(r.told, "check "+d.Identity()+" "+token)
	return nil
}

func (r *register) DeregisterCheck(_ context.Context, id string) error {
	r.told = append(r.told, "uncheck "+id)
	return nil
}

func (r *register) UpdateCheck(_ context.Context, id, status, output string) error {
	r.told = append(r.told, strings.Join([]string{"update", id, status, output}, " "))
	return nil
}

// serveAgent makes a Server with what is registered on its agent, where tokens may do everything, or nothing if they
// are "none".
func serveAgent(r *register) *Server {
	return New(Config{
		Services: r, Checks: r, Datacenter: "dc1", Node: "node1", Log: slog.New(slog.DiscardHandler),
		Maintain: r.SetNodeMaintenance,
		Resolve: func(_ context.Context, token string) (acl.Authorizer, error) {
			if token == "none" {
				return acl.DenyAll(), nil
			}
			return acl.AllowAll(), nil
		},
	})
}

func ask(s *Server, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

// TestContentHash pins the hash that the API module's own tests expect of a service, and that it is made of that
// module's type.
func TestContentHash(t *testing.T) {
	for want, d := range map[string]*catalog.ServiceDefinition{
		"3e352f348d44f7eb": {Name: "foo", Tags: []string{"bar", "baz"}, Port: 8000},
		"": {
			Name: "p", Kind: catalog.ConnectProxy, Port: 1, Address: "10.0.0.1", Meta: map[string]string{"k": "v"},
			Proxy: &catalog.Proxy{
				DestinationServiceName: "web", Config: map[string]any{"a": 1.5}, TransparentProxy: &catalog.TransparentProxy{},
				Upstreams: []catalog.Upstream{{DestinationName: "db", LocalBindPort: 5}},
				Expose:    catalog.Expose{Paths: []catalog.ExposePath{{Path: "/h", ListenerPort: 1}}},
			},
		},
		" ": {Name: "native", Connect: &catalog.ConnectDefinition{Native: true}, Locality: &catalog.Locality{Region: "r"}},
	} {
		got, err := hashService(d.Instance("node1"), "dc1")
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(want); want != "" && got.ContentHash != want {
			t.Errorf("%s: hash %s, want %s", d.Name, got.ContentHash, want)
		}
		body, _ := json.Marshal(got)
		var theirs api.AgentService
		if err := json.Unmarshal(body, &theirs); err != nil {
			t.Fatal(err)
		}
		theirs.ContentHash = ""
		hash, err := hashstructure.Hash(&theirs, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(got.ContentHash); string(got) != `"`+hexOf(hash)+`"` {
			t.Errorf("%s: hash %s, the client's is %s", d.Name, got, hexOf(hash))
		}
	}
}

func hexOf(n uint64) string {
	const digits = "0123456789abcdef"
	out := []byte{}
	for ; n > 0; n >>= 4 {
		out = append([]byte{digits[n&15]}, out...)
	}
	return string(out)
}

func TestServiceHashBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegister()
		s := serveAgent(r)
		r.put((&catalog.ServiceDefinition{Name: "web"}).Instance("node1"))
		hash := ask(s, get, "/v1/agent/service/web", "").Header().Get("X-Consul-ContentHash")
		begun := time.Now()
		if w := ask(s, get, "/v1/agent/service/web?wait=10s&hash="+hash, ""); w.Code != 200 || time.Since(begun) != 10*time.Second {
			t.Errorf("answered %d after %s", w.Code, time.Since(begun))
		}
		begun = time.Now()
		go func() {
			time.Sleep(time.Second)
			r.put((&catalog.ServiceDefinition{Name: "web"}).Instance("node1")) // nothing new
			time.Sleep(time.Second)
			r.put((&catalog.ServiceDefinition{Name: "web", Port: 1}).Instance("node1"))
		}()
		w := ask(s, get, "/v1/agent/service/web?hash="+hash, "")
		if w.Header().Get("X-Consul-ContentHash") == hash || time.Since(begun) != 2*time.Second {
			t.Errorf("answered after %s", time.Since(begun))
		}
	})
}

func TestServiceBodies(t *testing.T) {
	for body, want := range map[string]*catalog.ServiceDefinition{
		`{"name":"web","PORT":80,"tags":["a"]}`:               {Name: "web", Port: 80, Tags: []string{"a"}},
		`{"Name":"web","Check":null,"Checks":null,"Tags":[]}`: {Name: "web", Tags: []string{}},
		`{"Name":"web","enable_tag_override":true,"tagged_addresses":{"lan_x":{"address":"a","port":1}},"Meta":{"a_b":"c_d"}}`: {
			Name: "web", EnableTagOverride: true, Meta: map[string]string{"a_b": "c_d"},
			TaggedAddresses: map[string]catalog.ServiceAddress{"lan_x": {Address: "a", Port: 1}}},
		`{"Name":"web","Check":{"Args":["a","b"],"interval":"10s","docker_container_id":"c","Header":{"X_y":["1"]}},"checks":[{"ttl":1000000000}]}`: {
			Name: "web", Check: &catalog.CheckDefinition{ScriptArgs: []string{"a", "b"}, Interval: 10e9, DockerContainerID: "c",
				Header: map[string][]string{"X_y": {"1"}}},
			Checks: []*catalog.CheckDefinition{{TTL: 1e9}}},
		`{"Name":"p","Proxy":{"destination_service_name":"d","config":{"local_x":1},"envoy_extensions":[],"upstreams":[{"local_bind_port":5,"config":{"a_b":true}}]},
		  "Connect":{"sidecar_service":{"check":{"tcp_use_tls":true}}}}`: {
			Name: "p", Proxy: &catalog.Proxy{DestinationServiceName: "d", Config: map[string]any{"local_x": 1.0},
				Upstreams: []catalog.Upstream{{LocalBindPort: 5, Config: map[string]any{"a_b": true}}}},
			Connect: &catalog.ConnectDefinition{SidecarService: &catalog.ServiceDefinition{Check: &catalog.CheckDefinition{TCPUseTLS: true}}}},
	} {
		got, err := decodeService(httptest.NewRequest(put, "/", strings.NewReader(body)))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestServiceBodiesRefused(t *testing.T) {
	s := serveAgent(newRegister())
	for body, want := range map[string]string{
		"":                                   "Request decode failed: EOF",
		"null":                               "Missing service name",
		"{bad":                               "Request decode failed: invalid character 'b' looking for beginning of object key string",
		`{"Name":"x","Nonsense":1}`:          `Request decode failed: json: unknown field "Nonsense"`,
		`{"Name":"x","Namespace":"a"}`:       `Request decode failed: json: unknown field "Namespace"`,
		`{"Name":"x","Meta":{"a":1}}`:        "Request decode failed: json: cannot unmarshal number into Go struct field .Alias.Meta of type string",
		`{"Name":"x","Check":{"TTL":"abc"}}`: `Request decode failed: time: invalid duration "abc"`,
		`{"Name":"x","Check":{"Name":"c"}}`:  "Invalid check: TTL must be > 0 for TTL checks",
		`{"Name":"x","Address":"::"}`:        "Invalid service address",
		`{"Name":"x","Connect":{"SidecarService":{"ID":"y"}}}`:                   "Invalid SidecarService: sidecar service ID can not be specified",
		`{"Name":"x","Connect":{"SidecarService":{"Check":{"HTTP":"http://"}}}}`: "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
	} {
		w := ask(s, put, "/v1/agent/service/register", body)
		if w.Code != http.StatusBadRequest || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	if w := ask(s, put, "/v1/agent/service/register", `"`+strings.Repeat("x", maxBody)+`"`); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body is answered with %d", w.Code)
	}
}

func TestAgentRequests(t *testing.T) {
	for _, test := range []struct{ method, path, body, told string }{
		{put, "/v1/agent/service/register?token=t", `{"Name":"new"}`, "register new t"},
		{put, "/v1/agent/service/register?replace-existing-checks", `{"Name":"a"}`, "register a ,replace"},
		{put, "/v1/agent/service/register?replace-existing-checks=true", `{"Name":"a"}`, "register a ,replace"},
		{put, "/v1/agent/service/register?replace-existing-checks=maybe", `{"Name":"a"}`, "register a "},
		{put, "/v1/agent/service/deregister/a/b%20c", "", "deregister a/b c"},
		{put, "/v1/agent/service/maintenance/web?enable=true&reason=x+y", "", "maintain web x y"},
		{put, "/v1/agent/maintenance?enable=0", "", "maintain node "},
		{put, "/v1/agent/check/register", `{"Name":"mem","TTL":"1s","Notes":"n"}`, "check mem "},
		{put, "/v1/agent/check/deregister/c1", "", "uncheck c1"},
		{put, "/v1/agent/check/pass/c1?note=all+good", "", "update c1 passing all good"},
		{put, "/v1/agent/check/warn/c1", "", "update c1 warning "},
		{put, "/v1/agent/check/fail/c1", "", "update c1 critical "},
		{put, "/v1/agent/check/update/c1", `{"status":"passing","Output":"o"}`, "update c1 passing o"},
	} {
		r := newRegister()
		r.put(&catalog.Instance{ID: "web", Service: "web"})
		r.put(&catalog.Instance{ID: "a/b c", Service: "web"})
		r.checks["c1"] = &catalog.Check{CheckID: "c1", ServiceID: "web", ServiceName: "web"}
		s := serveAgent(r)
		w := ask(s, test.method, test.path, test.body)
		if got := strings.Join(r.told, ","); w.Code != 200 || w.Body.Len() != 0 || got != test.told || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, told %q, want %q", test.path, w.Code, w.Body, got, test.told)
		}
		r.told = nil
		separator := "?"
		if strings.Contains(test.path, "?") {
			separator = "&"
		}
		path := strings.Replace(test.path, "token=t", "", 1) + separator + "token=none"
		if w := ask(s, test.method, path, test.body); w.Code != http.StatusForbidden || len(r.told) != 0 {
			t.Errorf("%s without access: %d %s", test.path, w.Code, w.Body)
		}
		if w := ask(s, get, test.path, test.body); w.Code != http.StatusMethodNotAllowed || len(r.told) != 0 {
			t.Errorf("GET %s: %d", test.path, w.Code)
		}
	}
}

func TestAgentReadsAreFiltered(t *testing.T) {
	r := newRegister()
	r.put(&catalog.Instance{ID: "web", Service: "web"})
	r.checks["c1"] = &catalog.Check{CheckID: "c1", ServiceID: "web", ServiceName: "web"}
	r.checks["n1"] = &catalog.Check{CheckID: "n1"}
	s := serveAgent(r)
	for _, path := range []string{"/v1/agent/services", "/v1/agent/checks"} {
		if w := ask(s, get, path+"?token=none", ""); w.Code != 200 || w.Body.String() != "{}" || w.Header().Get("X-Consul-Results-Filtered-By-ACLs") != "true" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/v1/agent/service/web", "/v1/agent/health/service/id/web", "/v1/agent/health/service/name/web"} {
		if w := ask(s, get, path+"?token=none", ""); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestAgentRefusals(t *testing.T) {
	r := newRegister()
	r.put(&catalog.Instance{ID: "web", Service: "web"})
	s := serveAgent(r)
	for _, test := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{get, "/v1/agent/service/none", "", 404, "unknown service ID: none"},
		{put, "/v1/agent/service/deregister/none", "", 404, `Unknown service ID "none". Ensure that the service ID is passed, not the service name.`},
		{put, "/v1/agent/service/maintenance/?enable=true", "", 400, "Missing service ID"},
		{put, "/v1/agent/service/maintenance/web", "", 400, "Missing value for enable"},
		{put, "/v1/agent/service/maintenance/web?enable=x", "", 400, `Invalid value for enable: "x"`},
		{put, "/v1/agent/check/deregister/none", "", 404, `Unknown check ID "none". Ensure that the check ID is passed, not the check name.`},
		{put, "/v1/agent/check/update/none", `{}`, 400, "Invalid check status: ''"},
		{put, "/v1/agent/check/update/none", `{"Status":"passing"}`, 404, `Unknown check ID "none". Ensure that the check ID is passed, not the check name.`},
		{put, "/v1/agent/check/register", `{"TTL":"1s"}`, 400, "Missing check name"},
		{put, "/v1/agent/check/register", `{"Name":"x","TTL":"1s","Status":"odd"}`, 400, "Bad check status"},
		{put, "/v1/agent/check/register", `{"Name":"x"}`, 400, "Invalid check: TTL must be > 0 for TTL checks"},
		{put, "/v1/agent/check/register", `{"Name":"x","ServiceID":"none","TTL":"5s"}`, 404, `ServiceID "none" does not exist`},
		{get, "/v1/agent/services?filter=Nope+==+v", "", 500, `Failed to create boolean expression evaluator: Selector "Nope" is not valid`},
		{get, "/v1/agent/health/service/id/", "", 500, "Missing serviceID"},
		{get, "/v1/agent/health/service/name/", "", 500, "Missing service Name"},
		{get, "/v1/agent/service/web?hash=x&wait=y", "", 400, "Invalid wait time"},
	} {
		if w := ask(s, test.method, test.path, test.body); w.Code != test.status || w.Body.String() != test.text {
			t.Errorf("%s: %d %s, want %d %s", test.path, w.Code, w.Body, test.status, test.text)
		}
	}
}

func TestAgentHealth(t *testing.T) {
	r := newRegister()
	s := serveAgent(r)
	r.put(&catalog.Instance{ID: "w1", Service: "web", Weights: &catalog.Weights{Passing: 1, Warning: 1}})
	r.put(&catalog.Instance{ID: "w2", Service: "web"})
	set := func(id, service, status string) {
		r.checks[id] = &catalog.Check{CheckID: id, ServiceID: service, Status: status}
	}
	for _, step := range []struct {
		change       func()
		status       int
		reason, both string
	}{
		{func() {}, 200, "passing", "passing"},
		{func() { set("c1", "w1", "warning") }, 429, "warning", "warning"},
		{func() { set("c2", "w2", "critical") }, 429, "warning", "critical"},
		{func() { set("n", "", "critical") }, 503, "critical", "critical"},
		{func() { set("_service_maintenance:w2", "w2", "critical") }, 503, "critical", "maintenance"},
		{func() { set("_node_maintenance", "", "critical") }, 503, "maintenance", "maintenance"},
	} {
		step.change()
		w := ask(s, get, "/v1/agent/health/service/id/w1", "")
		if w.Code != step.status || w.Header().Get("X-Consul-Reason") != step.reason || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s, want %d %s", w.Code, w.Header().Get("X-Consul-Reason"), step.status, step.reason)
		}
		w = ask(s, get, "/v1/agent/health/service/name/web?format=text", "")
		if w.Body.String() != step.both || w.Header().Get("Content-Type") != "text/plain" {
			t.Errorf("both are %s, want %s", w.Body, step.both)
		}
	}
	if w := ask(s, get, "/v1/agent/health/service/id/none", ""); w.Code != 404 || w.Body.String() != `{"AggregatedStatus":"critical","Service":null,"Checks":null}` {
		t.Errorf("unknown: %d %s", w.Code, w.Body)
	}
	if w := ask(s, get, "/v1/agent/health/service/name/none", ""); w.Code != 404 || w.Body.String() != `[]` {
		t.Errorf("unknown: %d %s", w.Code, w.Body)
	}
}

func FuzzAgentBodies(f *testing.F) {
	f.Add(`{"Name":"web","Check":{"Args":["a"],"Interval":"1s"},"Connect":{"SidecarService":{}},"Proxy":{"Upstreams":[{}]}}`)
	f.Add(`{"name":"x","checks":[null,{"ttl":1e99}],"meta":{"a":null}}`)
	f.Add(`[[[[{"_":{}}]]]]`)
	f.Fuzz(func(t *testing.T, body string) {
		s := serveAgent(newRegister())
		for _, path := range []string{"/v1/agent/service/register", "/v1/agent/check/register", "/v1/agent/check/update/x"} {
			if w := ask(s, put, path, body); w.Code >= 500 {
				t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
			}
		}
	})
}
