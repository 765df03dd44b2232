package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Transport is how the gossip of a pool travels.
type Transport int

// The transports, from the most open one to the closest. Between two members that differ the closer one holds.
const (
	OverUDP Transport = iota // packets over UDP, and streams over TCP, on the pool's port
	OverTCP                  // packets and streams over TCP on the pool's port; nothing listens on UDP
	OverTLS                  // packets and streams on the port of calls, in TLS (Config.Secure); the pool has no port of its own
)

// transports are the transports' names, as configurations and tags have them.
var transports = [...]string{"udp", "tcp", "tls"}

// Transports lists the names of the transports.
func Transports() []string { return transports[:] }

// String returns the transport's name.
func (t Transport) String() string { return transports[t] }

// ParseTransport finds a transport by its name. It takes what it does not know for UDP.
func ParseTransport(name string) Transport {
	for i, known := range transports {
		if name == known {
			return Transport(i)
		}
	}
	return OverUDP
}

// Secure is the way to and from members over TLS, on a port that gossip shares with other protocols.
type Secure struct {
	// Listener accepts connections that have proven to be those of servers. The pool closes it.
	Listener net.Listener
	// Dial opens a connection to a server of a datacenter, "" being any, at host:port, and makes sure that it is one.
	Dial func(ctx context.Context, datacenter, address string) (net.Conn, error)
}

// A way is how gossip reaches an address.
type way struct {
	transport  Transport
	to         netip.AddrPort // where to dial, or to send to
	datacenter string         // whose servers are there, "" if that is not known
	member     bool           // it is the address of a member
}

// route finds the way to an address. A name of a member that is not known yet tells its datacenter.
func (g *guard) route(addr netip.AddrPort, name string) way {
	if ways := g.ways.Load(); ways != nil {
		if w, ok := (*ways)[addr]; ok {
			return w
		}
	}
	w := way{transport: g.transport, to: addr}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		w.datacenter = name[i+1:]
	}
	return w
}

// learn keeps the ways to the members of a WAN up to date, those to failed ones too, which are still tried. The caller holds
// mu.
func (g *guard) learn(e Event) {
	if g.kind != WAN {
		return
	}
	name := e.Member.Name
	switch e.Type {
	case MemberJoin, MemberUpdate:
		g.members[name] = e.Member
	case MemberReap:
		delete(g.members, name)
	default:
		return
	}
	ways := make(map[netip.AddrPort]way, len(g.members))
	for _, m := range g.members {
		w := way{transport: max(g.transport, m.Meta.Transport), to: m.AddrPort(), datacenter: m.Meta.Datacenter, member: true}
		if w.transport == OverTLS && m.Meta.Ports.Server > 0 {
			w.to = netip.AddrPortFrom(m.AddrPort().Addr(), uint16(m.Meta.Ports.Server))
		}
		ways[m.AddrPort()] = w
	}
	g.ways.Store(&ways)
}

// dial opens a connection on a way.
func (t *netTransport) dial(ctx context.Context, w way) (net.Conn, error) {
	if w.transport != OverTLS {
		return t.net.Dial(ctx, w.to.String())
	}
	if t.secure == nil {
		return nil, fmt.Errorf("dial %s: it gossips over TLS, and this agent does not", w.to)
	}
	return t.secure.Dial(ctx, w.datacenter, w.to.String())
}
