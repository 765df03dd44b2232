package config

import (
	"strings"
	"testing"
)

// TestCheck loads small configurations; want is part of the error, or empty if it is good.
func TestCheck(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`performance { raft_multiplier = 20 }`, "performance.raft_multiplier: is 20, but must be from 1 to 10"},
		{`performance { raft_multiplier = 0 }`, "from 1 to 10"},
		{`performance { raft_multiplier = 10 }`, ""},
		{`encrypt = "short"`, "encrypt: must be the base64 form of 16, 24 or 32 bytes"},
		{`encrypt = "AAAAAAAAAAAAAAAAAAAAAA=="`, ""},
		{`server = true bootstrap = true bootstrap_expect = 3`, "bootstrap_expect: cannot be used together with bootstrap"},
		{`server = true bootstrap_expect = 2`, ""},
		{`bootstrap_expect = 3`, "bootstrap_expect: needs server = true"},
		{`bootstrap = true`, "bootstrap: needs server = true"},
		{`retry_join_wan = ["10.0.0.1"]`, "retry_join_wan: is for servers only"},
		{`server = true retry_join_wan = ["10.0.0.1"] ports { serf_wan = -1 }`, "retry_join_wan: needs ports.serf_wan"},
		{`bootstrap_expect = -1`, "bootstrap_expect: is -1"},
		{`advertise_addr = "0.0.0.0"`, "advertise_addr: is 0.0.0.0"},
		{`advertise_addr_wan = "::"`, "advertise_addr_wan: is ::"},
		{`node_meta { "a b" = "c" }`, "letters, digits, dashes and underscores"},
		{`node_meta { "consul-x" = "c" }`, "reserved"},
		{`ports { http = 8500 dns = 8500 }`, "ports.dns: port 8500 is taken by ports.http already"},
		{`ports { http = 8301 }`, "port 8301 is taken"},
		{`ports { http = 8300 }`, ""},
		{`server = true ports { http = 8300 }`, "port 8300 is taken"},
		{`ports { http = 70000 }`, "ports.http: is 70000"},
		{`ports { serf_lan = -1 }`, "ports.serf_lan: must be a port"},
		{`ports { http = -1 dns = -1 }`, ""},
		{`ports { sidecar_min_port = 30000 }`, "ports.sidecar_min_port: 30000 to 21255"},
		{`data_dir = ""`, "data_dir: must be set"},
		{`data_dir = "check_test.go"`, "is not a directory"},
		{`domain = "-"`, "domain: is"},
		{`alt_domain = "a..b"`, "alt_domain: is"},
		{`domain = "My.Domain."`, ""},
		{`tls { defaults { tls_min_version = "odd" } }`, "tls.defaults.tls_min_version"},
		{`tls { https { tls_min_version = "TLSv1_3" } }`, ""},
		{`tls_min_version = "tls12"`, ""},
		{`tls { https { cert_file = "a" } }`, "must be set together"},
		{`tls { defaults { verify_incoming = true } }`, "tls.internal_rpc.verify_incoming: needs ca_file"},
		{`tls { defaults { verify_incoming = true ca_file = "a" cert_file = "b" key_file = "c" } }`, ""},
		{`tls { defaults { verify_incoming = true ca_file = "a" } } auto_encrypt { tls = true }`, ""},
		{`verify_outgoing = true`, "tls.internal_rpc.verify_outgoing: needs ca_file"},
		{`server = true auto_encrypt { tls = true }`, "auto_encrypt.tls: is for clients only"},
		{`auto_encrypt { allow_tls = true }`, "auto_encrypt.allow_tls: is for servers only"},
		{`server = true auto_config { enabled = true }`, "auto_config.enabled: is for clients only"},
		{`auto_config { authorization { enabled = true } }`, "auto_config.authorization.enabled"},
		{`config_entries { bootstrap { kind = "odd" } }`, "entry 0 has the kind odd"},
		{`config_entries { bootstrap { Kind = "mesh" } }`, ""},
		{`config_entries { bootstrap { name = "x" } }`, "entry 0 has no kind, but must have one of: "},
		{`connect { ca_provider = "odd" }`, "must be one of: consul, vault, aws-pca"},
		{`connect { ca_provider = "" }`, ""},
		{`log_level = "loud"`, "log_level: is \"loud\""},
		{`log_level = "err"`, ""},
		{`log_rotate_max_files = -2`, "log_rotate_max_files"},
		{`syslog_facility = "LOCAL9"`, "syslog_facility"},
		{`acl { default_policy = "maybe" }`, "acl.default_policy: is \"maybe\", but must be one of: allow, deny"},
		{`acl { down_policy = "maybe" }`, "acl.down_policy"},
		{`datacenter = "a b"`, "datacenter: is"},
		{`node_name = ""`, "node_name: must not be empty"},
		{`node_id = "x"`, "node_id: is \"x\""},
		{`protocol = 1`, "protocol"},
		{`raft_protocol = 2`, "raft_protocol: is 2, but only 3"},
		{`raft_logstore { backend = "sqlite" }`, "raft_logstore.backend"},
		{`raft_logstore { wal { segment_size_mb = 0 } }`, "raft_logstore.wal.segment_size_mb"},
		{`autopilot { max_trailing_logs = -1 }`, "autopilot.max_trailing_logs"},
		{`autopilot { min_quorum = -1 }`, "wants a whole number from 0 on"},
		{`dns_config { udp_answer_limit = -1 }`, "dns_config.udp_answer_limit"},
		{`dns_config { recursor_strategy = "odd" }`, "dns_config.recursor_strategy"},
		{`dns_config { service_ttl { web = "-1s" } }`, "dns_config.service_ttl.web"},
		{`dns_config { service_ttl { web = "x" } }`, "dns_config.service_ttl.web: wants a duration"},
		{`recursors = ["10.0.0.1:x"]`, "recursors: holds"},
		{`recursors = ["300.0.0.1"]`, "recursors: holds"},
		{`recursors = ["10.0.0.1", "[::1]:53", "::1", "dns.example:5353"]`, ""},
		{`recursor = "10.0.0.1"`, ""},
		{`telemetry { prefix_filter = ["x"] }`, "telemetry.prefix_filter: entry 0"},
		{`telemetry { statsd_address = "x" }`, "telemetry.statsd_address"},
		{`limits { request_limits { mode = "odd" } }`, "limits.request_limits.mode"},
		{`limits { http_max_conns_per_client = -1 }`, "limits.http_max_conns_per_client"},
		{`limits { kv_max_value_size = -1 }`, "whole number from 0 on"},
		{`unix_sockets { mode = "9" }`, "unix_sockets.mode"},
		{`unix_sockets { user = "nobody-at-all" }`, "unix_sockets.user"},
		{`unix_sockets { mode = "0660" user = "0" group = "0" }`, ""},
		{`http_config { allowed_hosts = ["consul.example.com", "*.example.com"] }`, ""},
		{`http_config { allowed_hosts = ["http://consul.example.com"] }`, "http_config.allowed_hosts"},
		{`auto_encrypt { tls = true ip_san = ["x"] }`, "auto_encrypt.ip_san"},
		{`tls { https { tls_cipher_suites = "ODD" } }`, "tls.https.tls_cipher_suites"},
		{`tls { https { tls_min_version = "TLSv1_3" tls_cipher_suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" } }`, "tls.https.tls_cipher_suites"},
		{`http_config { allow_write_http_from = ["x"] }`, "http_config.allow_write_http_from"},
		{`ui_config { enabled = true dir = "/x" }`, "ui_config.dir"},
		{`ui_config { enabled = false dir = "/x" }`, ""},
		{`ui_config { content_path = "a b" }`, "ui_config.content_path"},
		{`ui_config { metrics_proxy { base_url = "ftp://x" } }`, "base_url"},
		{`ui_config { metrics_provider_options_json = "[]" }`, "JSON object"},
		{`ui_config { dashboard_url_templates { service = "https://x/{{Service.Name}}" } }`, ""},
		{`serf_lan_allowed_cidrs = ["10.0.0.0/99"]`, "serf_lan_allowed_cidrs"},
		{`reconnect_timeout = "0s"`, "reconnect_timeout"},
		{`server_rejoin_age_max = "1h"`, "6h or more"},
		{`gossip_lan { probe_interval = "0s" }`, "gossip_lan.probe_interval"},
		{`gossip_lan { transport = "tcp" }`, "gossip_lan.transport"},
		{`gossip_wan { transport = "pigeons" }`, "gossip_wan.transport: is \"pigeons\", but must be one of: udp, tcp, tls"},
		{`server = true gossip_wan { transport = "tcp" }`, ""},
		{`server = true gossip_wan { transport = "tls" }`, "gossip_wan.transport: is tls, which needs tls.internal_rpc.ca_file"},
		{`server = true gossip_wan { transport = "tls" } tls { defaults { ca_path = "a" cert_file = "b" key_file = "c" } }`, ""},
		{`gossip_wan { transport = "tls" }`, ""},
		{`read_replica = true`, "read_replica: needs server"},
		{`default_intention_policy = "x"`, "default_intention_policy"},
		{`bind_addr = "localhost"`, "bind_addr: holds \"localhost\", which is not an IP address"},
		{`bind_addr = "10.0.0.1 10.0.0.2"`, "bind_addr: gives several addresses"},
		{`bind_addr = "{{ GetNothing }}"`, "bind_addr: the template"},
		{`addresses { dns = "unix:///x" }`, "addresses.dns"},
		{`advertise_addr_ipv4 = "::1"`, "of the other IP version"},
	} {
		text := row.text
		if !strings.Contains(text, "data_dir") {
			text += ` data_dir = "/x"`
		}
		_, err := loadText(t, "a.hcl", text)
		checkError(t, row.text, err, row.want)
	}
}

