package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A catalogServer answers from a log without Raft. Its methods go to the services in this process.
type catalogServer struct {
	t        testing.TB
	http     *httptest.Server
	client   *api.Client
	views    *view.Views
	registry rpc.Registry[acl.Authorizer]
	az       acl.Authorizer
}

// Call implements rpc.Caller.
func (s *catalogServer) Call(ctx context.Context, h rpc.Header, method string, args, reply any) error {
	if h.Datacenter != "" && h.Datacenter != "dc1" {
		return rpc.ErrNoDatacenter
	}
	return s.registry.Dispatch(ctx, s.az, method, args, reply)
}

func newCatalogServer(t testing.TB, az acl.Authorizer) *catalogServer {
	t.Helper()
	log, err := state.NewLocal(10, append(catalog.Tables(), coordinate.Tables()...)...)
	if err != nil {
		t.Fatal(err)
	}
	s := &catalogServer{t: t, az: az}
	c := &catalog.Service{Log: log, Datacenter: "dc1", Distance: coordinate.Distance}
	o := &coordinate.Service{Log: log, Known: catalog.HasNode}
	rpc.Handle(&s.registry, catalog.RegisterMethod, c.Register)
	rpc.Handle(&s.registry, catalog.DeregisterMethod, c.Deregister)
	rpc.Handle(&s.registry, coordinate.UpdateMethod, o.Update)
	rpc.Handle(&s.registry, coordinate.DatacentersMethod, o.ListDatacenters)
	views := view.New(view.Config{Log: log, Datacenter: "dc1",
		Resolve: func(context.Context, string) (acl.Authorizer, error) { return az, nil }})
	t.Cleanup(views.Stop)
	catalogQueries(views, c, o)
	s.views = views
	s.http = httptest.NewServer(New(Config{Caller: s, Views: views, Datacenter: "dc1", Node: "n1", Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.http.Close)
	s.client, err = api.NewClient(&api.Config{Address: s.http.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func catalogQueries(views *view.Views, c *catalog.Service, o *coordinate.Service) {
	view.Handle(views, catalog.NodesQuery, c.Nodes)
	view.Handle(views, catalog.NodeQuery, c.Node)
	view.Handle(views, catalog.NodeServicesQuery, c.NodeServices)
	view.Handle(views, catalog.ServicesQuery, c.Services)
	view.Handle(views, catalog.ServiceNodesQuery, c.ServiceNodes)
	view.Handle(views, catalog.GatewayQuery, c.GatewayServices)
	view.Handle(views, catalog.ServiceHealthQuery, c.ServiceHealth)
	view.Handle(views, catalog.NodeChecksQuery, c.NodeChecks)
	view.Handle(views, catalog.ServiceChecksQuery, c.ServiceChecks)
	view.Handle(views, catalog.ChecksInStateQuery, c.ChecksInState)
	view.Handle(views, catalog.UsageQuery, c.Usage)
	view.Handle(views, coordinate.NodesQuery, o.Nodes)
	view.Handle(views, coordinate.NodeQuery, o.Node)
}

// do sends a request and gives the answer's status, headers and body.
func (s *catalogServer) do(method, path, body string) (int, http.Header, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.http.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(b)
}

func (s *catalogServer) register(node, service string, port int, status string) {
	s.t.Helper()
	_, err := s.client.Catalog().Register(&api.CatalogRegistration{
		Node: node, Address: "10.0.0.1", NodeMeta: map[string]string{"rack": node},
		Service: &api.AgentService{Service: service, Port: port, Tags: []string{"T-" + node}},
		Check:   &api.AgentCheck{Node: node, CheckID: service, Name: service, Status: status, ServiceID: service},
	}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
}

// The public client of Consul registers and finds services.
func TestCatalogThroughTheClient(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	s.register("n1", "web", 80, "passing")
	s.register("n2", "web", 81, "critical")
	c := s.client.Catalog()
	services, meta, err := c.Services(nil)
	if err != nil || !slices.Equal(services["web"], []string{"T-n1", "T-n2"}) || meta.LastIndex == 0 || !meta.KnownLeader {
		t.Errorf("services: %v, %+v, %v", services, meta, err)
	}
	rows, _, err := c.ServiceMultipleTags("web", []string{"t-N2"}, nil)
	if err != nil || len(rows) != 1 || rows[0].ServicePort != 81 || rows[0].NodeMeta["rack"] != "n2" {
		t.Errorf("service: %v, %v", rows, err)
	}
	entries, _, err := s.client.Health().Service("web", "", true, &api.QueryOptions{NodeMeta: map[string]string{"rack": "n1"}})
	if err != nil || len(entries) != 1 || entries[0].Node.Node != "n1" || entries[0].Checks[0].Status != "passing" {
		t.Errorf("health: %v, %v", entries, err)
	}
	checks, _, err := s.client.Health().State("critical", &api.QueryOptions{Filter: "Node == n2"})
	if err != nil || len(checks) != 1 {
		t.Errorf("state: %v, %v", checks, err)
	}
	node, _, err := c.Node("n1", nil)
	if err != nil || node.Services["web"].Port != 80 {
		t.Errorf("node: %+v, %v", node, err)
	}
	usage, _, err := s.client.Operator().Usage(nil)
	if err != nil || usage.Usage["dc1"].ServiceInstances != 2 {
		t.Errorf("usage: %+v, %v", usage, err)
	}
	if _, err := c.Deregister(&api.CatalogDeregistration{Node: "n2"}, nil); err != nil {
		t.Error(err)
	}
	if nodes, _, err := c.Nodes(nil); err != nil || len(nodes) != 1 {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
}

// A blocking query is answered when its service changes.
func TestBlockingHealth(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	s.register("n1", "web", 80, "passing")
	_, meta, err := s.client.Health().Service("web", "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan int)
	go func() {
		entries, _, _ := s.client.Health().Service("web", "", false, &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: time.Minute})
		answered <- len(entries)
	}()
	s.register("n1", "other", 80, "passing")
	s.register("n2", "web", 80, "passing")
	if n := <-answered; n != 2 {
		t.Errorf("got %d instances", n)
	}
}

func TestNearTheAgent(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	for i, node := range []string{"n0", "n1", "n2"} {
		s.register(node, "web", 80, "passing")
		place := fmt.Sprintf(`{"Node": %q, "Coord": {"Vec": [%d, 0, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Height": 0.001}}`, node, i*i)
		if status, _, text := s.do("PUT", "/v1/coordinate/update", place); status != 200 || text != "" {
			t.Fatalf("got %d %s", status, text)
		}
	}
	entries, _, err := s.client.Health().Service("web", "", false, &api.QueryOptions{Near: "_agent"})
	var got []string
	for _, e := range entries {
		got = append(got, e.Node.Node)
	}
	if err != nil || !slices.Equal(got, []string{"n1", "n0", "n2"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCatalogRefusals(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", "/v1/catalog/register", `{bad`, 400, "Request decode failed: invalid character 'b' looking for beginning of object key string"},
		{"PUT", "/v1/catalog/register", ``, 400, "Request decode failed: EOF"},
		{"PUT", "/v1/catalog/register", `[]`, 400, "Request decode failed: json: cannot unmarshal array into Go value of type structs.RegisterRequest"},
		{"PUT", "/v1/catalog/register", `{"Unknown": 1}`, 400, `Request decode failed: json: unknown field "Unknown"`},
		{"PUT", "/v1/catalog/register", `{"Service": {"Port": "80"}}`, 400, "Request decode failed: json: cannot unmarshal string into Go struct field NodeService.Service.Port of type int"},
		{"PUT", "/v1/catalog/register", `{"Service": 1}`, 400, "Request decode failed: json: cannot unmarshal number into Go struct field RegisterRequest.Service of type structs.NodeService"},
		{"PUT", "/v1/catalog/register", `{"Node": "n", "Address": "a", "Datacenter": "dc9"}`, 500, "No path to datacenter"},
		{"PUT", "/v1/catalog/register", `{"Notes": "` + strings.Repeat("x", maxBody) + `"}`, 413, "Request body too large, max size: 4194304 bytes"},
		{"PUT", "/v1/catalog/deregister", `{}`, 500, "Must provide node"},
		{"GET", "/v1/catalog/service/", ``, 400, "Missing service name"},
		{"GET", "/v1/catalog/connect/", ``, 400, "Missing service name"},
		{"GET", "/v1/catalog/node/", ``, 400, "Missing node name"},
		{"GET", "/v1/catalog/node-services/", ``, 400, "Missing node name"},
		{"GET", "/v1/catalog/gateway-services/", ``, 400, "Missing gateway name"},
		{"GET", "/v1/health/node/", ``, 400, "Missing node name"},
		{"GET", "/v1/health/checks/", ``, 400, "Missing service name"},
		{"GET", "/v1/health/state/", ``, 400, "Missing check state"},
		{"GET", "/v1/health/service/", ``, 400, "Missing service name"},
		{"GET", "/v1/health/ingress/", ``, 400, "Missing service name"},
		{"GET", "/v1/health/service/web?passing=x", ``, 400, "Invalid value for ?passing"},
		{"GET", "/v1/health/service/web?index=x", ``, 400, "Invalid index"},
		{"GET", "/v1/catalog/nodes?filter=Nope+==+1", ``, 500, `Failed to create boolean expression evaluator: Selector "Nope" is not valid`},
		{"GET", "/v1/catalog/nodes?dc=dc9", ``, 500, "No path to datacenter"},
		{"GET", "/v1/coordinate/node/none", ``, 404, ""},
		{"GET", "/v1/coordinate/node/", ``, 404, ""},
		{"PUT", "/v1/coordinate/update", `{"Node": "n", "Coord": {"Vec": [1]}}`, 500, "incompatible coordinate"},
		{"PUT", "/v1/coordinate/update", `{"Node": "n"}`, 400, "Coord must be given: the place of the node as Vec, Error, Adjustment and Height"},
	} {
		status, _, text := s.do(c.method, c.path, c.body)
		if status != c.status || text != c.text {
			t.Errorf("%s %s %.60s: got %d %s", c.method, c.path, c.body, status, text)
		}
	}
}

// Peers export nothing to a cluster that has none, and a place is only in the segment where it was taken.
func TestPeersAndSegments(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	s.register("n1", "web", 80, "passing")
	place := `{"Node": "n1", "Coord": {"Vec": [0, 0, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Adjustment": 0, "Height": 0.01}}`
	if status, _, text := s.do("PUT", "/v1/coordinate/update", place); status != 200 {
		t.Fatal(status, text)
	}
	for path, there := range map[string]bool{
		"/v1/catalog/service/web": true, "/v1/catalog/service/web?peer=": true, "/v1/catalog/service/web?peer=far": false,
		"/v1/health/service/web": true, "/v1/health/service/web?peer=": true, "/v1/health/service/web?peer=far": false,
		"/v1/coordinate/node/n1": true, "/v1/coordinate/node/n1?segment=": true, "/v1/coordinate/node/n1?segment=east": false,
	} {
		status, _, text := s.do("GET", path, "")
		if got := strings.Contains(text, "n1"); got != there {
			t.Errorf("%s: got %d %s", path, status, text)
		}
		if want := strings.HasPrefix(path, "/v1/coordinate/") && !there; (status == 404) != want {
			t.Errorf("%s: got %d", path, status)
		}
	}
}

// Who asks for a namespace or a partition is not given what is in the only one, however that was asked.
func TestPaidEdition(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	for _, c := range []struct{ query, header, want string }{
		{"?ns=default", "", `Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature`},
		{"?partition=default", "", `Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature`},
		{"", "X-Consul-Namespace", `Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature`},
		{"?stale", "X-Consul-Partition", `Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature`},
	} {
		r, err := http.NewRequest("GET", s.http.URL+"/v1/catalog/nodes"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			r.Header.Set(c.header, "default")
		}
		w := httptest.NewRecorder()
		s.http.Config.Handler.ServeHTTP(w, r)
		if got := w.Body.String(); w.Code != 400 || got != c.want {
			t.Errorf("%+v: got %d %s", c, w.Code, got)
		}
	}
}

// Errors of the catalog come with the headers of an answer, those of the health of a service without.
func TestHeadersOfErrors(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	for path, want := range map[string]string{
		"/v1/catalog/nodes?filter=a": "false", "/v1/catalog/service/web?dc=dc9": "false",
		"/v1/coordinate/nodes?dc=dc9": "false", "/v1/health/service/web?filter=a": "", "/v1/health/service/web?dc=dc9": "",
	} {
		if _, h, _ := s.do("GET", path, ""); h.Get("X-Consul-KnownLeader") != want {
			t.Errorf("%s: got %v", path, h)
		}
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	s := newCatalogServer(t, acl.AllowAll())
	s.register("n1", "web", 80, "passing")
	for _, c := range []struct{ path, header, want string }{
		{"/v1/catalog/nodes", "X-Consul-Effective-Consistency", "leader"},
		{"/v1/catalog/nodes?stale", "X-Consul-Effective-Consistency", "stale"},
		{"/v1/catalog/nodes?consistent", "X-Consul-Effective-Consistency", "consistent"},
		{"/v1/coordinate/nodes", "X-Consul-Effective-Consistency", ""},
		{"/v1/catalog/services?cached", "X-Cache", "MISS"},
		{"/v1/catalog/services?cached", "X-Cache", "HIT"},
		{"/v1/catalog/services", "X-Cache", ""},
		{"/v1/health/service/web", "X-Consul-Query-Backend", "blocking-query"},
		{"/v1/health/service/web?cached", "X-Consul-Query-Backend", "streaming"},
		{"/v1/health/service/web?index=1", "X-Consul-Query-Backend", "streaming"},
		{"/v1/catalog/nodes", "X-Consul-Results-Filtered-By-Acls", ""},
	} {
		if _, h, _ := s.do("GET", c.path, ""); h.Get(c.header) != c.want {
			t.Errorf("%s: %s is %q, want %q", c.path, c.header, h.Get(c.header), c.want)
		}
	}
}

// nodesOnly may do everything with nodes and nothing with services.
type nodesOnly struct{ acl.Authorizer }

func (nodesOnly) Allow(r acl.Resource, _ string, _ acl.Access) bool { return r == acl.Node }
func (nodesOnly) ID() string                                        { return "nodes" }

func TestFilteredByACLs(t *testing.T) {
	s := newCatalogServer(t, nodesOnly{acl.DenyAll()})
	if _, err := s.client.Catalog().Register(&api.CatalogRegistration{Node: "n", Address: "a"}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := s.client.Catalog().Register(&api.CatalogRegistration{Node: "n", Address: "a", Service: &api.AgentService{Service: "web"}}, nil)
	if status := new(api.StatusError); !errors.As(err, status) || status.Code != 403 {
		t.Errorf("got %v", err)
	}
	s.az = acl.AllowAll()
	s.register("n", "web", 80, "passing")
	for _, path := range []string{"/v1/catalog/services", "/v1/catalog/service/web", "/v1/health/service/web", "/v1/catalog/node/n", "/v1/health/checks/web"} {
		if _, h, body := s.do("GET", path+"?token=x", ""); h.Get("X-Consul-Results-Filtered-By-Acls") != "true" || strings.Contains(body, "80") {
			t.Errorf("%s: %v %s", path, h, body)
		}
	}
}

func FuzzRegister(f *testing.F) {
	for _, s := range []string{`{"Node": "n", "Address": "a", "Service": {"Service": "web", "Connect": {"SidecarService": {"Check": {"TTL": "1s"}}}}}`,
		`{"node": "n", "address": "a", "checks": [null, {"definition": {"interval": 10, "header": {"a": null}}}]}`, `null`, `{"Service": {"Proxy": {"Config": {"a": [1, {}]}}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var r catalog.Register
		if err := decode(httptest.NewRequest(http.MethodPut, "/", strings.NewReader(body)), &r, catalogNames); err != nil {
			return
		}
		log, err := state.NewLocal(1, catalog.Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&catalog.Service{Log: log}).Register(t.Context(), acl.AllowAll(), &r); err != nil {
			return
		}
		if _, err := r.MarshalMsg(nil); err != nil {
			t.Errorf("%s was accepted and cannot be replicated: %v", body, err)
		}
	})
}
