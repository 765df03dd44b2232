package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"lictor/config"
	"lictor/gossip"
)

// openPools makes the LAN pool, and on servers the WAN pool, without starting them.
func (a *Agent) openPools() error {
	ends := &a.cfg.Network.Endpoints
	var err error
	a.lan, err = gossip.New(a.poolConfig(gossip.LAN, ends.SerfBindLAN, ends.SerfAdvertiseLAN))
	if err != nil {
		return fmt.Errorf("LAN gossip: %w", err)
	}
	if !a.cfg.Server.Server || !ends.SerfBindWAN.IsValid() {
		return nil
	}
	if a.wan, err = gossip.New(a.poolConfig(gossip.WAN, ends.SerfBindWAN, ends.SerfAdvertiseWAN)); err != nil {
		return fmt.Errorf("WAN gossip: %w", err)
	}
	return nil
}

func (a *Agent) poolConfig(kind gossip.Kind, bind, advertise netip.AddrPort) gossip.Config {
	g := &a.cfg.Gossip
	c := gossip.Config{
		Kind: kind, NodeName: a.cfg.Node.Name, Tags: a.tags(),
		BindAddr: bind.Addr().String(), BindPort: int(bind.Port()),
		AdvertiseAddr: advertise.Addr().String(), AdvertisePort: int(advertise.Port()),
		AllowedCIDRs: prefixes(g.AllowedLAN), DataDir: a.dataDir(),
		RejoinAfterLeave: a.cfg.Join.RejoinAfterLeave, ReconnectTimeout: a.cfg.Join.ReconnectTimeout,
		Encryption: gossip.Encryption{Key: g.EncryptKey, DisableFile: a.cfg.Node.DisableKeyring,
			AcceptPlaintext: !g.VerifyIncoming, SendPlaintext: !g.VerifyOutgoing},
		Tuning: tuning(g.LAN), DisableCoordinates: g.NoCoordinates,
		Logger: a.log.With("module", "agent.gossip.lan"),
	}
	if kind == gossip.WAN {
		c.AllowedCIDRs, c.Tuning, c.ReconnectTimeout = prefixes(g.AllowedWAN), tuning(g.WAN), 0
		c.Logger = a.log.With("module", "agent.gossip.wan")
	}
	return c
}

func tuning(t config.Tuning) gossip.Tuning {
	return gossip.Tuning{GossipNodes: t.GossipNodes, GossipInterval: t.GossipInterval, ProbeInterval: t.ProbeInterval,
		ProbeTimeout: t.ProbeTimeout, SuspicionMult: t.SuspicionMult, RetransmitMult: t.RetransmitMult}
}

// prefixes parses networks that the configuration has checked.
func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// tags are what the other members learn of this agent.
func (a *Agent) tags() gossip.Tags {
	n := &a.cfg.Network
	t := gossip.Tags{
		Server: a.cfg.Server.Server, Datacenter: a.cfg.Node.Datacenter, ID: a.id,
		Build: a.Build.Version + ":" + a.Build.Revision, ACLs: "0", ReconnectTimeout: a.cfg.Join.AdvertiseTimeout,
	}
	if t.Server {
		t.Ports = gossip.Ports{Server: n.Ports.Server, WAN: n.Ports.SerfWAN, GRPC: max(n.Ports.GRPC, 0), GRPCTLS: max(n.Ports.GRPCTLS, 0)}
		t.Bootstrap = a.cfg.Server.Bootstrap || a.cfg.Server.BootstrapExpect == 1
		t.ReadReplica = a.cfg.Server.ReadReplica
		t.Features = []string{"fs", "si"}
		if a.cfg.Server.BootstrapExpect > 1 {
			t.Expect = a.cfg.Server.BootstrapExpect
		}
	}
	return t
}

// startPools begins to gossip.
func (a *Agent) startPools() error {
	for key, p := range a.poolsByPort() {
		if err := p.Start(); err != nil {
			return portError(key, err)
		}
		a.cleanups.add(p.Stop)
		a.running.Go(func() { a.mourn(p) })
	}
	a.running.Go(func() { a.followMembers(a.lan.Events()) })
	if a.wan != nil {
		a.running.Go(func() { drain(a.wan.Events()) })
		a.running.Go(func() { drain(a.wan.UserEvents()) })
	}
	return nil
}

// poolsByPort yields the pools by the keys of their ports.
func (a *Agent) poolsByPort() iter.Seq2[string, *gossip.Pool] {
	return func(yield func(string, *gossip.Pool) bool) {
		if yield("ports.serf_lan", a.lan) && a.wan != nil {
			yield("ports.serf_wan", a.wan)
		}
	}
}

// mourn ends the agent when a pool ends by itself: the vote on its name went to another agent.
func (a *Agent) mourn(p *gossip.Pool) {
	select {
	case <-p.Done():
	case <-a.ctx.Done():
		return
	}
	if !a.departing.Load() && a.ctx.Err() == nil {
		a.fail(fmt.Errorf("gossip has ended: another agent has the name %s", a.cfg.Node.Name))
	}
}

// saveKeyrings keeps the gossip keys on disk: who leads a cluster knows that they are the right ones.
func (a *Agent) saveKeyrings() error {
	for _, p := range []*gossip.Pool{a.lan, a.wan} {
		if p == nil || !p.Encrypted() {
			continue
		}
		if err := p.SaveKeyring(); err != nil {
			a.log.Error("failed to keep the gossip keys on disk", "error", err)
			return err
		}
	}
	return nil
}

// drain reads what nobody is interested in, until the channel is closed.
func drain[T any](events <-chan T) {
	for range events {
	}
}

// followMembers tells the leader's duties of changes in the LAN pool, until that stops.
func (a *Agent) followMembers(events <-chan gossip.Event) {
	for e := range events {
		if a.server != nil {
			a.server.changed(e)
		}
	}
}

// startJoining joins the members that the configuration names, again and again until one answers.
func (a *Agent) startJoining() {
	j := &a.cfg.Join
	if len(j.RetryJoin) == 0 {
		return
	}
	a.running.Go(func() {
		for try := 1; ; try++ {
			n, err := a.lan.Join(a.ctx, j.RetryJoin)
			if n > 0 {
				a.log.Info("joined the cluster", "members", n)
				return
			}
			if a.ctx.Err() != nil {
				return
			}
			if j.RetryMax > 0 && try >= j.RetryMax {
				a.fail(fmt.Errorf("retry_join: none of %v answered in %d attempts: %w", j.RetryJoin, try, err))
				return
			}
			a.log.Warn("failed to join the cluster, trying again", "addresses", j.RetryJoin, "retry_in", j.RetryInterval, "error", err)
			select {
			case <-time.After(j.RetryInterval):
			case <-a.ctx.Done():
				return
			}
		}
	})
}

// leaveTimeout bounds how long a graceful leave may take in each pool.
const leaveTimeout = 15 * time.Second

// Leave makes the agent leave the cluster gracefully, in leaveTimeout at most and whether or not who asked for it is
// still there. The owner then stops it. A second call waits for the first and returns the same.
func (a *Agent) Leave(ctx context.Context) error {
	a.leaving.Do(func() {
		a.departing.Store(true)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
		a.log.Info("leaving the cluster")
		for _, p := range []*gossip.Pool{a.wan, a.lan} {
			if p != nil {
				a.leaveErr = errors.Join(a.leaveErr, p.Leave(ctx))
			}
		}
		close(a.left)
	})
	return a.leaveErr
}