func checkError(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && err == nil:
		t.Errorf("%s: accepted, want %q", what, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

func TestCheckDefinitions(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`service { port = 80 }`, "services[0]: a service needs a name"},
		{`service { name = "a" } services { name = "b" id = "a" }`, "services[1]: has the id \"a\", which services[0] has already"},
		{`service { name = "a" port = 80000 }`, "services[0].port"},
		{`service { name = "a" kind = "odd" }`, "services[0].kind"},
		{`service { name = "a" kind = "connect-proxy" }`, "proxy.destination_service_name"},
		{`service { name = "a" port = 1 socket_path = "/x" }`, "socket_path"},
		{`service { name = "a" weights { passing = -1 } }`, "weights"},
		{`service { name = "a" meta { "x y" = "" } }`, "meta.x y"},
		{`service { name = "a" check { } }`, "services[0].check: a check needs one of"},
		{`service { name = "a" check { ttl = "1s" http = "http://x" } }`, "one kind only, not of ttl and http"},
		{`service { name = "a" checks { http = "http://x" } }`, "services[0].checks[0].interval: must be set"},
		{`service { name = "a" checks { ttl = "1s" interval = "1s" } }`, "cannot be used together with ttl"},
		{`service { name = "a" checks { docker_container_id = "x" interval = "1s" } }`, "args: must be set"},
		{`service { name = "a" checks { docker_container_id = "x" args = ["a"] interval = "1s" } }`, ""},
		{`service { name = "a" checks { alias_service = "b" } }`, ""},
		{`service { name = "a" checks { ttl = "1s" status = "odd" } }`, "status"},
		{`service { name = "a" checks { ttl = "1s" failures_before_critical = 1 failures_before_warning = 2 } }`, "failures_before_warning"},
		{`service { name = "a" connect { sidecar_service { checks { } } } }`, "services[0].connect.sidecar_service.checks[0]: a check needs"},
		{`service { name = "a" connect { native = true sidecar_service { } } }`, "connect.native"},
		{`service { name = "a" connect { sidecar_service { port = 21000 proxy { upstreams = [{ destination_name = "b" local_bind_port = 1 }] } } } }`, ""},
		{`check { ttl = "1s" }`, "checks[0]: a check needs a name"},
		{`check { id = "a" ttl = "1s" } check { name = "a" ttl = "1s" }`, "checks[1]: has the id \"a\""},
		{`check { name = "a" tcp = "x:1" interval = "1s" } checks { id = "b" udp = "x:1" interval = "1s" }`, ""},
		{`watches { type = "odd" args = ["x"] }`, "watches[0]: Unsupported watch type: odd; allowed are agent_service, checks, connect_leaf"},
		{`watches { type = "key" args = ["x"] }`, "watches[0]: Must specify a single key to watch"},
		{`watches { type = "key" key = "x" }`, "Must define a watch handler"},
		{`watches { type = "key" key = "x" kye = "y" handler = "x" }`, "Invalid parameters: [kye]"},
		{`watches { type = "nodes" handler_type = "http" }`, "Handler type 'http' requires 'http_handler_config' to be set"},
		{`watches { type = "nodes" handler_type = "http" http_handler_config { path = "http://x" timeout = "10s" } }`, ""},
		{`watches { type = "nodes" handler_type = "odd" }`, "Handler type 'odd' not recognized"},
		{`watches { type = "nodes" args = ["x"] handler = "y" }`, "Only one watch handler allowed"},
		{`watches { type = "nodes" args = "x" }`, "Watch args must be a list of strings"},
		{`watches { args = ["x"] }`, "Watch type must be specified"},
		{`watches { type = "service" service = "a" tag = ["b", 1] args = ["x"] }`, "Index 1 of tag expected to be string"},
		{`watches { type = "service" service = "a" passingonly = "yes" args = ["x"] }`, "Expecting passingonly to be a boolean"},
		{`watches { type = "nodes" http_handler_config { path = "http://x" header { a = ["b"] } timeout = "0s" } }`, "Failed to parse timeout"},
		{`watches { type = "nodes" http_handler_config { method = "PUT" } }`, "Requires 'path' to be set"},
		{`watches = [{ type = "services" handler = "x" }, { type = "checks" state = "passing" args = ["x"] }]`, ""},
	} {
		_, err := loadText(t, "a.hcl", row.text+` data_dir = "/x"`)
		checkError(t, row.text, err, row.want)
	}
}

func TestWarnings(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`server = true bootstrap_expect = 2`, "survives the loss of neither"},
		{`server = true bootstrap_expect = 4`, "even number"},
		{`server = true bootstrap = true`, "two clusters"},
		{`node_name = "a.b"`, "cannot be found by DNS"},
		{`service { name = "a_b" }`, "cannot be looked up by DNS"},
		{`check { name = "a" args = ["x"] interval = "1s" }`, "an agent with them does not start"},
		{`start_join = ["a"]`, "'start_join' is deprecated: use 'retry_join' instead"},
		{`acl_token = "x"`, "'acl_token' is deprecated: use 'acl.tokens.default' instead"},
		{`telemetry { disable_compat_1.9 = true }`, "'telemetry.disable_compat_1.9' is deprecated and has no effect"},
		{`limits { kv_max_value_size = 5000000 }`, "delay the heartbeats"},
		{`retry_join = ["provider=aws tag_key=x"]`, "asks a cloud"},
	} {
		l, err := loadText(t, "a.hcl", row.text+` data_dir = "/x"`)
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		if !strings.Contains(strings.Join(l.Warnings, "\n"), row.want) {
			t.Errorf("%s: got %q, want %q", row.text, l.Warnings, row.want)
		}
	}
}
