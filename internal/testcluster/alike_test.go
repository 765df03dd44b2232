package testcluster

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// furnish fills the catalog, the keys and the sessions with something of every kind.
func furnish(t *testing.T, n *Node) {
	t.Helper()
	for _, w := range []struct{ path, body string }{
		{"/v1/catalog/register", `{"Node": "ext", "Address": "10.9.9.9", "TaggedAddresses": {"wan": "1.2.3.4"}, "NodeMeta": {"a": "b"},
			"Service": {"ID": "web-1", "Service": "web", "Tags": ["v1", "primary"], "Port": 80, "Meta": {"x": "y"}, "Weights": {"Passing": 3, "Warning": 1},
			"TaggedAddresses": {"lan": {"Address": "10.9.9.9", "Port": 80}}, "Locality": {"Region": "r", "Zone": "z"}},
			"Checks": [{"Node": "ext", "CheckID": "c1", "Name": "alive", "Status": "warning", "ServiceID": "web-1", "Output": "so so",
				"Definition": {"HTTP": "http://x/", "Interval": "10s", "Timeout": "1s", "Header": {"A": ["b"]}}}]}`},
		{"/v1/catalog/register", `{"Node": "bare", "Address": "10.9.9.8", "Service": {"Service": "db"}}`},
		{"/v1/catalog/register", `{"Node": "bare", "Address": "10.9.9.8", "Service": {"Service": "web-proxy", "Kind": "connect-proxy", "Port": 21000,
			"Proxy": {"DestinationServiceName": "web", "Config": {"deep": {"er": [1, "two", null, true]}}, "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9}]}}}`},
		{"/v1/kv/a", "1"}, {"/v1/kv/a/b?flags=42", "two"}, {"/v1/kv/empty", ""}, {"/v1/kv/a%2Fc", "\x00\xff"},
		{"/v1/agent/service/register", `{"Name": "own", "Port": 5, "Check": {"TTL": "60s", "Status": "passing"}}`},
		{"/v1/session/create", `{"Name": "s", "TTL": "30s", "LockDelay": "1s"}`},
		{"/v1/session/create", `{"Name": "t", "Behavior": "delete"}`},
		{"/v1/coordinate/update", `{"Node": "ext", "Coord": {"Vec": [0.1, 0.2, 0, 0, 0, 0, 0, 0], "Error": 1.5, "Adjustment": 0, "Height": 1e-5}}`},
	} {
		if a := n.Ask("PUT", w.path, w.body); !a.OK() {
			t.Fatalf("PUT %s: %d %s", w.path, a.Status, a.Body)
		}
	}
	for _, q := range []string{`{"Name": "q", "Token": "t", "Service": {"Service": "web", "Near": "_agent", "Failover": {"Datacenters": ["elsewhere"]}}, "DNS": {"TTL": "5s"}}`,
		`{"Name": "to-", "Template": {"Type": "name_prefix_match"}, "Service": {"Service": "${name.suffix}", "Failover": {"NearestN": 2}}}`} {
		if a := n.Ask("POST", "/v1/query", q); !a.OK() {
			t.Fatalf("POST /v1/query: %d %s", a.Status, a.Body)
		}
	}
}

// reads are one of every kind of read.
var reads = []string{
	"/v1/catalog/datacenters", "/v1/catalog/nodes", "/v1/catalog/nodes?near=ext", "/v1/catalog/nodes?node-meta=a:b", "/v1/catalog/nodes?filter=Address==%2210.9.9.9%22",
	"/v1/catalog/nodes?filter=nonsense", "/v1/catalog/services", "/v1/catalog/services?node-meta=a:b", "/v1/catalog/service/web", "/v1/catalog/service/web?tag=v1",
	"/v1/catalog/service/none", "/v1/catalog/connect/web", "/v1/catalog/node/ext", "/v1/catalog/node/none", "/v1/catalog/node-services/ext",
	"/v1/catalog/node-services/none", "/v1/catalog/gateway-services/none", "/v1/health/node/ext", "/v1/health/node/none", "/v1/health/checks/web",
	"/v1/health/checks/none", "/v1/health/service/web", "/v1/health/service/web?passing", "/v1/health/service/own?passing", "/v1/health/service/none", "/v1/health/connect/web",
	"/v1/health/ingress/web", "/v1/health/state/any", "/v1/health/state/critical", "/v1/health/state/warning?filter=Node==ext", "/v1/kv/a", "/v1/kv/a?raw", "/v1/kv/a?recurse", "/v1/kv/?keys",
	"/v1/kv/a?keys&separator=/", "/v1/kv/none", "/v1/kv/none?recurse", "/v1/kv/none?keys", "/v1/kv/empty", "/v1/kv/a%2Fc", "/v1/session/list",
	"/v1/session/node/s1", "/v1/session/node/none", "/v1/session/info/adf4238a-882b-9ddc-4a9d-5b6758e4159e", "/v1/session/info/nonsense", "/v1/coordinate/nodes", "/v1/coordinate/node/ext",
	"/v1/coordinate/node/none", "/v1/operator/usage", "/v1/operator/autopilot/configuration",
	"/v1/status/leader", "/v1/status/peers", "/v1/connect/ca/roots", "/v1/catalog/nodes?dc=elsewhere", "/v1/event/list",
	"/v1/query", "/v1/query/q/execute", "/v1/query/q/explain", "/v1/query/to-web/execute?limit=1", "/v1/query/to-none/execute", "/v1/query/to-x/explain", "/v1/query/none/execute",
	"/v1/query/none/explain", "/v1/query/adf4238a-882b-9ddc-4a9d-5b6758e4159e", "/v1/query/nonsense", "/v1/query/q/execute?dc=elsewhere", "/v1/query/q/execute?near=bare&connect=true",
}

// differ lists headers that tell who answered, and contact what tells it in a body.
var (
	differ  = []string{"X-Consul-Lastcontact", "Date", "Content-Length"}
	contact = regexp.MustCompile(`"LastContact":\d+`)
)

// What an agent answers does not depend on which agent it is.
func TestAllAgentsAnswerAlike(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		furnish(t, c.Node("s1"))
		leader := c.Leader()
		for _, mode := range []string{"", "consistent", "stale", "cached"} {
			for _, path := range reads {
				url := path
				if mode != "" {
					url += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + mode
				}
				for _, n := range []*Node{c.Follower(), c.Node("c1")} {
					c.alike(leader, n, url)
				}
			}
		}
	})
}

// alike waits until two agents answer the same, which takes a moment where stale answers are allowed.
func (c *Cluster) alike(a, b *Node, url string) {
	c.Helper()
	var want, got Answer
	for range 40 {
		want, got = a.Ask("GET", url, ""), b.Ask("GET", url, "")
		for _, answer := range []*Answer{&want, &got} {
			for _, h := range differ {
				answer.Header.Del(h)
			}
			answer.Body = contact.ReplaceAllString(answer.Body, "")
		}
		if want.Status == got.Status && want.Body == got.Body && maps.EqualFunc(want.Header, got.Header, slices.Equal) {
			return
		}
		c.Sleep(50e6)
	}
	c.Errorf("GET %s\n%s: %d %v\n%s\n%s: %d %v\n%s", url, a.Name, want.Status, want.Header, want.Body, b.Name, got.Status, got.Header, got.Body)
}
