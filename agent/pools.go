package agent

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"lictor/certs"
	"lictor/config"
	"lictor/gossip"
	"lictor/rpc"
	"lictor/telemetry"
)

// openPools makes the LAN pool, and on servers the WAN pool, without starting them.
func (a *Agent) openPools() error {
	ends := &a.cfg.Network.Endpoints
	var err error
	if a.lan, err = gossip.New(a.poolConfig(gossip.LAN, ends.SerfBindLAN, ends.SerfAdvertiseLAN)); err != nil {
		return fmt.Errorf("LAN gossip: %w", err)
	}
	if !a.cfg.Server.Server || !ends.SerfBindWAN.IsValid() {
		return nil
	}
	bind, advertise := ends.SerfBindWAN, ends.SerfAdvertiseWAN
	if a.wanTransport() == gossip.OverTLS {
		bind, advertise = ends.RPCBind, netip.AddrPortFrom(advertise.Addr(), ends.RPCAdvertise.Port())
	}
	if a.wan, err = gossip.New(a.poolConfig(gossip.WAN, bind, advertise)); err != nil {
		return fmt.Errorf("WAN gossip: %w", err)
	}
	return nil
}

func (a *Agent) poolConfig(kind gossip.Kind, bind, advertise netip.AddrPort) gossip.Config {
	g := &a.cfg.Gossip
	c := gossip.Config{
		Kind: kind, NodeName: a.cfg.Node.Name, Tags: a.tags(), Network: a.network,
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
		c.Tags.ClusterID = ""
		c.AllowedCIDRs, c.Tuning, c.ReconnectTimeout = prefixes(g.AllowedWAN), tuning(g.WAN.Tuning), a.cfg.Federate.ReconnectTimeout
		c.Transport, c.Secure = a.wanTransport(), &gossip.Secure{Listener: a.mux.Protocol(rpc.ProtocolGossip), Dial: a.dialGossip}
		c.Logger = a.log.With("module", "agent.gossip.wan")
	}
	return c
}

// wanTransport is how this agent wants WAN gossip to travel.
func (a *Agent) wanTransport() gossip.Transport {
	return gossip.ParseTransport(a.cfg.Gossip.WAN.Transport)
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
	if id := a.cluster.Load(); id != nil {
		t.ClusterID = *id
	}
	if t.Server {
		t.Transport = a.wanTransport()
		t.Ports = gossip.Ports{Server: n.Ports.Server, WAN: n.Ports.SerfWAN, GRPC: max(n.Ports.GRPC, 0), GRPCTLS: max(n.Ports.GRPCTLS, 0)}
		if t.Transport == gossip.OverTLS && n.Ports.SerfWAN > 0 {
			t.Ports.WAN = n.Ports.Server
		}
		t.Bootstrap = a.cfg.Server.Bootstrap || a.cfg.Server.BootstrapExpect == 1
		t.ReadReplica = a.cfg.Server.ReadReplica
		t.Features = []string{"fs", "si"}
		t.TLS = a.certs.Serves(certs.RPC)
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
	if a.server != nil {
		a.metrics.Collect(a.countMembers)
	}
	if a.wan != nil {
		a.running.Go(func() { a.server.federation.follow(a.wan.Events()) })
		a.running.Go(func() { drain(a.wan.UserEvents()) })
	}
	return nil
}

// countMembers tells how many agents of each kind are alive.
func (a *Agent) countMembers(emit telemetry.Emit) {
	count := map[bool]int{}
	for _, m := range a.lan.Members() {
		if m.Ours && m.Status == gossip.StatusAlive {
			count[m.Meta.Server]++
		}
	}
	dc := telemetry.Label{Name: "datacenter", Value: a.cfg.Node.Datacenter}
	emit("members.servers", float64(count[true]), dc)
	emit("members.clients", float64(count[false]), dc)
}

// poolsByPort yields the pools by the keys of their ports.
func (a *Agent) poolsByPort() iter.Seq2[string, *gossip.Pool] {
	return func(yield func(string, *gossip.Pool) bool) {
		if yield("ports.serf_lan", a.lan) && a.wan != nil {
			yield("ports.serf_wan", a.wan)
		}
	}
}

// mourn ends the agent when a pool ends by itself, which only a fault in it can bring about.
func (a *Agent) mourn(p *gossip.Pool) {
	select {
	case <-p.Done():
	case <-a.ctx.Done():
		return
	}
	if !a.departing.Load() && a.ctx.Err() == nil {
		a.fail(errors.New("gossip has ended by itself"))
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

// followMembers keeps what is known of the servers, and tells the leader's duties of changes in the LAN pool, until that
// stops.
func (a *Agent) followMembers(events <-chan gossip.Event) {
	for e := range events {
		var gone []rpc.Target
		if e.Type == gossip.EventsLost {
			gone = a.route.roster.set(a.lan.Members())
		} else {
			gone = a.route.roster.note(e.Member, e.Type == gossip.MemberJoin || e.Type == gossip.MemberUpdate)
		}
		for _, t := range gone {
			a.route.pool.Forget(t)
		}
		if a.server != nil {
			a.server.changed(e)
		}
		if e.Type == gossip.MemberJoin {
			a.flood(e.Member)
		}
	}
}

// startJoining joins the members that the configuration names.
func (a *Agent) startJoining() {
	j, f := &a.cfg.Join, &a.cfg.Federate
	a.join(joining{"retry_join", a.lan, j.RetryJoin, j.RetryInterval, j.RetryMax})
	if a.wan != nil {
		a.join(joining{"retry_join_wan", a.wan, f.RetryJoin, f.RetryInterval, f.RetryMax})
	}
}

// joining is what to join, as keys of the configuration say.
type joining struct {
	key       string
	pool      *gossip.Pool
	addresses []string
	interval  time.Duration
	most      int // attempts; 0 means no end
}

// join joins members of a pool, again and again until one answers, in the background.
func (a *Agent) join(j joining) {
	if len(j.addresses) == 0 {
		return
	}
	a.running.Go(func() {
		for try := 1; ; try++ {
			n, err := j.pool.Join(a.ctx, j.addresses)
			if n > 0 {
				a.log.Info("joined the cluster", "by", j.key, "members", n)
				return
			}
			if a.ctx.Err() != nil {
				return
			}
			if j.most > 0 && try >= j.most {
				a.fail(fmt.Errorf("%s: none of %v answered in %d attempts: %w", j.key, j.addresses, try, err))
				return
			}
			a.log.Warn("failed to join the cluster, trying again", "by", j.key, "addresses", j.addresses, "retry_in", j.interval, "error", err)
			select {
			case <-time.After(j.interval):
			case <-a.ctx.Done():
				return
			}
		}
	})
}
