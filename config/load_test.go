package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// oneInterface is a host with loopback and one private address.
func oneInterface() ([]net.Addr, error) { return networks("127.0.0.1/8", "10.1.2.3/24", "fe80::1/64") }

func networks(texts ...string) ([]net.Addr, error) {
	var all []net.Addr
	for _, text := range texts {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			return nil, err
		}
		all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
	}
	return all, nil
}

// write makes files in a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadText loads one text as the only file, and names the node.
func loadText(t *testing.T, name, text string) (*Loaded, error) {
	t.Helper()
	dir := write(t, map[string]string{name: text})
	return Load(Options{Paths: []string{filepath.Join(dir, name)}, Hostname: "host1", Interfaces: oneInterface})
}

func mustLoad(t *testing.T, o Options) *Loaded {
	t.Helper()
	if o.Interfaces == nil {
		o.Interfaces = oneInterface
	}
	if o.Hostname == "" {
		o.Hostname = "host1"
	}
	l, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSourcesMergeInOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"a.json": `{"data_dir": "/a", "retry_join": ["1"], "node_meta": {"x": "a", "y": "a"}, "ports": {"http": 1, "dns": 2}}`,
		"b.hcl":  "data_dir = \"/b\"\nretry_join = [\"2\"]\nnode_meta { x = \"b\" }\nports { http = 3 }\n",
		"c.txt":  "not a configuration file",
	})
	extra := write(t, map[string]string{"z.json": `{"data_dir": "/z", "log_level": "debug"}`})
	o, err := FromFlags([]FlagValue{
		{"config-file", filepath.Join(extra, "z.json")}, {"config-dir", dir},
		{"hcl", `log_level = "warn" retry_join = ["3"]`}, {"hcl", `datacenter = "EAST"`},
		{"retry-join", "4"}, {"retry-join", "5"}, {"http-port", "7"}, {"node-meta", "z:f:1"}, {"server", ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := mustLoad(t, o)
	c := l.Config
	checkEqual(t, "data_dir", c.Node.DataDir, "/b")
	checkEqual(t, "retry_join", c.Join.RetryJoin, []string{"1", "2", "3", "4", "5"})
	checkEqual(t, "node_meta", c.Node.Meta, map[string]string{"x": "b", "y": "a", "z": "f:1"})
	checkEqual(t, "ports.http", c.Network.Ports.HTTP, 7)
	checkEqual(t, "ports.dns", c.Network.Ports.DNS, 2)
	checkEqual(t, "log_level", c.Log.Level, "WARN")
	checkEqual(t, "datacenter", c.Node.Datacenter, "east")
	checkEqual(t, "server", c.Server.Server, true)
	checkEqual(t, "files", len(l.Sources.Files()), 3)
	checkEqual(t, "origin", l.Origins["data_dir"], Origin{File: filepath.Join(dir, "b.hcl"), Line: 1})
	checkEqual(t, "origin of a flag", l.Origins["server"], Origin{File: "-server"})
}

func checkEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestEmptyFilesAndNulls(t *testing.T) {
	dir := write(t, map[string]string{
		"a.json": "", "b.hcl": "", "c.json": " \n", "d.json": `{"segments": null, "ports": null, "retry_join": [null], "data_dir": "/x"}`,
	})
	l := mustLoad(t, Options{Paths: []string{dir}})
	checkEqual(t, "ports.http", l.Config.Network.Ports.HTTP, 8500)
	checkEqual(t, "retry_join", len(l.Config.Join.RetryJoin), 0)
	checkEqual(t, "node_name", l.Config.Node.Name, "host1")
}

func TestConfigOfAPIHarness(t *testing.T) {
	l, err := loadText(t, "config.json", `{
		"node_name": "n1", "node_id": "adf4238a-882b-9ddc-4a9d-5b6758e4159e", "performance": {"raft_multiplier": 1},
		"bootstrap": true, "server": true, "data_dir": "/x", "segments": null, "disable_update_check": true,
		"log_level": "debug", "bind_addr": "127.0.0.1", "addresses": {"http": "unix:///tmp/s.sock"},
		"ports": {"dns": 11001, "http": 11002, "https": 11003, "serf_lan": 11004, "serf_wan": 11005, "server": 11006, "grpc": 11007, "grpc_tls": 11008},
		"acl": {"enabled": true, "default_policy": "deny", "tokens": {"master": "root", "agent": "root"}},
		"connect": {"enabled": true, "ca_config": {"cluster_id": "11111111-2222-3333-4444-555555555555"}},
		"skip_leave_on_interrupt": true, "peering": {"enabled": true}, "version": "1.21.4", "raft_protocol": 3,
		"autopilot": {"server_stabilization_time": "1ms"}, "enable_debug": true, "primary_datacenter": "dc1",
		"ca_file": "../test/ca.cer", "cert_file": "c", "key_file": "k", "verify_incoming_https": true
	}`)
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config
	checkEqual(t, "initial management token", c.ACL.Tokens.InitialManagement, "root")
	checkEqual(t, "https", c.TLS.HTTPS.VerifyIncoming, true)
	checkEqual(t, "https CA", c.TLS.HTTPS.CAFile, "../test/ca.cer")
	checkEqual(t, "rpc", c.TLS.InternalRPC.VerifyIncoming, false)
	checkEqual(t, "http", c.Network.Endpoints.HTTP[0], Listen{"unix", "/tmp/s.sock"})
	checkEqual(t, "lan", c.Network.Endpoints.SerfAdvertiseLAN.String(), "127.0.0.1:11004")
	checkEqual(t, "deprecations", strings.Count(strings.Join(l.Warnings, "\n"), "deprecated"), 5)
}

func TestDev(t *testing.T) {
	c := mustLoad(t, Options{Dev: true}).Config
	checkEqual(t, "server", c.Server.Server && c.Server.Bootstrap, true)
	checkEqual(t, "bind", c.Network.Endpoints.Bind.String(), "127.0.0.1")
	checkEqual(t, "grpc", c.Network.Ports.GRPC, 8502)
	checkEqual(t, "log", c.Log.Level, "DEBUG")
	checkEqual(t, "ui", c.UI.Enabled, true)

	c = mustLoad(t, Options{Dev: true, Fragments: []string{`server = true bootstrap_expect = 1 log_level = "warn"`}}).Config
	checkEqual(t, "bootstrap", c.Server.Bootstrap, true)
	c = mustLoad(t, Options{Dev: true, Fragments: []string{`server = false`}}).Config
	checkEqual(t, "client", c.Server.Server || c.Server.Bootstrap, false)
}

func TestDerivedByKindOfAgent(t *testing.T) {
	for _, row := range []struct {
		text              string
		skip, leave, mode bool
		grpcTLS           int
	}{
		{`data_dir = "/x"`, false, true, false, -1},
		{`data_dir = "/x" server = true`, true, false, false, 8503},
		{`data_dir = "/x" server = true bootstrap_expect = 1 ports { grpc_tls = -1 }`, true, false, true, -1},
		{`data_dir = "/x" server = true leave_on_terminate = true skip_leave_on_interrupt = false`, false, true, false, 8503},
	} {
		c := mustLoad(t, Options{Fragments: []string{row.text}}).Config
		checkEqual(t, row.text, []any{c.Join.SkipLeaveOnInt, c.Join.LeaveOnTerminate, c.Server.Bootstrap, c.Network.Ports.GRPCTLS},
			[]any{row.skip, row.leave, row.mode, row.grpcTLS})
	}
}

func TestShapesOfBlocks(t *testing.T) {
	for name, text := range map[string]string{
		"blocks.hcl":  "data_dir = \"/x\"\nservice {\n name = \"a\"\n check { ttl = \"5s\" }\n}\nservices { name = \"b\" }\nservices = [{ name = \"c\" }]",
		"lists.json":  `{"data_dir": "/x", "service": [{"name": "a", "check": {"ttl": "5s"}}], "services": [{"Name": "b"}, {"ID": "c", "name": "c", "EnableTagOverride": true}]}`,
		"single.json": `{"data_dir": "/x", "service": {"name": "a", "check": [{"TTL": "5s"}]}, "services": [{"name": "b"}, {"name": "c", "checks": {"args": ["a"], "script_args": ["b"], "interval": "1s"}}]}`,
	} {
		l, err := loadText(t, name, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var ids []string
		for _, s := range l.Config.Checks.Services {
			ids = append(ids, s.ID)
		}
		checkEqual(t, name, ids, []string{"a", "b", "c"})
		checkEqual(t, name, time.Duration(l.Config.Checks.Services[0].Check.TTL), 5*time.Second)
	}
}

func TestFreeContent(t *testing.T) {
	l, err := loadText(t, "a.hcl", `data_dir = "/x" connect { ca_config { leaf_cert_ttl = "72h" rotate = 5 csr { a = true } csr { a = false } } }`)
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "ca_config", l.Config.Mesh.Connect.CAConfig, map[string]any{
		"leaf_cert_ttl": "72h", "rotate": 5.0, "csr": []any{map[string]any{"a": true}, map[string]any{"a": false}},
	})
}

func TestProblemsSayWhere(t *testing.T) {
	dir := write(t, map[string]string{
		"a.json": "{\n \"nonsense\": true,\n \"ports\": {\n  \"htp\": 1, \"dns\": \"x\"}}",
		"b.hcl":  "datacenter = 5\nsyslog = true\nservice {\n  port = 1.5\n  zzz = 1\n}\nretry_interval = \"abc\"",
		"c.json": `{"server": true`,
		"d.hcl":  "a = [\n\nb = }",
	})
	_, err := Load(Options{Paths: []string{dir, filepath.Join(dir, "missing.hcl")}})
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("got %v", err)
	}
	explained := strings.ReplaceAll(ps.Explain(), dir+"/", "")
	for _, want := range []string{
		"a.json:2: nonsense: unknown key; see docs/config.md for all keys",
		"a.json:4: ports.htp: unknown key; did you mean http?",
		"a.json:4: ports.dns: wants a number, not the string \"x\"",
		"b.hcl:1: datacenter: wants a string, not the number 5",
		"b.hcl:2: syslog: unknown key; did you mean enable_syslog, or syslog_facility?",
		"b.hcl:4: services[0].port: wants a whole number, not the number 1.5",
		"b.hcl:5: services[0].zzz: unknown key; allowed here: kind, id, name",
		"b.hcl:7: retry_interval: wants a duration such as \"10s\" or \"5m\", not the string \"abc\"",
		"c.json:1: the JSON text ends too early",
		"d.hcl:3: ", "missing.hcl: ",
	} {
		if !strings.Contains(explained, want) {
			t.Errorf("missing %q in\n%s", want, explained)
		}
	}
	first := strings.Split(strings.ReplaceAll(err.Error(), dir+"/", ""), "\n")
	checkEqual(t, "summary", first[0], "failed to parse a.json: 3 errors occurred:")
	checkEqual(t, "row", first[1], "\t* invalid config key nonsense")
}

func TestUnknownKeyTextIsConsuls(t *testing.T) {
	dir := write(t, map[string]string{"a.json": `{"nonsense":true}`})
	t.Chdir(dir)
	_, err := Load(Options{Paths: []string{"a.json"}})
	checkEqual(t, "text", err.Error(), "failed to parse a.json: 1 error occurred:\n\t* invalid config key nonsense")
}

func TestTextsOfFilesThatCannotBeRead(t *testing.T) {
	t.Chdir(write(t, map[string]string{"bad.json": `{"service":`, "bad2.json": "{\"a\":\n 1]", "bad.hcl": "a = ["}))
	for _, row := range []struct{ file, want, explained string }{
		{"bad.json", "failed to parse bad.json: unexpected end of JSON input", "bad.json:1: the JSON text ends too early"},
		{"bad2.json", "failed to parse bad2.json: invalid character ']' after object key:value pair", "bad2.json:2: "},
		{"no.json", "config: Open failed on no.json. open no.json: no such file or directory", "no.json: open: no such file or directory"},
		{"bad.hcl", "failed to parse bad.hcl: ", "bad.hcl:1: "},
	} {
		_, err := ReadServices([]string{row.file})
		checkError(t, row.file, err, row.want)
		var ps Problems
		if !errors.As(err, &ps) || !strings.HasPrefix(ps.Explain(), row.explained) {
			t.Errorf("%s: got %q, want %q", row.file, ps.Explain(), row.explained)
		}
	}
}

func TestReadServices(t *testing.T) {
	dir := write(t, map[string]string{"two.hcl": "services { name = \"one\" port = 1 }\nservices { name = \"two\" id = \"2\" }\n", "none.json": "{}"})
	all, err := ReadServices([]string{dir})
	if err != nil || len(all) != 2 || all[0].ID != "one" || all[1].ID != "2" {
		t.Errorf("got %v, %v", all, err)
	}
	if _, err := ReadServices([]string{filepath.Join(dir, "none.json")}); err != nil {
		t.Error(err)
	}
}

func TestJSONWhereHCLIsExpected(t *testing.T) {
	l := mustLoad(t, Options{Fragments: []string{` {"data_dir": "/x", "segments": null}`}})
	checkEqual(t, "data_dir", l.Config.Node.DataDir, "/x")
}

// TestUsualFiles loads what guides and charts tell people to write.
func TestUsualFiles(t *testing.T) {
	for name, text := range map[string]string{
		"server.hcl": `
			datacenter = "dc1"
			data_dir   = "/opt/consul"
			encrypt    = "AAAAAAAAAAAAAAAAAAAAAA=="
			server     = true
			bootstrap_expect = 3
			retry_join = ["10.0.0.1", "server2.example"]
			bind_addr  = "{{ GetAllInterfaces | include \"name\" \"lo\" | include \"type\" \"IPv4\" | attr \"address\" }}"
			client_addr = "0.0.0.0"
			tls {
			  defaults {
			    ca_file = "ca.pem"
			    cert_file = "c.pem"
			    key_file = "k.pem"
			    verify_incoming = true
			    verify_outgoing = true
			  }
			  internal_rpc { verify_server_hostname = true }
			}
			auto_encrypt { allow_tls = true }
			acl = {
			  enabled = true
			  default_policy = "deny"
			  enable_token_persistence = true
			  tokens { initial_management = "x" }
			}
			performance { raft_multiplier = 1 }
			ui_config {
			  enabled = true
			  metrics_provider = "prometheus"
			  metrics_proxy { base_url = "http://prometheus:9090" }
			}
			connect { enabled = true }
			addresses { grpc = "127.0.0.1" }
			ports { grpc = 8502 }
			config_entries {
			  bootstrap = [{ kind = "proxy-defaults" name = "global" config { protocol = "http" } }]
			}
			telemetry { prometheus_retention_time = "60s" disable_hostname = true }
			limits { request_limits { mode = "permissive" read_rate = 500.5 write_rate = 200 } }`,
		"client.json": `{"data_dir": "/x", "leave_on_terminate": true, "recursors": [], "translate_wan_addrs": true,
			"node_meta": {"pod-name": "x"}, "disable_host_node_id": false, "check_update_interval": "0s",
			"ports": {"grpc": 8502, "http": 8500, "https": -1}, "autopilot": {"min_quorum": 0}, "recursors": ["10.0.0.2"],
			"service": {"name": "web", "port": 80, "tags": ["a"], "tagged_addresses": {"lan": {"address": "10.0.0.1", "port": 80}},
			"checks": [{"id": "h", "http": "http://localhost/", "method": "POST", "header": {"X-A": ["b", "c"]}, "interval": "10s", "timeout": "1s", "tls_skip_verify": true}],
			"connect": {"sidecar_service": {"proxy": {"upstreams": [{"destination_name": "db", "local_bind_port": 9191, "config": {"connect_timeout_ms": 5}}]}}}}}`,
	} {
		if _, err := loadText(t, name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypedValues(t *testing.T) {
	c := mustLoad(t, Options{Fragments: []string{`data_dir = "/x" serf_lan_allowed_cidrs = ["10.1.2.3/8"]
		http_config { allow_write_http_from = ["127.0.0.0/8"] } unix_sockets { mode = "0660" } dns_config { service_ttl { a = "5s" "b*" = "1m" } }`}}).Config
	checkEqual(t, "lan networks", c.Gossip.NetworksLAN, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	checkEqual(t, "write networks", c.HTTP.WriteNetworks, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	checkEqual(t, "mode", c.Network.Sockets.Permissions, fs.FileMode(0o660))
	checkEqual(t, "ttl", c.DNS.Config.ServiceTTL, map[string]time.Duration{"a": 5 * time.Second, "b*": time.Minute})
}

func TestFormats(t *testing.T) {
	dir := write(t, map[string]string{"plain": `data_dir = "/x"`, "odd.txt": `{"data_dir": "/y"}`})
	if _, err := Load(Options{Paths: []string{filepath.Join(dir, "plain")}}); err == nil {
		t.Error("a file without a known ending was read")
	}
	l := mustLoad(t, Options{Paths: []string{filepath.Join(dir, "plain")}, Format: "hcl"})
	checkEqual(t, "hcl", l.Config.Node.DataDir, "/x")
	l = mustLoad(t, Options{Paths: []string{filepath.Join(dir, "odd.txt")}, Format: "json"})
	checkEqual(t, "json", l.Config.Node.DataDir, "/y")
	if _, err := Load(Options{Format: "yaml"}); err == nil {
		t.Error("an unknown format was accepted")
	}
}

func BenchmarkLoadServices(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.hcl")
	text := "data_dir = \"/tmp/x\" bind_addr = \"127.0.0.1\"\n"
	for i := range 5000 {
		text += fmt.Sprintf("service {\n name = \"web\"\n id = \"web%d\"\n meta { a = \"b\" }\n check { http = \"http://x\" interval = \"5s\" }\n}\n", i)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(Options{Paths: []string{path}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.hcl")
	text := "data_dir = \"/tmp/x\"\nbind_addr = \"{{ GetAllInterfaces | include \\\"name\\\" \\\"lo\\\" | include \\\"type\\\" \\\"IPv4\\\" | attr \\\"address\\\" }}\"\n" +
		"server = true\nports { http = 8500 }\nservice { name = \"web\" check { ttl = \"5s\" } }\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(Options{Paths: []string{path}}); err != nil {
			b.Fatal(err)
		}
	}
}
