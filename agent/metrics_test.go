package agent

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestMetricNames keeps the list of what agents report: a name of testdata/metrics.tsv that does not appear after a small
// load, or with another type, is one that somebody's dashboard misses.
func TestMetricNames(t *testing.T) {
	server := start(t, t.TempDir())
	load(server)
	server.reports("all", "server", "wal")
	bolt := start(t, t.TempDir(), `raft_logstore { backend = "boltdb" }`)
	load(bolt)
	bolt.reports("all", "server", "boltdb")
	client := startClient(t, bolt)
	load(client)
	client.get("/v1/catalog/services?cached")
	client.reports("all", "client")
}

// startClient runs a client agent in a server's cluster until the test ends.
func startClient(t *testing.T, of *subject) *subject {
	t.Helper()
	c, err := newSubject(t, ports(t)+fmt.Sprintf(`node_name = "c1" server = false bind_addr = "127.0.0.1" data_dir = %q
		retry_join = ["127.0.0.1:%d"]`, t.TempDir(), of.cfg.Network.Ports.SerfLAN))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	c.eventually("the client is in the catalog", func() bool { return strings.Contains(c.get("/v1/catalog/nodes"), `"Node":"c1"`) })
	return c
}

// load asks for a little of everything.
func load(s *subject) {
	s.t.Helper()
	s.put("/v1/kv/a", "x")
	s.get("/v1/kv/a?consistent")
	s.get("/v1/kv/a?index=1&wait=1ms")
	s.ask("DELETE", "/v1/kv/a", "")
	s.put("/v1/catalog/register", `{"Node": "ext", "Address": "192.0.2.1", "Service": {"Service": "web", "Tags": ["t"]}}`)
	s.put("/v1/catalog/register", `{"Node": "more", "Address": "192.0.2.2"}`)
	s.put("/v1/catalog/deregister", `{"Node": "more"}`)
	for _, path := range []string{"datacenters", "nodes", "services", "node/ext", "node-services/ext", "gateway-services/none"} {
		s.get("/v1/catalog/" + path)
	}
	for _, kind := range []string{"service", "connect"} {
		for _, what := range []string{"web", "web?tag=t", "web?tag=t&tag=u", "none", "%ff?tag=%fe"} {
			s.get("/v1/catalog/" + kind + "/" + what)
		}
	}
	_, body := s.ask("PUT", "/v1/session/create", `{"TTL": "10s"}`)
	id, _ := s.fields(body)["ID"].(string)
	s.put("/v1/session/renew/"+id, "")
	s.put("/v1/session/destroy/"+id, "")
	s.put("/v1/txn", `[{"KV": {"Verb": "set", "Key": "b", "Value": "eA=="}}]`)
	s.put("/v1/txn", `[{"KV": {"Verb": "get", "Key": "b"}}]`)
	s.put("/v1/event/fire/deploy", "x")
	s.dig("web.service.consul.", dns.TypeA)
	s.dig("1.2.0.192.in-addr.arpa.", dns.TypePTR)
	if status, _ := s.ask("GET", "/v1/snapshot", ""); status != http.StatusOK {
		s.t.Fatalf("no snapshot: %d", status)
	}
}

var unfit = regexp.MustCompile(`[^a-zA-Z0-9_:]`)

// reports checks that an agent reports the names of the table that are of such agents, with the type that is given there.
func (s *subject) reports(kinds ...string) {
	s.t.Helper()
	wanted := map[string]string{}
	for line := range strings.Lines(read(s.t, "testdata", "metrics.tsv")) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) == 3 && strings.Contains(" "+strings.Join(kinds, " ")+" ", " "+f[0]+" ") {
			wanted["consul_"+unfit.ReplaceAllString(f[1], "_")] = f[2]
		}
	}
	if len(wanted) < 10 {
		s.t.Fatalf("the table has only %d names of %v", len(wanted), kinds)
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		missing := s.missing(wanted)
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("an agent of %v does not report: %s", kinds, missing)
		}
	}
}

func (s *subject) missing(wanted map[string]string) string {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(s.get("/v1/agent/metrics?format=prometheus")))
	if err != nil {
		s.t.Fatal(err)
	}
	var missing []string
	for name, kind := range wanted {
		if f := families[name]; f == nil || strings.ToLower(f.GetType().String()) != kind {
			missing = append(missing, name)
		}
	}
	return strings.Join(missing, " ")
}
