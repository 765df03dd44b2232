package fakenet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// packetBacklog is how many packets wait to be read; more are lost.
	packetBacklog = 1024
	// maxPacket is the size of the largest packet, that of UDP.
	maxPacket = 65507
)

// PacketConn takes and sends packets on a port.
type PacketConn struct {
	host *Host
	port uint16

	// The network's mu guards all below.
	ready    *sync.Cond
	queue    []packet
	closed   bool
	deadline deadline
}

type packet struct {
	data []byte
	from netip.AddrPort
}

// ReadFrom returns the next packet, or as much of it as b holds.
func (s *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	s.host.net.mu.Lock()
	defer s.host.net.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, nil, s.fault("read", net.ErrClosed)
		case s.deadline.passed():
			return 0, nil, s.fault("read", os.ErrDeadlineExceeded)
		case s.host.at.paused:
			s.host.at.resumed.Wait()
		case len(s.queue) > 0:
			p := s.queue[0]
			s.queue = s.queue[1:]
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		default:
			s.ready.Wait()
		}
	}
}

// WriteTo sends a packet to a *net.UDPAddr. It may be lost, which no error tells.
func (s *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, s.fault("write", net.InvalidAddrError("not an address of UDP"))
	}
	if len(b) > maxPacket {
		return 0, s.fault("write", os.NewSyscallError("sendto", syscall.EMSGSIZE))
	}
	n := s.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return 0, s.fault("write", net.ErrClosed)
	}
	target := netip.AddrPortFrom(to.AddrPort().Addr().Unmap(), to.AddrPort().Port())
	peer := s.host.peer(target)
	if peer == nil || s.host.at.paused {
		return len(b), nil
	}
	d, lost := n.travel(s.host.at, peer)
	if lost {
		return len(b), nil
	}
	p := packet{append([]byte(nil), b...), netip.AddrPortFrom(s.host.at.addr, s.port)}
	time.AfterFunc(d, func() { n.arrive(p, peer, target.Port()) })
	return len(b), nil
}

// arrive puts a packet before the process that listens at a port, if it still gets there.
func (n *Network) arrive(p packet, at *machine, port uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := n.machines[p.from.Addr()]
	if !n.reaches(from, at) || n.walls[pair(from, at)] || at.host == nil {
		return
	}
	s := at.host.sockets[port]
	if s == nil || len(s.queue) >= packetBacklog {
		return
	}
	s.queue = append(s.queue, p)
	s.ready.Signal()
}

func (s *PacketConn) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: s.LocalAddr(), Err: err}
}

// LocalAddr returns the host's address and the port.
func (s *PacketConn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.host.at.addr, s.port))
}

// Close ends the socket. Closing twice is an error.
func (s *PacketConn) Close() error {
	s.host.net.mu.Lock()
	defer s.host.net.mu.Unlock()
	if s.closed {
		return s.fault("close", net.ErrClosed)
	}
	s.close()
	return nil
}

// close is Close for a caller who holds mu.
func (s *PacketConn) close() {
	s.closed = true
	s.queue = nil
	s.deadline.set(time.Time{})
	delete(s.host.sockets, s.port)
	s.ready.Broadcast()
	s.host.at.resumed.Broadcast()
}

// SetDeadline sets the time at which reads end; writes do not wait.
func (s *PacketConn) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline does nothing, as writes do not wait.
func (s *PacketConn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline sets the time at which reads end.
func (s *PacketConn) SetReadDeadline(t time.Time) error {
	s.host.net.mu.Lock()
	defer s.host.net.mu.Unlock()
	if s.closed {
		return s.fault("set", net.ErrClosed)
	}
	s.deadline.set(t)
	return nil
}
