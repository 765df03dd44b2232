package config

import (
	"net"
	"strings"
	"time"
)

// Telemetry is where metrics go, and which of them.
type Telemetry struct {
	DisableHostname  bool          `config:"disable_hostname" debug:"DisableHostname"`                                // leave the host's name out of names of gauges
	NoTenancyUsage   bool          `config:"disable_per_tenancy_usage_metrics" debug:"DisablePerTenancyUsageMetrics"` // leave out usage by tenancy
	HostMetrics      bool          `config:"enable_host_metrics" debug:"EnableHostMetrics"`                           // measure the host's CPU, memory and disk, too
	DogstatsdAddr    string        `config:"dogstatsd_addr" debug:"DogstatsdAddr"`                                    // host:port or unix:// path of a DogStatsD agent
	DogstatsdTags    []string      `config:"dogstatsd_tags" debug:"DogstatsdTags"`                                    // tags of all that goes to DogStatsD
	RetryConnection  bool          `config:"retry_failed_connection" debug:"RetryFailedConfiguration"`                // try again where a sink cannot be reached at start
	FilterDefault    bool          `config:"filter_default" debug:"FilterDefault"`                                    // whether metrics pass that no prefix_filter names
	PrefixFilter     []string      `config:"prefix_filter" debug:"PrefixFilter"`                                      // "+prefix" lets metrics pass, "-prefix" blocks them
	Prefix           string        `config:"metrics_prefix" debug:"MetricsPrefix"`                                    // first part of every metric's name
	PrometheusRetain time.Duration `config:"prometheus_retention_time" debug:"PrometheusRetentionTime"`               // how long a metric without news is still shown; 0s keeps it
	StatsdAddr       string        `config:"statsd_address" debug:"StatsdAddr"`                                       // host:port of a statsd agent
	StatsiteAddr     string        `config:"statsite_address" debug:"StatsiteAddr"`                                   // host:port of a statsite agent
	Allowed          []string      `config:"-" debug:"AllowedPrefixes"`                                               // prefixes of prefix_filter that pass
	Blocked          []string      `config:"-" debug:"BlockedPrefixes"`                                               // prefixes of prefix_filter that do not pass
}

func defaultTelemetry() Telemetry {
	return Telemetry{FilterDefault: true, Prefix: "consul", RetryConnection: true}
}

func (t *Telemetry) check(r *report) {
	for i, rule := range t.PrefixFilter {
		switch {
		case strings.HasPrefix(rule, "+"):
			t.Allowed = append(t.Allowed, rule[1:])
		case strings.HasPrefix(rule, "-"):
			t.Blocked = append(t.Blocked, rule[1:])
		default:
			r.refuse("telemetry.prefix_filter", "entry %d is %q, but must start with + or -", i, rule)
		}
	}
	r.notNegative("telemetry.prometheus_retention_time", t.PrometheusRetain)
	for key, address := range map[string]string{
		"telemetry.statsd_address": t.StatsdAddr, "telemetry.statsite_address": t.StatsiteAddr,
		"telemetry.dogstatsd_addr": strings.TrimPrefix(t.DogstatsdAddr, "unix://"),
	} {
		if address == "" || strings.HasPrefix(address, "/") {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			r.refuse(key, "is %q, but must be host:port", address)
		}
	}
}
