// Package agent is one running agent: it wires all parts together, in one straight line, and owns their life cycle.
// What a server adds is in server.go, what only the leader does in leader.go, and which methods servers answer in
// methods.go.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lictor/acl"
	"lictor/agent/audit"
	"lictor/agent/local"
	"lictor/agent/logging"
	"lictor/agent/remote"
	"lictor/atrest"
	"lictor/certs"
	"lictor/config"
	"lictor/dnsserver"
	"lictor/event"
	"lictor/gossip"
	"lictor/health"
	"lictor/httpapi"
	"lictor/rpc"
	"lictor/telemetry"
	"lictor/view"
)

// Config is what an agent is made of.
type Config struct {
	// Load reads the configuration, at the start and at each Reload.
	Load func() (*config.Loaded, error)
	// Output takes the log, as text or JSON.
	Output io.Writer
	// Build is what the agent says of its version.
	Build Build
	// Network carries the traffic between agents; nil means the operating system's. HTTP and DNS are not part of it.
	Network gossip.Network
}

// Build is a version of the program.
type Build struct {
	Version  string // of Consul that this agent is compatible with, such as "1.21.4"
	Revision string
	Date     string // RFC 3339
	Own      string // Lictor's version
}

// An Agent is one agent. New makes it, Start runs it, and Stop ends it, once and for all.
type Agent struct {
	Config
	cfg     *config.Config
	sources config.Sources // what the configuration is read from
	logs    *logging.Logger
	log     *slog.Logger
	id      string // of the node
	// current is cfg with what reloads have changed since.
	current atomic.Pointer[config.Config]
	// described is what the configuration says of the node; Reload replaces it.
	described atomic.Pointer[config.Node]
	cluster   atomic.Pointer[string] // id of the cluster that this agent is part of; nil while that is not known
	started   time.Time

	network   gossip.Network
	mux       *rpc.Mux // of servers
	certs     *certs.Store
	given     string // settings from the servers, JSON; guarded by reload once the agent runs
	route     *router
	snapshots httpapi.Snapshots
	resolve   func(ctx context.Context, token string) (acl.Authorizer, error) // set before Start by tests alone
	secrets   ownTokens
	metrics   *telemetry.Registry
	lan, wan  *gossip.Pool // wan is nil on client agents
	server    *server      // nil on client agents
	caller    rpc.Caller
	views     *view.Views
	local     *local.State
	events    *event.Inbox
	audit     *audit.Log
	remote    *remote.Runner // nil unless jobs of lictor exec are allowed
	dns       *dnsserver.Server
	http      *httpapi.Server
	listeners []net.Listener // of HTTP and HTTPS
	secure    []net.Listener // those of HTTPS
	conns     *clients       // of HTTP
	watches   watches        // of the configuration

	ctx          context.Context
	cancel       context.CancelFunc
	cleanups     cleanups
	running      sync.WaitGroup
	reload       sync.Mutex      // one at a time
	atRest       atrest.Ring     // keys of what is kept
	introduction sync.Mutex      // held to write what the servers gave
	announced    map[string]bool // what has been said of the configuration, guarded by reload once the agent runs
	leaving      sync.Once
	leaveErr     error         // what leaving came to; set by leaving
	departing    atomic.Bool   // leaves, or has left
	left         chan struct{} // closed when the agent has left the cluster
	failed       chan error    // gets what ends the agent from inside
}

// New makes an agent of the configuration. Start runs it.
func New(c Config) (*Agent, error) {
	loaded, err := c.Load()
	if err != nil {
		return nil, err
	}
	l := &loaded.Config.Log
	logs, err := logging.New(logging.Config{Level: l.Level, JSON: l.JSON, Output: c.Output, File: l.File, RotateBytes: l.RotateBytes,
		RotateDuration: l.RotateDuration, RotateMaxFiles: l.RotateMaxFiles, Syslog: l.Syslog, SyslogFacility: l.Facility})
	if err != nil {
		return nil, err
	}
	a := &Agent{Config: c, cfg: loaded.Config, logs: logs, log: logs.Slog(), network: c.Network, announced: map[string]bool{}, left: make(chan struct{}), failed: make(chan error, 1)}
	if a.network == nil {
		a.network = gossip.Sockets()
	}
	a.cleanups.add(logs.Close)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.sources = loaded.Sources
	a.current.Store(loaded.Config)
	a.described.Store(&loaded.Config.Node)
	a.announce(loaded)
	return a, nil
}

// announce says what is odd about the configuration, once.
func (a *Agent) announce(loaded *config.Loaded) {
	for _, w := range loaded.Warnings {
		if !a.announced[w] {
			a.log.Warn(w)
		}
		a.announced[w] = true
	}
	for _, n := range loaded.NoEffect {
		if !a.announced[n.Key] {
			a.log.Warn("configured, but without effect in this version", "key", n.Key, "capability", n.Feature)
		}
		a.announced[n.Key] = true
	}
}

// Start runs the agent and returns when it answers. If it fails, nothing is left running.
func (a *Agent) Start() error {
	a.started = time.Now()
	for _, step := range []func() error{
		a.openData, a.introduce, a.openSecrets, a.startTelemetry, a.openAudit, a.openTLS, a.openMux, a.openPools, a.openServer, a.openLocal, a.startPools, a.startRemote, a.startEvents, a.startDNS, a.startHTTP, a.startLocal, a.startWatches,
	} {
		if err := step(); err != nil {
			return errors.Join(err, a.Stop())
		}
	}
	a.startJoining()
	a.startCerts()
	a.startBootstrap()
	a.startNaming()
	a.startPlacing()
	a.startWatching()
	notify("READY=1")
	return nil
}

