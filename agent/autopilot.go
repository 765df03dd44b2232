package agent

import (
	"context"
	"net"
	"strconv"

	"lictor/catalog"
	"lictor/gossip"
	"lictor/raftstore"
)

// autopilot is how the first leader of a cluster is told to look after the other servers.
func (a *Agent) autopilot() raftstore.AutopilotConfig {
	c := &a.cfg.Autopilot
	return raftstore.AutopilotConfig{
		CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: catalog.Duration(c.LastContact), MaxTrailingLogs: uint64(c.MaxTrailingLogs),
		MinQuorum: c.MinQuorum, ServerStabilizationTime: catalog.Duration(c.Stabilization), RedundancyZoneTag: c.ZoneTag,
		DisableUpgradeMigration: c.NoMigration, UpgradeVersionTag: c.VersionTag,
	}
}

// oversee keeps watch over the servers: a duty of the leader.
func (s *server) oversee(ctx context.Context) {
	healthy, tolerance := s.agent.metrics.Gauge("autopilot.healthy"), s.agent.metrics.Gauge("autopilot.failure_tolerance")
	s.services.raft.Oversee(ctx, s.agent.cfg.Internal.Consul.HealthInterval, func(f raftstore.Fitness) {
		healthy.Set(map[bool]float64{true: 1}[f.Healthy])
		tolerance.Set(float64(f.FailureTolerance))
	})
}

// forgetServer lets gossip know that a server which has failed counts as left: autopilot has removed it.
func (a *Agent) forgetServer(m raftstore.Member) {
	a.running.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, leaveTimeout)
		defer cancel()
		if err := a.lan.ForceLeave(ctx, m.Name, false); err != nil && a.ctx.Err() == nil {
			a.log.Warn("gossip does not forget a server that has failed", "server", m.Name, "error", err)
		}
	})
}

// servers lists the servers that the LAN pool knows.
func (a *Agent) servers() []raftstore.Member {
	var out []raftstore.Member
	for _, m := range a.lan.Members() {
		if m.Ours && m.Meta.Server {
			out = append(out, serverOf(m))
		}
	}
	return out
}

func serverOf(m gossip.Member) raftstore.Member {
	version, _, _ := cutBuild(m.Meta.Build)
	return raftstore.Member{ID: m.Meta.ID, Name: m.Name, Address: net.JoinHostPort(m.Addr.String(), strconv.Itoa(m.Meta.Ports.Server)),
		Status: m.Status.String(), Version: version, ReadReplica: m.Meta.ReadReplica}
}
