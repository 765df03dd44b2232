package agent

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func (s *subject) reloads(hcl ...string) {
	s.t.Helper()
	s.configure(hcl...)
	if err := s.Reload(); err != nil {
		s.t.Fatal(err)
	}
}

func TestReloadServicesAndChecks(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir(), `
		services = [{ name = "web", port = 80, check = { id = "c1", ttl = "1h" } }, { name = "old" }]
		check { id = "mem", name = "mem", ttl = "1h" }`)
	s.put("/v1/agent/service/register", `{"Name": "api"}`)
	s.put("/v1/agent/check/pass/c1", "")
	s.reloads(`services = [{ name = "web", port = 80, check = { id = "c1", ttl = "1h" } }, { name = "new" }] check { id = "cpu", name = "cpu", ttl = "1h" }`)
	got := s.fields(s.get("/v1/agent/services"))
	if len(got) != 3 || got["web"] == nil || got["new"] == nil || got["api"] == nil {
		t.Errorf("the services are %v", got)
	}
	checks := s.fields(s.get("/v1/agent/checks"))
	if len(checks) != 2 || checks["cpu"] == nil || checks["c1"] == nil {
		t.Errorf("the checks are %v", checks)
	}
	if c := checks["c1"].(map[string]any); c["Status"] != "passing" {
		t.Errorf("a check that has not changed has become %v", c["Status"])
	}
	s.eventually("the catalog follows", func() bool {
		names := s.get("/v1/catalog/services")
		return strings.Contains(names, `"new"`) && !strings.Contains(names, `"old"`)
	})
}

func TestReloadNodeMeta(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir(), `node_meta { rack = "1" }`)
	s.eventually("the catalog has the meta", func() bool { return strings.Contains(s.get("/v1/catalog/node/n1"), `"rack":"1"`) })
	s.reloads(`node_meta { row = "2" } locality { region = "r1" zone = "z1" }`)
	s.eventually("the catalog has the new meta and locality", func() bool {
		got := s.get("/v1/catalog/node/n1")
		return strings.Contains(got, `"row":"2"`) && !strings.Contains(got, "rack") && strings.Contains(got, `"Region":"r1"`)
	})
	if got := s.get("/v1/agent/self"); !strings.Contains(got, `"row":"2"`) {
		t.Errorf("the agent shows %s", got)
	}
}

func TestReloadSettings(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	s.put("/v1/agent/service/register", `{"Name": "web", "Address": "10.0.0.7"}`)
	s.eventually("web is found", func() bool { return len(s.dig("web.service.consul.", dns.TypeA).Answer) == 1 })
	s.reloads(`
		log_level = "debug"
		dns_config { service_ttl { "*" = "17s" } }
		http_config { block_endpoints = ["/v1/kv/secret"] }
		limits { http_max_conns_per_client = 3 }`)
	if got := s.dig("web.service.consul.", dns.TypeA).Answer[0].Header().Ttl; got != 17 {
		t.Errorf("the TTL is %d", got)
	}
	if status, text := s.ask("GET", "/v1/kv/secret", ""); status != http.StatusForbidden {
		t.Errorf("the blocked endpoint answers %d %s", status, text)
	}
	s.eventually("debug is logged", func() bool { s.get("/v1/kv/x"); return strings.Contains(s.log.String(), "[DEBUG]") })
	address := s.HTTPAddrs()[0].String()
	s.eventually("all connections of before are closed", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return len(s.conns.count) == 0
	})
	for i := range 4 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i < 3 {
			continue
		}
		buffer := make([]byte, 1024)
		n, _ := conn.Read(buffer)
		if got := string(buffer[:n]); !strings.HasPrefix(got, "HTTP/1.1 429 ") || !strings.Contains(got, "Retry-After: ") {
			t.Errorf("one connection too many gets %q", got)
		}
	}
}

func TestReloadOfWhatIsBad(t *testing.T) {
	for name, bad := range map[string]string{
		"an unknown key":          `services = [{ name = "new" }] datacentre = "x"`,
		"a broken text":           `services = [{`,
		"a service without name":  `services = [{ name = "new" }, { id = "x" }] log_level = "debug"`,
		"a check without a type":  `services = [{ name = "new" }] check { name = "x" } log_level = "debug"`,
		"two services of one id":  `services = [{ name = "new" }, { name = "new" }] log_level = "debug"`,
		"a level that is unknown": `services = [{ name = "new" }] log_level = "loud"`,
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s := start(t, t.TempDir(), `services = [{ name = "web" }]`)
			s.configure(bad, `node_meta { a = "b" } dns_config { service_ttl { "*" = "9s" } }`)
			if status, text := s.ask("PUT", "/v1/agent/reload", ""); status != http.StatusInternalServerError || text == "" {
				t.Errorf("reload answers %d %q", status, text)
			}
			if !strings.Contains(s.log.String(), "the configuration was not reloaded") {
				t.Error("the log does not tell")
			}
			if got := s.fields(s.get("/v1/agent/services")); len(got) != 1 || got["web"] == nil {
				t.Errorf("the services are %v", got)
			}
			if got := s.get("/v1/agent/self"); strings.Contains(got, `"a":"b"`) {
				t.Error("the node's meta has changed")
			}
			s.put("/v1/kv/a", "the agent still works")
			s.reloads(`services = [{ name = "web" }, { name = "new" }]`)
			if got := s.fields(s.get("/v1/agent/services")); len(got) != 2 {
				t.Errorf("after the repair the services are %v", got)
			}
		})
	}
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	s := start(t, t.TempDir())
	s.reloads(`domain = "elsewhere."`)
	if got := s.log.String(); !strings.Contains(got, "key=domain") {
		t.Errorf("the log does not name the key:\n%s", got)
	}
}

func TestReloadIsShown(t *testing.T) {
	s := start(t, t.TempDir())
	s.reloads(`node_meta { a = "b" } domain = "elsewhere."`)
	shown := s.get("/v1/agent/self")
	if !strings.Contains(shown, `"NodeMeta":{"a":"b"}`) {
		t.Error("what was reloaded is not shown")
	}
	if strings.Contains(shown, "elsewhere") {
		t.Error("what needs a restart is shown")
	}
}

func TestReloadWhoMayWrite(t *testing.T) {
	s := start(t, t.TempDir())
	s.reloads(`http_config { allow_write_http_from = ["10.0.0.0/8"] }`)
	if status, text := s.ask("PUT", "/v1/kv/a", "1"); status != http.StatusForbidden {
		t.Errorf("a write from elsewhere: %d %s", status, text)
	}
	if strings.Contains(s.log.String(), "next start only") {
		t.Error("the log says that nothing has changed")
	}
	s.reloads()
	s.put("/v1/kv/a", "1")
}