// Stop ends the agent without leaving the cluster. It may be called twice.
func (a *Agent) Stop() error {
	if len(a.cleanups) == 0 {
		return nil
	}
	notify("STOPPING=1")
	a.log.Info("the agent stops")
	a.handOver(context.Background())
	a.cancel()
	err := a.cleanups.run()
	a.running.Wait()
	return err
}

// Left is closed when the agent has left the cluster, as Leave or the API asked it to.
func (a *Agent) Left() <-chan struct{} { return a.left }

// Failed delivers the error that ends the agent, if one comes from inside.
func (a *Agent) Failed() <-chan error { return a.failed }

// fail ends the agent for a reason that arises while it runs.
func (a *Agent) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// startTelemetry opens the metrics.
func (a *Agent) startTelemetry() error {
	t := a.cfg.Telemetry
	var err error
	a.metrics, err = telemetry.New(telemetry.Config{
		Prefix: t.Prefix, DisableHostname: t.DisableHostname, FilterDefault: t.FilterDefault, PrefixFilter: t.PrefixFilter,
		StatsdAddress: t.StatsdAddr, StatsiteAddress: t.StatsiteAddr, DogstatsdAddr: t.DogstatsdAddr, DogstatsdTags: t.DogstatsdTags,
		RetryFailedConnection: t.RetryConnection, PrometheusRetention: t.PrometheusRetain, EnableHostMetrics: t.HostMetrics,
		HostDisk: a.cfg.Node.DataDir, Log: a.log.With("module", "agent.telemetry"),
	})
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	if err := a.metrics.Install(); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	if err := a.metrics.Start(); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	a.cleanups.add(func() error { a.metrics.Stop(); return nil })
	a.declareMetrics()
	a.metrics.GaugeFunc("version", func() float64 { return 1 }, telemetry.Label{Name: "version", Value: a.Build.Version})
	return nil
}

// openLocal opens what is registered on this agent.
func (a *Agent) openLocal() error {
	var err error
	a.local, err = local.New(local.Config{
		Node: a.node(), Server: a.cfg.Server.Server, DataDir: a.dataDir(), AtRest: &a.atRest,
		Catalog: &local.Servers{Caller: a.caller, Views: a.views, Node: a.cfg.Node.Name},
		Health: health.Config{Log: a.log.With("module", "agent.checks"), OutputMaxSize: a.cfg.Checks.OutputMaxSize,
			EnableScriptChecks: a.cfg.Checks.Scripts, EnableLocalScriptChecks: a.cfg.Checks.LocalScripts, Alias: &aliases{a}, AgentTLS: a.checkTLS(), DockerHost: os.Getenv("DOCKER_HOST")},
		Settings:     a.localSettings(a.cfg),
		Tokens:       a.secrets.local,
		ClusterSize:  a.lan.NumMembers,
		SyncInterval: a.cfg.Internal.SyncInterval,
		SidecarPorts: local.PortRange{Min: a.cfg.Network.Ports.SidecarMin, Max: a.cfg.Network.Ports.SidecarMax},
		MaxOutput:    a.cfg.Checks.OutputMaxSize,
		Definitions:  definitionsOf(a.cfg),
		Log:          a.log.With("module", "agent"),
	})
	if a.server != nil && err == nil {
		close(a.server.opened)
	}
	return err
}

// startLocal begins to bring the catalog in line with what is registered.
func (a *Agent) startLocal() error {
	a.local.Start()
	a.cleanups.add(func() error { a.local.Stop(); return nil })
	return nil
}

// startDNS listens for DNS.
func (a *Agent) startDNS() error {
	a.dns = dnsserver.New(dnsserver.Config{
		Lookup: dnsserver.FromViews(a.views, a.cfg.Node.Name, a.caller), Datacenter: a.cfg.Node.Datacenter,
		Domain: a.cfg.DNS.Domain, AltDomain: a.cfg.DNS.AltDomain, Settings: a.dnsSettings(a.cfg),
		Token: a.secrets.dns, Resolve: a.dnsRights(), Log: a.log.With("module", "agent.dns"), Metrics: dnsserver.NewMetrics(a.metrics),
	})
	var addresses []string
	for _, l := range a.cfg.Network.Endpoints.DNS {
		addresses = append(addresses, l.Address)
	}
	if err := a.dns.Start(addresses...); err != nil {
		return portError("ports.dns", err)
	}
	a.cleanups.add(func() error { a.dns.Stop(); return nil })
	return nil
}

// Handler is the HTTP API, for who needs no listener.
func (a *Agent) Handler() http.Handler { return a.http }

// Serves tells whether this agent is to be a server.
func (a *Agent) Serves() bool { return a.cfg.Server.Server }

// Leads tells whether this agent is the server that leads.
func (a *Agent) Leads() bool { return a.server != nil && a.server.node.Leads() }

// HTTPAddrs are where the HTTP API listens.
func (a *Agent) HTTPAddrs() []net.Addr {
	var out []net.Addr
	for _, l := range a.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// DNSAddrs are where DNS listens.
func (a *Agent) DNSAddrs() []net.Addr { return a.dns.Addrs() }
