package gossip

import (
	"context"
	"net"
	"net/netip"
)

// Network opens sockets: those of this host, or in tests those of a host in memory. Addresses to listen on may have port 0,
// for any free one.
type Network interface {
	Listen(addr netip.AddrPort) (net.Listener, error)
	ListenPacket(addr netip.AddrPort) (net.PacketConn, error)
	// Dial opens a stream to an IP address and port.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// udpBuffer is the receive buffer asked of the kernel; less is taken where it is refused.
const udpBuffer = 2 << 20

// Sockets is the Network of this host.
func Sockets() Network { return sockets{} }

// sockets is the Network of this host.
type sockets struct{}

// Listen listens for TCP on an IPv4 or an IPv6 address.
func (sockets) Listen(addr netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp"+family(addr), net.TCPAddrFromAddrPort(addr))
}

// ListenPacket listens for UDP on an IPv4 or an IPv6 address.
func (sockets) ListenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	udp, err := net.ListenUDP("udp"+family(addr), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	for size := udpBuffer; size > 0 && udp.SetReadBuffer(size) != nil; size /= 2 {
	}
	return udp, nil
}

// Dial connects over TCP.
func (sockets) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// family keeps 0.0.0.0 from taking IPv6 as well.
func family(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "4"
	}
	return ""
}

// addrPortOf returns the address of a socket; IPv4 in the form of IPv6 is IPv4.
func addrPortOf(a net.Addr) netip.AddrPort {
	withPort, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	at := withPort.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
