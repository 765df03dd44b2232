package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The kinds of values that flags take.
const (
	BoolFlag     = "bool"     // may stand without a value
	StringFlag   = "string"   // one text; the last one counts
	IntFlag      = "int"      // a whole number
	DurationFlag = "duration" // such as 10s
	ListFlag     = "list"     // may come several times
	MapFlag      = "map"      // key:value, may come several times
)

// A Flag is a command-line flag of the agent.
type Flag struct {
	Name string
	Kind string // one of the constants above
	Key  string // the dotted key that it sets; empty for those that FromFlags itself understands
	Help string
}

// A FlagValue is a flag that was given on the command line.
type FlagValue struct {
	Name  string
	Value string
}

// AgentFlags is the list of all flags of the agent command.
func AgentFlags() []Flag {
	return []Flag{
		{"advertise", StringFlag, "advertise_addr", "address that other agents of this datacenter are told"},
		{"advertise-wan", StringFlag, "advertise_addr_wan", "address that other datacenters are told"},
		{"allow-write-http-from", ListFlag, "http_config.allow_write_http_from", "network that may change something over HTTP; may be repeated"},
		{"alt-domain", StringFlag, "alt_domain", "second domain of DNS names"},
		{"auto-reload-config", BoolFlag, "auto_reload_config", "reload when a configuration file changes"},
		{"bind", StringFlag, "bind_addr", "address for other agents to connect to"},
		{"bootstrap", BoolFlag, "bootstrap", "start a cluster with this server alone"},
		{"bootstrap-expect", IntFlag, "bootstrap_expect", "number of servers to wait for before the cluster starts"},
		{"client", StringFlag, "client_addr", "addresses of HTTP, DNS and gRPC, separated by spaces"},
		{"config-dir", ListFlag, "", "directory of configuration files, *.hcl and *.json in the order of their names; may be repeated"},
		{"config-file", ListFlag, "", "configuration file, or a directory of them; may be repeated"},
		{"config-format", StringFlag, "", "format of all configuration files, hcl or json, whatever their names"},
		{"data-dir", StringFlag, "data_dir", "directory of all that outlives the process"},
		{"datacenter", StringFlag, "datacenter", "datacenter of this agent"},
		{"default-query-time", DurationFlag, "default_query_time", "how long a blocking query waits that does not say"},
		{"dev", BoolFlag, "", "run a server for development, in memory"},
		{"disable-host-node-id", BoolFlag, "disable_host_node_id", "do not derive the node id from the host"},
		{"disable-keyring-file", BoolFlag, "disable_keyring_file", "keep gossip keys in memory only"},
		{"dns-port", IntFlag, "ports.dns", "port of DNS"},
		{"domain", StringFlag, "domain", "domain of DNS names"},
		{"enable-local-script-checks", BoolFlag, "enable_local_script_checks", "run script checks of configuration files"},
		{"enable-script-checks", BoolFlag, "enable_script_checks", "run script checks, those registered over HTTP, too"},
		{"encrypt", StringFlag, "encrypt", "key of gossip, as keygen makes one"},
		{"grpc-port", IntFlag, "ports.grpc", "port of gRPC"},
		{"grpc-tls-port", IntFlag, "ports.grpc_tls", "port of gRPC over TLS"},
		{"hcl", ListFlag, "", "configuration in HCL, read after all files; may be repeated"},
		{"http-port", IntFlag, "ports.http", "port of HTTP"},
		{"https-port", IntFlag, "ports.https", "port of HTTPS"},
		{"join", ListFlag, "start_join", "older form of -retry-join"},
		{"join-wan", ListFlag, "start_join_wan", "older form of -retry-join-wan"},
		{"log-file", StringFlag, "log_file", "file to log to"},
		{"log-json", BoolFlag, "log_json", "log JSON objects"},
		{"log-level", StringFlag, "log_level", "trace, debug, info, warn or error"},
		{"log-rotate-bytes", IntFlag, "log_rotate_bytes", "size at which the log file is rotated"},
		{"log-rotate-duration", DurationFlag, "log_rotate_duration", "age at which the log file is rotated"},
		{"log-rotate-max-files", IntFlag, "log_rotate_max_files", "rotated log files that are kept; 0 means all, -1 none"},
		{"max-query-time", DurationFlag, "max_query_time", "how long a blocking query may wait at most"},
		{"node", StringFlag, "node_name", "name of this node"},
		{"node-id", StringFlag, "node_id", "UUID of this node"},
		{"node-meta", MapFlag, "node_meta", "label of this node, key:value; may be repeated"},
		{"non-voting-server", BoolFlag, "non_voting_server", "older form of -read-replica"},
		{"pid-file", StringFlag, "pid_file", "file to write the process id to"},
		{"primary-gateway", ListFlag, "primary_gateways", "mesh gateway of the primary datacenter; may be repeated"},
		{"protocol", IntFlag, "protocol", "version of the protocol between agents"},
		{"raft-protocol", IntFlag, "raft_protocol", "version of the Raft protocol"},
		{"read-replica", BoolFlag, "read_replica", "run a server that has no vote"},
		{"recursor", ListFlag, "recursors", "server to ask for names outside the domain; may be repeated"},
		{"rejoin", BoolFlag, "rejoin_after_leave", "join again although the agent has left"},
		{"retry-interval", DurationFlag, "retry_interval", "pause between attempts to join"},
		{"retry-interval-wan", DurationFlag, "retry_interval_wan", "pause between attempts to join other datacenters"},
		{"retry-join", ListFlag, "retry_join", "address of an agent to join; may be repeated"},
		{"retry-join-wan", ListFlag, "retry_join_wan", "address of a server of another datacenter to join; may be repeated"},
		{"retry-max", IntFlag, "retry_max", "attempts to join before the agent gives up; 0 means no end"},
		{"retry-max-wan", IntFlag, "retry_max_wan", "attempts to join other datacenters before the agent gives up; 0 means no end"},
		{"segment", StringFlag, "segment", "network segment of this agent"},
		{"serf-lan-allowed-cidrs", ListFlag, "serf_lan_allowed_cidrs", "network that members of the LAN pool may have addresses in; may be repeated"},
		{"serf-lan-bind", StringFlag, "serf_lan", "address of LAN gossip"},
		{"serf-lan-port", IntFlag, "ports.serf_lan", "port of LAN gossip"},
		{"serf-wan-allowed-cidrs", ListFlag, "serf_wan_allowed_cidrs", "network that members of the WAN pool may have addresses in; may be repeated"},
		{"serf-wan-bind", StringFlag, "serf_wan", "address of WAN gossip"},
		{"serf-wan-port", IntFlag, "ports.serf_wan", "port of WAN gossip"},
		{"server", BoolFlag, "server", "run as a server"},
		{"server-port", IntFlag, "ports.server", "port of RPC and Raft"},
		{"syslog", BoolFlag, "enable_syslog", "log to syslog, too"},
		{"ui", BoolFlag, "ui_config.enabled", "serve the web interface"},
		{"ui-content-path", StringFlag, "ui_config.content_path", "path below which the web interface is served"},
		{"ui-dir", StringFlag, "ui_config.dir", "directory of a web interface of one's own"},
	}
}

