package gossip

import (
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

const (
	// MaxUserEvent bounds the name and payload of a user event, in bytes as encoded.
	MaxUserEvent = 512

	// Queues of more than minQueue messages are cut down to twice the number of members.
	minQueue      = 4096
	queueWarning  = 100_000
	queueInterval = 5 * time.Minute

	// reclaimAfter is how long a dead member's name keeps its address.
	reclaimAfter = time.Second

	reapIntervalMin = time.Second
	reapIntervalMax = 15 * time.Second
	// tombstoneMin is how long a member that left is remembered at least: long enough that no late gossip revives it.
	tombstoneMin = time.Hour

	lanLeaveDelay = time.Second
	wanLeaveDelay = 3 * time.Second
)

// serfConfig translates the pool's configuration.
func (p *Pool) serfConfig(transport *netTransport, events chan<- serf.Event) *serf.Config {
	c := serf.DefaultConfig()
	c.NodeName = p.cfg.memberName()
	c.Tags = p.cfg.Tags.Encode()
	c.EventCh = events
	c.Logger = newBridge(p.log)
	c.ReconnectTimeoutOverride = p.guard
	c.SnapshotPath = p.cfg.snapshotPath()
	c.RejoinAfterLeave = p.cfg.RejoinAfterLeave
	c.KeyringFile = p.cfg.keyringPath()
	c.DisableCoordinates = p.cfg.DisableCoordinates
	c.EnableNameConflictResolution = false // a vote ends both when only the two are there; see guard
	c.UserEventSizeLimit = MaxUserEvent
	c.ReconnectTimeout = p.cfg.ReconnectTimeout
	c.TombstoneTimeout = max(p.cfg.ReconnectTimeout, p.cfg.ReconnectTimeoutServers, tombstoneMin)
	c.ReapInterval = min(max(p.cfg.shortestReconnect()/4, reapIntervalMin), reapIntervalMax)
	c.QueueCheckInterval = queueInterval
	c.MinQueueDepth = minQueue
	c.QueueDepthWarning = queueWarning
	c.LeavePropagateDelay = lanLeaveDelay
	if p.cfg.Kind == WAN {
		c.LeavePropagateDelay = wanLeaveDelay
	}
	c.MemberlistConfig = p.memberlistConfig(transport)
	c.MemberlistConfig.Logger = c.Logger
	return c
}

func (p *Pool) memberlistConfig(transport *netTransport) *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	if p.cfg.Kind == WAN {
		m = memberlist.DefaultWANConfig()
	}
	m.Transport = transport
	m.BindAddr, m.BindPort = p.cfg.BindAddr, int(transport.bind.Port())
	m.AdvertiseAddr, m.AdvertisePort = p.cfg.AdvertiseAddr, p.cfg.AdvertisePort
	t := p.cfg.Tuning
	m.GossipNodes, m.GossipInterval = t.GossipNodes, t.GossipInterval
	m.ProbeInterval, m.ProbeTimeout = t.ProbeInterval, t.ProbeTimeout
	m.SuspicionMult, m.RetransmitMult = t.SuspicionMult, t.RetransmitMult
	m.Merge, m.Alive = p.guard, p.guard
	m.QueueCheckInterval = queueInterval
	m.DeadNodeReclaimTime = reclaimAfter
	m.LogOutput = nil
	// Compression makes most of an idle agent's garbage, and saves what a local network does not lack.
	m.EnableCompression = p.cfg.Kind == WAN
	m.Keyring = p.keys.ring
	m.GossipVerifyIncoming = !p.cfg.Encryption.AcceptPlaintext
	m.GossipVerifyOutgoing = !p.cfg.Encryption.SendPlaintext
	for _, prefix := range p.cfg.AllowedCIDRs {
		m.CIDRsAllowed = append(m.CIDRsAllowed, ipNet(prefix))
	}
	return m
}

func ipNet(p netip.Prefix) net.IPNet {
	p = p.Masked()
	return net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}
}
