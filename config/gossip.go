package config

import (
	"encoding/base64"
	"net/netip"
	"time"

	"lictor/gossip"
)

// Gossip is how members of a pool talk to each other.
type Gossip struct {
	LAN            Tuning    `config:"gossip_lan"`
	WAN            WANGossip `config:"gossip_wan"`
	EncryptKey     string    `config:"encrypt" debug:"EncryptKey,secret"`                     // key of gossip: base64 of 16, 24 or 32 bytes
	VerifyIncoming bool      `config:"encrypt_verify_incoming" debug:"EncryptVerifyIncoming"` // refuse gossip that is not encrypted
	VerifyOutgoing bool      `config:"encrypt_verify_outgoing" debug:"EncryptVerifyOutgoing"` // send gossip encrypted only
	AllowedLAN     []string  `config:"serf_lan_allowed_cidrs" debug:"SerfAllowedCIDRsLAN"`    // networks that members of the LAN pool may have addresses in
	AllowedWAN     []string  `config:"serf_wan_allowed_cidrs" debug:"SerfAllowedCIDRsWAN"`    // networks that members of the WAN pool may have addresses in
	NoCoordinates  bool      `config:"disable_coordinates" debug:"DisableCoordinates"`        // do not measure network coordinates

	NetworksLAN []netip.Prefix `config:"-"` // AllowedLAN, parsed
	NetworksWAN []netip.Prefix `config:"-"` // AllowedWAN, parsed
}

// Tuning is the pace of one pool.
type Tuning struct {
	GossipNodes    int           `config:"gossip_nodes" debug:"GossipNodes"`       // members that news are sent to at a time
	GossipInterval time.Duration `config:"gossip_interval" debug:"GossipInterval"` // pause between sendings of news
	ProbeInterval  time.Duration `config:"probe_interval" debug:"ProbeInterval"`   // pause between probes of a random member
	ProbeTimeout   time.Duration `config:"probe_timeout" debug:"ProbeTimeout"`     // how long a probe waits for its answer
	SuspicionMult  int           `config:"suspicion_mult" debug:"SuspicionMult"`   // factor of the time until a suspect counts as failed
	RetransmitMult int           `config:"retransmit_mult" debug:"RetransmitMult"` // factor of the number of times that news are sent
}

// WANGossip is how servers of several datacenters talk to each other.
type WANGossip struct {
	Tuning    `config:",inline"`
	Transport string `config:"transport"` // udp; tcp, for links that drop UDP; or tls, over ports.server with the certificates of tls.internal_rpc, and no other port
}

func defaultGossip() Gossip {
	return Gossip{
		LAN: Tuning{
			GossipNodes: 3, GossipInterval: 200 * ms, ProbeInterval: time.Second, ProbeTimeout: 500 * ms,
			SuspicionMult: 4, RetransmitMult: 12, // see gossip/DESIGN.md
		},
		WAN: WANGossip{Transport: gossip.OverUDP.String(), Tuning: Tuning{
			GossipNodes: 3, GossipInterval: 500 * ms, ProbeInterval: 5 * time.Second, ProbeTimeout: 3 * time.Second,
			SuspicionMult: 6, RetransmitMult: 4,
		}},
		VerifyIncoming: true, VerifyOutgoing: true,
	}
}

func (g *Gossip) check(r *report) {
	if g.EncryptKey != "" {
		key, err := base64.StdEncoding.DecodeString(g.EncryptKey)
		if err != nil || len(key) != 16 && len(key) != 24 && len(key) != 32 {
			r.refuse("encrypt", "must be the base64 form of 16, 24 or 32 bytes; \"lictor keygen\" makes one")
		}
	}
	g.NetworksLAN = r.networks("serf_lan_allowed_cidrs", g.AllowedLAN)
	g.NetworksWAN = r.networks("serf_wan_allowed_cidrs", g.AllowedWAN)
	g.LAN.check(r, "gossip_lan")
	g.WAN.check(r, "gossip_wan")
	r.oneOf("gossip_wan.transport", g.WAN.Transport, gossip.Transports()...)
}

// checkTransport refuses to gossip over TLS without certificates. It comes after the check of TLS.
func (g *Gossip) checkTransport(r *report, c *Config) {
	t := &c.TLS.InternalRPC
	if c.Server.Server && g.WAN.Transport == gossip.OverTLS.String() && (t.CertFile == "" || t.CAFile == "" && t.CAPath == "") {
		r.refuse("gossip_wan.transport", "is tls, which needs tls.internal_rpc.ca_file or ca_path, cert_file and key_file")
	}
}

func (t *Tuning) check(r *report, key string) {
	atLeast(r, key+".gossip_nodes", t.GossipNodes, 0)
	atLeast(r, key+".suspicion_mult", t.SuspicionMult, 1)
	atLeast(r, key+".retransmit_mult", t.RetransmitMult, 1)
	r.positive(key+".gossip_interval", t.GossipInterval)
	r.positive(key+".probe_interval", t.ProbeInterval)
	r.positive(key+".probe_timeout", t.ProbeTimeout)
}
