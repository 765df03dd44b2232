package fakenet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

const (
	firstEphemeral = 32768
	// backlog is how many connections wait for Accept; to more, the host does not answer.
	backlog = 256
)

// Host is a process on a machine of the network. It is done with when it was killed.
type Host struct {
	net *Network
	at  *machine

	// The network's mu guards all below.
	dead      bool
	gone      chan struct{} // closed when dead
	listeners map[uint16]*Listener
	sockets   map[uint16]*PacketConn
	conns     map[*Conn]struct{}
}

func newHost(n *Network, m *machine) *Host {
	return &Host{
		net: n, at: m, gone: make(chan struct{}), listeners: map[uint16]*Listener{}, sockets: map[uint16]*PacketConn{},
		conns: map[*Conn]struct{}{},
	}
}

// Addr returns the host's IP address.
func (h *Host) Addr() netip.Addr { return h.at.addr }

// die closes all that the process has open. The caller holds mu.
func (h *Host) die(silently bool) {
	if h.dead {
		return
	}
	h.dead = true
	close(h.gone)
	for _, l := range h.listeners {
		l.close()
	}
	for _, s := range h.sockets {
		s.close()
	}
	for c := range h.conns {
		c.abort(silently)
	}
}

// Listen takes connections on a port. The address is the host's own, a loopback address (which stands for the host's
// own) or unspecified; port 0 takes a free one.
func (h *Host) Listen(addr netip.AddrPort) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port, err := bind(h, addr, h.listeners)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	l := &Listener{host: h, port: port, ready: sync.NewCond(&h.net.mu)}
	h.listeners[port] = l
	return l, nil
}

// ListenPacket takes packets on a port, as Listen does connections.
func (h *Host) ListenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	port, err := bind(h, addr, h.sockets)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: err}
	}
	s := &PacketConn{host: h, port: port, ready: sync.NewCond(&h.net.mu)}
	s.deadline.wake = s.ready
	h.sockets[port] = s
	return s, nil
}

// bind chooses a port for an address to listen on. The caller holds mu.
func bind[T any](h *Host, addr netip.AddrPort, taken map[uint16]T) (uint16, error) {
	a := addr.Addr().Unmap()
	if h.dead {
		return 0, net.ErrClosed
	}
	if a != h.at.addr && !a.IsUnspecified() && !a.IsLoopback() {
		return 0, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	port := addr.Port()
	if port == 0 {
		port = ephemeral(h, taken)
	}
	if _, ok := taken[port]; ok {
		return 0, os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	return port, nil
}

// ephemeral chooses a free port. The caller holds mu.
func ephemeral[T any](h *Host, taken map[uint16]T) uint16 {
	for {
		port := h.at.nextPort
		if h.at.nextPort++; h.at.nextPort == 0 {
			h.at.nextPort = firstEphemeral
		}
		if _, ok := taken[port]; !ok {
			return port
		}
	}
}

// Listener takes the connections to a port.
type Listener struct {
	host *Host
	port uint16

	// The network's mu guards all below.
	ready  *sync.Cond
	queue  []*Conn
	closed bool
}

// Accept returns the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for !l.closed {
		switch {
		case l.host.at.paused:
			l.host.at.resumed.Wait()
		case len(l.queue) == 0:
			l.ready.Wait()
		default:
			c := l.queue[0]
			l.queue = l.queue[1:]
			return c, nil
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

// Close ends the listener and resets the connections that were not accepted.
func (l *Listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	l.close()
	return nil
}

// close is Close for a caller who holds mu.
func (l *Listener) close() {
	l.closed = true
	delete(l.host.listeners, l.port)
	for _, c := range l.queue {
		c.abort(false)
	}
	l.queue = nil
	l.ready.Broadcast()
	l.host.at.resumed.Broadcast()
}

// Addr returns the host's address and the port.
func (l *Listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.host.at.addr, l.port))
}
