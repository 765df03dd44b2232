package config

import (
	"io/fs"
	"os/user"
	"strconv"
)

// Network is where this agent listens and what it tells others of its addresses. Addresses may be go-sockaddr
// templates such as {{ GetPrivateIP }}; after Load they are resolved.
type Network struct {
	Bind           string            `config:"bind_addr"`               // address of gossip and of servers' RPC
	Advertise      string            `config:"advertise_addr"`          // address that others of this datacenter are told; by default bind_addr or the host's private address
	AdvertiseV4    string            `config:"advertise_addr_ipv4"`     // IPv4 address that others of this datacenter are told
	AdvertiseV6    string            `config:"advertise_addr_ipv6"`     // IPv6 address that others of this datacenter are told
	AdvertiseWAN   string            `config:"advertise_addr_wan"`      // address that other datacenters are told; by default advertise_addr
	AdvertiseWANV4 string            `config:"advertise_addr_wan_ipv4"` // IPv4 address that other datacenters are told
	AdvertiseWANV6 string            `config:"advertise_addr_wan_ipv6"` // IPv6 address that other datacenters are told
	Client         string            `config:"client_addr"`             // addresses of HTTP, DNS and gRPC, separated by spaces
	SerfLAN        string            `config:"serf_lan"`                // address of LAN gossip; by default bind_addr
	SerfWAN        string            `config:"serf_wan"`                // address of WAN gossip; by default bind_addr
	Addresses      Addresses         `config:"addresses"`
	Ports          Ports             `config:"ports"`
	Tagged         map[string]string `config:"tagged_addresses"`                              // further addresses of this node in the catalog
	TranslateWAN   bool              `config:"translate_wan_addrs" debug:"TranslateWANAddrs"` // answer with WAN addresses where a node is of another datacenter
	Sockets        Sockets           `config:"unix_sockets"`
	Endpoints      Endpoints         `config:"-"` // what follows from the keys above
}

// Addresses override client_addr for one service of the agent each. Several are separated by spaces.
type Addresses struct {
	DNS     string `config:"dns"`      // addresses of DNS
	HTTP    string `config:"http"`     // addresses of HTTP, or unix:// and a path
	HTTPS   string `config:"https"`    // addresses of HTTPS, or unix:// and a path
	GRPC    string `config:"grpc"`     // addresses of gRPC, or unix:// and a path
	GRPCTLS string `config:"grpc_tls"` // addresses of gRPC over TLS, or unix:// and a path
}

// Ports are the agent's ports; -1 turns a listener off.
type Ports struct {
	DNS        int `config:"dns" debug:"DNSPort"`                            // port of DNS, TCP and UDP
	HTTP       int `config:"http" debug:"HTTPPort"`                          // port of HTTP
	HTTPS      int `config:"https" debug:"HTTPSPort"`                        // port of HTTPS
	SerfLAN    int `config:"serf_lan" debug:"SerfPortLAN"`                   // port of LAN gossip, TCP and UDP
	SerfWAN    int `config:"serf_wan" debug:"SerfPortWAN"`                   // port of WAN gossip, TCP and UDP
	Server     int `config:"server" debug:"ServerPort"`                      // port of RPC and Raft on servers
	GRPC       int `config:"grpc" debug:"GRPCPort"`                          // port of gRPC
	GRPCTLS    int `config:"grpc_tls" debug:"GRPCTLSPort"`                   // port of gRPC over TLS; by default 8503 on servers, off on clients
	ProxyMin   int `config:"proxy_min_port"`                                 // older name of a range that is not used any more
	ProxyMax   int `config:"proxy_max_port"`                                 // older name of a range that is not used any more
	SidecarMin int `config:"sidecar_min_port" debug:"ConnectSidecarMinPort"` // first port given to a sidecar proxy
	SidecarMax int `config:"sidecar_max_port" debug:"ConnectSidecarMaxPort"` // last port given to a sidecar proxy
	ExposeMin  int `config:"expose_min_port" debug:"ExposeMinPort"`          // first port given to an exposed check
	ExposeMax  int `config:"expose_max_port" debug:"ExposeMaxPort"`          // last port given to an exposed check
}

