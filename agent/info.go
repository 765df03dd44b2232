package agent

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"lictor/agent/logging"
	"lictor/gossip"
	"lictor/httpapi"
)

// process is the agent as the HTTP API sees it.
type process struct{ *Agent }

// self is what /v1/agent/self shows.
type self struct {
	Config      selfConfig
	DebugConfig map[string]any
	Coord       gossip.Coordinate
	Member      httpapi.Member
	Stats       map[string]map[string]string
	Meta        map[string]string
	XDS         map[string]any `json:"xDS"`
}

type selfConfig struct {
	Datacenter        string
	PrimaryDatacenter string
	NodeName          string
	NodeID            string
	Revision          string
	Server            bool
	Version           string
	BuildDate         string
}

// Self implements httpapi.Process.
func (p process) Self(context.Context) (any, error) {
	c := p.cfg
	out := self{
		Config: selfConfig{Datacenter: c.Node.Datacenter, PrimaryDatacenter: c.Federate.Primary, NodeName: c.Node.Name,
			NodeID: p.id, Revision: p.Build.Revision, Server: c.Server.Server, Version: p.Build.Version, BuildDate: p.Build.Date},
		DebugConfig: p.current.Load().Sanitized(),
		Stats:       p.stats(),
		Meta:        p.node().Meta,
		XDS:         map[string]any{"SupportedProxies": map[string]any{}, "Port": c.Network.Ports.GRPC},
	}
	out.Coord, _ = p.lan.Coordinate()
	if m, ok := p.lan.Local(); ok {
		out.Member = member(m)
	}
	return out, nil
}

// stats are the figures of `lictor info`.
func (a *Agent) stats() map[string]map[string]string {
	services, checks := a.local.Services(), a.local.Checks()
	ttls := 0
	for _, c := range checks {
		if c.Type == "ttl" {
			ttls++
		}
	}
	count := func(n int) string { return strconv.Itoa(n) }
	out := map[string]map[string]string{
		"agent": {"check_monitors": "0", "check_ttls": count(ttls), "checks": count(len(checks)), "services": count(len(services))},
		"build": {"revision": a.Build.Revision, "version": a.Build.Version, "version_metadata": "", "prerelease": "", "lictor": a.Build.Own},
		"runtime": {"arch": runtime.GOARCH, "os": runtime.GOOS, "version": runtime.Version(), "cpu_count": count(runtime.NumCPU()),
			"goroutines": count(runtime.NumGoroutine()), "max_procs": count(runtime.GOMAXPROCS(0))},
		"serf_lan": a.lan.Stats(),
		"consul":   {"acl": "disabled", "server": strconv.FormatBool(a.server != nil)},
	}
	if a.wan != nil {
		out["serf_wan"] = a.wan.Stats()
	}
	if a.server != nil {
		address, _ := a.server.node.Leader()
		out["raft"] = a.server.node.Stats()
		out["consul"]["leader"] = strconv.FormatBool(a.server.node.Leads())
		out["consul"]["leader_addr"] = address
		out["consul"]["bootstrap"] = strconv.FormatBool(a.tags().Bootstrap)
		out["consul"]["known_datacenters"] = "1"
		if address == "" {
			out["consul"]["no_leader"] = a.server.quorum()
		}
	} else {
		out["consul"]["known_servers"] = count(len(a.route.roster.all()))
	}
	return out
}

// Host implements httpapi.Process.
func (p process) Host() (any, error) {
	memory, err := mem.VirtualMemory()
	if err != nil {
		return nil, fmt.Errorf("read the memory of the host: %w", err)
	}
	cpus, err := cpu.Info()
	if err != nil {
		return nil, fmt.Errorf("read the processors of the host: %w", err)
	}
	info, err := host.Info()
	if err != nil {
		return nil, fmt.Errorf("read what the host is: %w", err)
	}
	path := p.dataDir()
	if path == "" {
		path = "/"
	}
	usage, err := disk.Usage(path)
	if err != nil {
		return nil, fmt.Errorf("read the disk of %s: %w", path, err)
	}
	return map[string]any{"Memory": memory, "CPU": cpus, "Host": info, "Disk": usage,
		"CollectionTime": time.Now().UnixNano(), "Errors": nil}, nil
}

// Version implements httpapi.Process.
func (p process) Version() any {
	return map[string]string{"SHA": p.Build.Revision, "BuildDate": p.Build.Date, "HumanVersion": p.Build.Version, "FIPS": ""}
}

// Reload implements httpapi.Process.
func (p process) Reload() error { return p.Agent.Reload() }