// FromFlags sorts the flags of a command line, in the order given, into the Options of Load. An unknown flag or a value
// of the wrong kind is an error.
func FromFlags(given []FlagValue) (Options, error) {
	known := map[string]Flag{}
	for _, f := range AgentFlags() {
		known[f.Name] = f
	}
	var o Options
	var problems Problems
	for _, g := range given {
		f, ok := known[g.Name]
		if !ok {
			problems = append(problems, Problem{File: "-" + g.Name, Text: "unknown flag"})
			continue
		}
		v, err := f.parse(g.Value)
		if err != nil {
			problems = append(problems, Problem{File: "-" + g.Name, Text: err.Error()})
			continue
		}
		o.take(f, g.Value, v)
	}
	if len(problems) > 0 {
		return o, Invalid{problems}
	}
	return o, nil
}

func (o *Options) take(f Flag, text string, v *value) {
	switch f.Name {
	case "config-file", "config-dir":
		o.Paths = append(o.Paths, text)
	case "config-format":
		o.Format = text
	case "hcl":
		o.Fragments = append(o.Fragments, text)
	case "dev":
		o.Dev = v.flag
	default:
		o.flags = append(o.flags, field{name: f.Name, value: &value{kind: objectKind, fields: []field{nest(f.Key, v)}}})
	}
}

// parse makes a value of a flag's text.
func (f Flag) parse(text string) (*value, error) {
	switch f.Kind {
	case BoolFlag:
		if text == "" {
			text = "true"
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("wants true or false, not %q", text)
		}
		return &value{kind: boolKind, flag: b}, nil
	case IntFlag:
		if _, err := strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("wants a whole number, not %q", text)
		}
		return &value{kind: numberKind, text: text}, nil
	case DurationFlag:
		if _, err := time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("wants a duration such as \"10s\", not %q", text)
		}
	case ListFlag:
		return &value{kind: listKind, list: []*value{{kind: stringKind, text: text}}}, nil
	case MapFlag:
		return parsePair(text), nil
	}
	return &value{kind: stringKind, text: text}, nil
}

// parsePair reads key:value; the value may hold colons and may be missing.
func parsePair(text string) *value {
	key, content, _ := strings.Cut(text, ":")
	return &value{kind: objectKind, fields: []field{{name: key, value: &value{kind: stringKind, text: content}}}}
}
