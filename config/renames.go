package config

import "fmt"

// A rename is an older or shorter spelling of a key.
type rename struct {
	from, to string
	old      bool // whether to warn; the others are spellings as good as the first
}

// renames is the list of keys that have another name.
func renames() []rename {
	return []rename{
		{"service", "services", false},
		{"check", "checks", false},
		{"raft_boltdb.NoFreelistSync", "raft_logstore.boltdb.no_freelist_sync", true},
		{"consul.coordinate.update_batch_size", "consul.update_batch_size", false},
		{"consul.coordinate.update_max_batches", "consul.update_max_batches", false},
		{"consul.coordinate.update_period", "consul.update_period", false},
		{"consul.raft.election_timeout", "consul.election_timeout", false},
		{"consul.raft.heartbeat_timeout", "consul.heartbeat_timeout", false},
		{"consul.raft.leader_lease_timeout", "consul.leader_lease_timeout", false},
		{"consul.server.health_interval", "consul.health_interval", false},

		{"acl_agent_master_token", "acl.tokens.agent_recovery", true},
		{"acl_agent_token", "acl.tokens.agent", true},
		{"acl_datacenter", "primary_datacenter", true},
		{"acl_default_policy", "acl.default_policy", true},
		{"acl_down_policy", "acl.down_policy", true},
		{"acl_enable_key_list_policy", "acl.enable_key_list_policy", true},
		{"acl_master_token", "acl.tokens.initial_management", true},
		{"acl_replication_token", "acl.tokens.replication", true},
		{"acl_token", "acl.tokens.default", true},
		{"acl_ttl", "acl.token_ttl", true},
		{"enable_acl_replication", "acl.enable_token_replication", true},
		{"acl.tokens.master", "acl.tokens.initial_management", true},
		{"acl.tokens.agent_master", "acl.tokens.agent_recovery", true},

		{"ca_file", "tls.defaults.ca_file", true},
		{"ca_path", "tls.defaults.ca_path", true},
		{"cert_file", "tls.defaults.cert_file", true},
		{"key_file", "tls.defaults.key_file", true},
		{"tls_cipher_suites", "tls.defaults.tls_cipher_suites", true},
		{"tls_min_version", "tls.defaults.tls_min_version", true},
		{"verify_incoming", "tls.defaults.verify_incoming", true},
		{"verify_incoming_https", "tls.https.verify_incoming", true},
		{"verify_incoming_rpc", "tls.internal_rpc.verify_incoming", true},
		{"verify_outgoing", "tls.defaults.verify_outgoing", true},
		{"verify_server_hostname", "tls.internal_rpc.verify_server_hostname", true},

		{"start_join", "retry_join", true},
		{"start_join_wan", "retry_join_wan", true},
		{"recursor", "recursors", true},
		{"serf_lan_bind", "serf_lan", true},
		{"serf_wan_bind", "serf_wan", true},
		{"non_voting_server", "read_replica", true},
		{"http_api_response_headers", "http_config.response_headers", true},
		{"statsd_addr", "telemetry.statsd_address", true},
		{"statsite_addr", "telemetry.statsite_address", true},
		{"statsite_prefix", "telemetry.metrics_prefix", true},
		{"dogstatsd_addr", "telemetry.dogstatsd_addr", true},
		{"dogstatsd_tags", "telemetry.dogstatsd_tags", true},
		{"telemetry.statsite_prefix", "telemetry.metrics_prefix", true},
		{"ui", "ui_config.enabled", true},
		{"ui_dir", "ui_config.dir", true},
		{"ui_content_path", "ui_config.content_path", true},
	}
}

// dropped are keys of older versions that mean nothing any more. They are accepted, with a warning.
func dropped() []string {
	return []string{
		"acl_enforce_version_8", "tls_prefer_server_cipher_suites", "telemetry.disable_compat_1.9",
		"tls.defaults.tls_prefer_server_cipher_suites",
	}
}

// modernize moves the values of older keys to where they belong now, before those that are there: the new spelling
// wins. The warnings name what to change.
func modernize(root *value) (warnings []string) {
	for _, name := range dropped() {
		if len(root.lift(name)) > 0 {
			warnings = append(warnings, fmt.Sprintf("'%s' is deprecated and has no effect: remove it", name))
		}
	}
	var moved []field
	for _, row := range renames() {
		found := root.lift(row.from)
		for _, f := range found {
			f.value.wrap(row.to)
			moved = append(moved, nest(row.to, f.value))
		}
		if len(found) > 0 && row.old {
			warnings = append(warnings, fmt.Sprintf("'%s' is deprecated: use '%s' instead", row.from, row.to))
		}
	}
	root.fields = append(moved, root.fields...)
	return warnings
}

// wrap makes a single value that moves to a key of several a list.
func (v *value) wrap(to string) {
	if to == "recursors" && v.kind == stringKind {
		inner := *v
		*v = value{kind: listKind, line: v.line, list: []*value{&inner}}
	}
}