// Sockets are owner and mode of Unix sockets.
type Sockets struct {
	Group string `config:"group" debug:"UnixSocketGroup"` // group of sockets, by name or number
	Mode  string `config:"mode" debug:"UnixSocketMode"`   // mode of sockets, in octal
	User  string `config:"user" debug:"UnixSocketUser"`   // owner of sockets, by name or number

	Permissions fs.FileMode `config:"-"` // Mode, parsed; 0 leaves what the system gives
}

func defaultNetwork() Network {
	return Network{
		Bind: "0.0.0.0", Client: "127.0.0.1",
		Ports: Ports{
			DNS: 8600, HTTP: 8500, HTTPS: -1, SerfLAN: 8301, SerfWAN: 8302, Server: 8300, GRPC: -1, GRPCTLS: -1,
			ProxyMin: 20000, ProxyMax: 20255, SidecarMin: 21000, SidecarMax: 21255, ExposeMin: 21500, ExposeMax: 21755,
		},
	}
}

// complete derives ports that depend on the agent's kind, and checks ports and sockets.
func (n *Network) complete(r *report, server bool) {
	if server && !r.isSet("ports.grpc_tls") {
		n.Ports.GRPCTLS = 8503
	}
	n.Ports.check(r)
	n.Sockets.check(r)
}

func (p *Ports) check(r *report) {
	for _, port := range p.listeners() {
		if *port.number <= 0 {
			*port.number = -1
		}
	}
	ranges := []struct {
		name     string
		min, max int
	}{
		{"sidecar", p.SidecarMin, p.SidecarMax}, {"expose", p.ExposeMin, p.ExposeMax}, {"proxy", p.ProxyMin, p.ProxyMax},
	}
	for _, port := range p.listeners() {
		if *port.number > 65535 {
			r.refuse("ports."+port.name, "is %d, but must be 65535 or less", *port.number)
		}
	}
	for _, g := range ranges {
		if g.min > g.max || g.max > 65535 {
			r.refuse("ports."+g.name+"_min_port", "%d to %d is not a range of ports", g.min, g.max)
		}
	}
	for _, port := range p.listeners() {
		if *port.number == -1 && port.needed {
			r.refuse("ports."+port.name, "must be a port: an agent cannot work without it")
		}
	}
}

// A listenerPort is one of the ports, for what holds of all of them.
type listenerPort struct {
	name   string
	number *int
	needed bool
}

func (p *Ports) listeners() []listenerPort {
	return []listenerPort{
		{"dns", &p.DNS, false}, {"http", &p.HTTP, false}, {"https", &p.HTTPS, false}, {"grpc", &p.GRPC, false},
		{"grpc_tls", &p.GRPCTLS, false}, {"serf_lan", &p.SerfLAN, true}, {"serf_wan", &p.SerfWAN, false}, {"server", &p.Server, true},
	}
}

func (s *Sockets) check(r *report) {
	if s.Mode != "" {
		mode, err := strconv.ParseUint(s.Mode, 8, 32)
		if err != nil || mode > 0o777 {
			r.refuse("unix_sockets.mode", "is %q, but must be octal digits such as \"0660\"", s.Mode)
		}
		s.Permissions = fs.FileMode(mode)
	}
	if _, err := strconv.Atoi(s.User); s.User != "" && err != nil {
		if _, err := user.Lookup(s.User); err != nil {
			r.refuse("unix_sockets.user", "there is no user %q", s.User)
		}
	}
	if _, err := strconv.Atoi(s.Group); s.Group != "" && err != nil {
		if _, err := user.LookupGroup(s.Group); err != nil {
			r.refuse("unix_sockets.group", "there is no group %q", s.Group)
		}
	}
}