// Leave implements httpapi.Process.
func (p process) Leave(ctx context.Context) error { return p.Agent.Leave(ctx) }

// pools are the gossip pools as the HTTP API sees them.
type pools struct{ *Agent }

// Members implements httpapi.Pools.
func (p pools) Members(wan bool) []httpapi.Member {
	pool := p.lan
	if wan {
		pool = p.wan
	}
	out := []httpapi.Member{}
	if pool == nil {
		return out
	}
	for _, m := range pool.Members() {
		out = append(out, member(m))
	}
	return out
}

func member(m gossip.Member) httpapi.Member {
	v := m.Versions
	return httpapi.Member{Name: m.Name, Addr: m.Addr.String(), Port: m.Port, Tags: m.Tags, Status: int(m.Status),
		ProtocolMin: v.ProtocolMin, ProtocolMax: v.ProtocolMax, ProtocolCur: v.ProtocolCur,
		DelegateMin: v.DelegateMin, DelegateMax: v.DelegateMax, DelegateCur: v.DelegateCur}
}

// Join implements httpapi.Pools.
func (p pools) Join(ctx context.Context, address string, wan bool) error {
	pool := p.lan
	if wan {
		pool = p.wan
	}
	if pool == nil {
		return fmt.Errorf("this agent is not in the WAN pool: only servers are")
	}
	_, err := pool.Join(ctx, []string{address})
	return err
}

// ForceLeave implements httpapi.Pools.
func (p pools) ForceLeave(ctx context.Context, node string, wan, prune bool) error {
	pool := p.lan
	if wan {
		pool = p.wan
	}
	if pool == nil {
		return fmt.Errorf("this agent is not in the WAN pool: only servers are")
	}
	for _, m := range pool.Members() {
		if strings.EqualFold(m.Name, node) {
			return pool.ForceLeave(ctx, m.Name, prune)
		}
	}
	return fmt.Errorf("agent: No node found with name '%s'", node)
}

// monitor implements httpapi.Monitor.
func (a *Agent) monitor(level string, json bool) (<-chan []byte, func(), error) {
	l, err := logging.ParseLevel(level)
	if err != nil {
		return nil, nil, err
	}
	s := a.logs.Subscribe(l, json)
	return s.Lines(), s.Close, nil
}

// defaultPolicy is what holds where no rule speaks, as each answer tells.
func (a *Agent) defaultPolicy() string {
	if !a.cfg.ACL.Enabled {
		return "allow"
	}
	return a.cfg.ACL.DefaultPolicy
}

// hostName is what the operating system calls this host; "" if it does not say.
func hostName() string {
	name, _ := os.Hostname()
	return name
}

// httpConfig is what the HTTP API is made of.
func (a *Agent) httpConfig() httpapi.Config {
	c := httpapi.Config{
		Caller: a.caller, Views: a.views, Resolve: a.resolveHere, DefaultToken: func() string { return a.secrets.get(tokenDefault) }, SetToken: a.setToken,
		ACLs: a.cfg.ACL.Enabled, DefaultPolicy: a.defaultPolicy(), DownPolicy: a.cfg.ACL.DownPolicy, Datacenter: a.cfg.Node.Datacenter, Node: a.cfg.Node.Name, TranslateWAN: a.cfg.Network.TranslateWAN,
		Log: a.log.With("module", "agent.http"), Process: process{a}, Security: func() any { return a.openings() }, Pools: pools{a}, Metrics: a.metrics, Snapshots: a.snapshots, Monitor: a.monitor, Ends: a.ctx.Done(),
		MaxValueSize: int64(a.cfg.Limits.KVMaxValueSize), MaxTxnSize: int64(a.cfg.Limits.TxnMaxReqLen),
		ResponseHeaders: a.cfg.HTTP.Config.ResponseHeaders, AllowUnprintable: a.cfg.HTTP.NoFilter,
		Services: a.local, Checks: a.local, Maintain: a.local.SetNodeMaintenance, Events: a.events, Rules: a.httpRules(a.cfg), EnableDebug: a.cfg.HTTP.Debug,
		Hosts: httpapi.Hosts{Own: []string{a.cfg.Node.Name, hostName()}, Domains: []string{a.cfg.DNS.Domain, a.cfg.DNS.AltDomain}, Allowed: a.cfg.HTTP.Config.AllowedHosts},
	}
	c.UI, c.UIPath = a.page()
	if !a.copiesTokens() {
		c.Primary = a.primary()
	}
	return c
}
