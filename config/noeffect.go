package config

import (
	"reflect"
	"strings"
)

// A NoEffect is something that is set, but does nothing in this version.
type NoEffect struct {
	Key     string // the dotted key; it stands for all keys below it, too
	Feature string // the capability that it belongs to, which this version does not have yet
}

// notYet is the list of keys whose capability is not there yet. Who builds the capability deletes its rows.
func notYet() []NoEffect {
	return []NoEffect{
		{"acl.tokens.managed_service_provider", "clusters run for others"},
		{"auto_config.authorization.static.allow_reuse", "tokens for one use"},
		{"cache", "cache of the agent"},
		{"connect.ca_config", "settings of the certificate authority"},
		{"connect.ca_provider", "other certificate authorities"},
		{"connect.default_deregister_critical_service_after", "service mesh"},
		{"connect.enable_mesh_gateway_wan_federation", "mesh gateways between datacenters"},
		{"enable_central_service_config", "configuration entries"},
		{"experiments", "experiments"},
		{"partition", "admin partitions"},
		{"peering", "peering of clusters"},
		{"performance.enable_xds_load_balancing", "service mesh"},
		{"performance.grpc_keepalive_interval", "gRPC"},
		{"performance.grpc_keepalive_timeout", "gRPC"},
		{"ports.grpc", "gRPC"},
		{"ports.grpc_tls", "gRPC"},
		{"addresses.grpc", "gRPC"},
		{"addresses.grpc_tls", "gRPC"},
		{"primary_gateways", "mesh gateways between datacenters"},
		{"primary_gateways_interval", "mesh gateways between datacenters"},
		{"raft_logstore.verification", "verification of the log"},
		{"segment", "network segments"},
		{"segments", "network segments"},
		{"server_name", "names in certificates of servers"},
		{"snapshot_agent.azure_blob_storage", "backups to Azure"},
		{"snapshot_agent.google_storage", "backups to Google"},
		{"tls.grpc", "gRPC"},
		{"ui_config.dashboard_url_templates", "dashboards in the web interface"},
		{"ui_config.metrics_provider", "metrics in the web interface"},
		{"ui_config.metrics_provider_files", "metrics in the web interface"},
		{"ui_config.metrics_provider_options_json", "metrics in the web interface"},
		{"ui_config.metrics_proxy", "metrics in the web interface"},
		{"xds", "service mesh"},
	}
}

// noEffect finds what sources set, to other than its default, that does nothing yet.
func (c *Config) noEffect(origins map[string]Origin, dev bool) []NoEffect {
	defaults := Default()
	if dev {
		defaults.develop()
	}
	standard := map[string]any{}
	walk(reflect.ValueOf(defaults).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) {
		standard[key] = v.Interface()
	})
	changed := map[string]bool{}
	walk(reflect.ValueOf(c).Elem(), "", func(key string, _ reflect.StructField, v reflect.Value) {
		port, closed := v.Interface().(int)
		closed = closed && port < 0 && strings.HasPrefix(key, "ports.")
		if _, set := origins[key]; set && !closed && !reflect.DeepEqual(standard[key], v.Interface()) {
			changed[key] = true
		}
	})
	var found []NoEffect
	for _, row := range notYet() {
		for key := range changed {
			if key == row.Key || strings.HasPrefix(key, row.Key+".") {
				found = append(found, row)
				break
			}
		}
	}
	return found
}
