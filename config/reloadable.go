package config

import (
	"reflect"
	"slices"
	"strings"
)

// reloadable is the list of keys that may change while the agent runs. A name stands for all keys below it, too.
func reloadable() []string {
	return []string{
		"acl.tokens",
		"audit",
		"checks",
		"config_entries",
		"discard_check_output",
		"dns_config",
		"encryption_at_rest",
		"http_config.allow_write_http_from",
		"http_config.block_endpoints",
		"kv_replication",
		"limits.http_max_conns_per_client",
		"limits.request_limits",
		"locality",
		"log_level",
		"node_meta",
		"raft_snapshot_interval",
		"raft_snapshot_threshold",
		"raft_trailing_logs",
		"recursors",
		"reporting",
		"services",
		"snapshot_agent",
		"telemetry.filter_default",
		"telemetry.prefix_filter",
		"tls",
		"watches",
	}
}

// Diff lists the keys, in the order of the schema, that differ between two loaded configurations and cannot change
// while the agent runs.
func Diff(old, new *Config) (notReloadable []string) {
	before := map[string]any{}
	walk(reflect.ValueOf(old).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) {
		before[key] = v.Interface()
	})
	walk(reflect.ValueOf(new).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) {
		if !covers(reloadable(), key) && !reflect.DeepEqual(before[key], v.Interface()) {
			notReloadable = append(notReloadable, key)
		}
	})
	return notReloadable
}

// Reloaded is the configuration of a running agent once it has taken over another one: a copy with the other's values
// of what can change while the agent runs.
func (c *Config) Reloaded(fresh *Config) *Config {
	values := map[string]reflect.Value{}
	walk(reflect.ValueOf(fresh).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) { values[key] = v })
	out := *c
	walk(reflect.ValueOf(&out).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) {
		if covers(reloadable(), key) {
			v.Set(values[key])
		}
	})
	out.Telemetry.Allowed, out.Telemetry.Blocked = fresh.Telemetry.Allowed, fresh.Telemetry.Blocked
	return &out
}

// covers says whether a list names a key or something that the key is below of.
func covers(names []string, key string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return key == name || strings.HasPrefix(key, name+".")
	})
}
