// Package config knows every key of an agent's configuration: its name, type, default, meaning and limits. It reads
// keys from HCL and JSON files, directories, fragments and flags, merges them in Consul's order, resolves addresses
// and refuses what cannot work. It does not know what the parts of an agent do with their settings.
package config

// A Config is a whole configuration, grouped by feature. A tag `config:"key"` makes a field a key; the groups marked
// inline have their keys at the top level of a file. A tag `debug:"Name"` is the name under which /v1/agent/self shows
// the field, with ",secret" if its value must be hidden. To add a key, add a field with its tag and comment.
type Config struct {
	Node      Node      `config:",inline"`
	Server    Server    `config:",inline"`
	Network   Network   `config:",inline"`
	Join      Join      `config:",inline"`
	Gossip    Gossip    `config:",inline"`
	Raft      Raft      `config:",inline"`
	Autopilot Autopilot `config:"autopilot"`
	Checks    Checks    `config:",inline"`
	DNS       DNS       `config:",inline"`
	HTTP      HTTP      `config:",inline"`
	UI        UI        `config:"ui_config"`
	Queries   Queries   `config:",inline"`
	Limits    Limits    `config:"limits"`
	Log       Log       `config:",inline"`
	Telemetry Telemetry `config:"telemetry"`
	ACL       ACL       `config:"acl"`
	TLS       TLS       `config:"tls"`
	Auto      Auto      `config:",inline"`
	Mesh      Mesh      `config:",inline"`
	Peering   Peering   `config:"peering"`
	Watches   Watches   `config:",inline"`
	Federate  Federate  `config:",inline"`
	Internal  Internal  `config:",inline"`
	Backup    Backup    `config:"snapshot_agent"`
	AtRest    AtRest    `config:"encryption_at_rest"`
	Replicate Replicate `config:",inline"`
	Paid      Paid      `config:",inline"`
}

// Default is the configuration of an agent for which no key is set, before anything is derived from other keys.
func Default() *Config {
	return &Config{
		Node:      defaultNode(),
		Server:    Server{Protocol: 2, RejoinAgeMax: week},
		Network:   defaultNetwork(),
		Join:      defaultJoin(),
		Gossip:    defaultGossip(),
		Raft:      defaultRaft(),
		Autopilot: defaultAutopilot(),
		Checks:    defaultChecks(),
		DNS:       defaultDNS(),
		HTTP:      defaultHTTP(),
		UI:        UI{ContentPath: "/ui/"},
		Queries:   defaultQueries(),
		Limits:    defaultLimits(),
		Log:       defaultLog(),
		Telemetry: defaultTelemetry(),
		ACL:       defaultACL(),
		TLS:       defaultTLS(),
		Mesh:      defaultMesh(),
		Peering:   Peering{Enabled: true},
		Federate:  defaultFederate(),
		Internal:  defaultInternal(),
		Backup:    defaultBackup(),
		AtRest:    AtRest{Enabled: true},
	}
}

// develop changes the defaults to those of -dev: a server of its own, in memory, on loopback only, with the web
// interface, the mesh and a talkative log.
func (c *Config) develop() {
	c.Node.DevMode = true
	c.Server.Server = true
	c.Server.Bootstrap = true
	c.Network.Bind = "127.0.0.1"
	c.Network.Ports.GRPC = 8502
	c.Node.DisableKeyring = true
	c.UI.Enabled = true
	c.Mesh.Connect.Enabled = true
	c.Log.Level = "DEBUG"
	c.HTTP.Debug = true
	c.Raft.Performance.Multiplier = 1
	c.Internal.Consul.HeartbeatTimeout = 50 * ms
	c.Internal.Consul.ElectionTimeout = 50 * ms
	c.Internal.Consul.LeaseTimeout = 25 * ms
	for _, g := range []*Tuning{&c.Gossip.LAN, &c.Gossip.WAN.Tuning} {
		g.SuspicionMult, g.GossipInterval, g.ProbeInterval, g.ProbeTimeout = 3, 100*ms, 100*ms, 100*ms
	}
}

// check refuses what cannot work, feature by feature, and completes what follows from other keys.
func (c *Config) check(r *report) {
	c.Node.check(r)
	c.Server.check(r, &c.Node)
	c.Join.complete(r, c.Server.Server)
	c.Gossip.check(r)
	c.Raft.check(r)
	c.Autopilot.check(r)
	c.Checks.check(r)
	c.DNS.check(r)
	c.HTTP.check(r)
	c.UI.check(r)
	c.Queries.check(r)
	c.Limits.check(r)
	c.Log.check(r)
	c.Telemetry.check(r)
	c.ACL.check(r)
	c.TLS.check(r, c.Auto.Encrypt.TLS || c.Auto.Config.Enabled)
	c.Auto.check(r, c.Server.Server)
	c.Mesh.check(r)
	c.Watches.check(r)
	c.Backup.check(r)
	c.Paid.Audit.check(r)
	c.AtRest.check(r, c.Node.DataDir)
	c.Federate.check(r, c)
	c.Gossip.checkTransport(r, c)
	c.Replicate.check(r, c)
}
