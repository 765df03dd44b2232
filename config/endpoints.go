package config

import "net/netip"

// Endpoints are all addresses of an agent, resolved and with their ports.
type Endpoints struct {
	HTTP    []Listen `debug:"HTTPAddrs"`    // of HTTP; empty if it is off
	HTTPS   []Listen `debug:"HTTPSAddrs"`   // of HTTPS; empty if it is off
	DNS     []Listen `debug:"DNSAddrs"`     // of DNS, each for UDP and TCP; empty if it is off
	GRPC    []Listen `debug:"GRPCAddrs"`    // of gRPC; empty if it is off
	GRPCTLS []Listen `debug:"GRPCTLSAddrs"` // of gRPC over TLS; empty if it is off

	Bind         netip.Addr `debug:"BindAddr"`         // of all that is for other agents; may be unspecified (0.0.0.0)
	Advertise    netip.Addr `debug:"AdvertiseAddrLAN"` // that other agents of the datacenter reach; never unspecified
	AdvertiseWAN netip.Addr `debug:"AdvertiseAddrWAN"` // that agents of other datacenters reach; never unspecified

	SerfBindLAN      netip.AddrPort `debug:"SerfBindAddrLAN"`      // of LAN gossip, to listen on
	SerfBindWAN      netip.AddrPort `debug:"SerfBindAddrWAN"`      // of WAN gossip, to listen on; invalid if it is off
	SerfAdvertiseLAN netip.AddrPort `debug:"SerfAdvertiseAddrLAN"` // of LAN gossip, as others reach it
	SerfAdvertiseWAN netip.AddrPort `debug:"SerfAdvertiseAddrWAN"` // of WAN gossip, as others reach it; invalid if it is off
	RPCBind          netip.AddrPort `debug:"RPCBindAddr"`          // of RPC and Raft, to listen on
	RPCAdvertise     netip.AddrPort `debug:"RPCAdvertiseAddr"`     // of RPC and Raft, as others reach it

	// Tagged are the node's addresses in the catalog: lan, lan_ipv4, wan, wan_ipv4 (or _ipv6), and tagged_addresses.
	Tagged map[string]string `debug:"TaggedAddresses"`
	Client []netip.Addr      `debug:"ClientAddrs"` // of client_addr
}

// A Listen is where a listener of the agent is: Network "tcp" with "ip:port", or "unix" with a path.
type Listen struct {
	Network string
	Address string
}

// String is the address as a URL, such as "tcp://127.0.0.1:8500".
func (l Listen) String() string { return l.Network + "://" + l.Address }

// assemble puts resolved addresses and ports together.
func (e *Endpoints) assemble(p *Ports, server bool) {
	at := func(addr netip.Addr, port int) netip.AddrPort {
		if port <= 0 || port > 65535 {
			return netip.AddrPort{}
		}
		return netip.AddrPortFrom(addr, uint16(port))
	}
	e.SerfAdvertiseLAN = at(e.Advertise, p.SerfLAN)
	e.RPCBind, e.RPCAdvertise = at(e.Bind, p.Server), at(e.Advertise, p.Server)
	e.SerfBindLAN = at(e.SerfBindLAN.Addr(), p.SerfLAN)
	e.SerfBindWAN = at(e.SerfBindWAN.Addr(), p.SerfWAN)
	if server {
		e.SerfAdvertiseWAN = at(e.AdvertiseWAN, p.SerfWAN)
	} else {
		e.SerfBindWAN = netip.AddrPort{}
	}
}

// collide refuses two listeners on one port of addresses that overlap.
func (e *Endpoints) collide(r *report, server bool) {
	type claim struct {
		key  string
		addr netip.AddrPort
	}
	var claims []claim
	add := func(key string, addr netip.AddrPort) {
		for _, c := range claims {
			if c.key != key && addr.Port() == c.addr.Port() && overlap(addr.Addr(), c.addr.Addr()) {
				r.refuse(key, "port %d is taken by %s already", addr.Port(), c.key)
				return
			}
		}
		claims = append(claims, claim{key, addr})
	}
	clients := []struct {
		key string
		on  []Listen
	}{
		{"ports.http", e.HTTP}, {"ports.https", e.HTTPS}, {"ports.dns", e.DNS}, {"ports.grpc", e.GRPC}, {"ports.grpc_tls", e.GRPCTLS},
	}
	for _, c := range clients {
		for _, l := range c.on {
			if addr, err := netip.ParseAddrPort(l.Address); err == nil {
				add(c.key, addr)
			}
		}
	}
	for key, addr := range map[string]netip.AddrPort{"ports.serf_lan": e.SerfBindLAN, "ports.serf_wan": e.SerfBindWAN} {
		if addr.IsValid() {
			add(key, addr)
		}
	}
	if server && e.RPCBind.IsValid() {
		add("ports.server", e.RPCBind)
	}
}

func overlap(a, b netip.Addr) bool { return a == b || a.IsUnspecified() || b.IsUnspecified() }

// tag names the advertised addresses for the catalog.
func (e *Endpoints) tag(n *Network) {
	e.Tagged = map[string]string{"lan": e.Advertise.String(), "wan": e.AdvertiseWAN.String()}
	family := func(addr netip.Addr) string {
		if addr.Is4() {
			return "ipv4"
		}
		return "ipv6"
	}
	e.Tagged["lan_"+family(e.Advertise)] = e.Advertise.String()
	e.Tagged["wan_"+family(e.AdvertiseWAN)] = e.AdvertiseWAN.String()
	for name, address := range map[string]string{
		"lan_ipv4": n.AdvertiseV4, "lan_ipv6": n.AdvertiseV6, "wan_ipv4": n.AdvertiseWANV4, "wan_ipv6": n.AdvertiseWANV6,
	} {
		if address != "" {
			e.Tagged[name] = address
		}
	}
	for name, address := range n.Tagged {
		e.Tagged[name] = address
	}
}
