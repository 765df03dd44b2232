package gossip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Errors of the network in memory.
var (
	errRefused   = errors.New("connection refused")
	errTimeout   = errors.New("connection timed out")
	errTransport = errors.New("transport is shut down")
)

// MemNetwork is a network in memory for pools in tests. It has no sockets, so that pools on it run in fake time, and
// it drops what it cannot deliver, as a real one does. A host is an address and port.
type MemNetwork struct {
	// mu guards all below.
	mu    sync.Mutex
	hosts map[netip.AddrPort]*MemTransport
	cut   map[netip.AddrPort]bool
	loss  map[netip.AddrPort]float64
	group map[netip.AddrPort]int
}

// NewMemNetwork returns a network without hosts.
func NewMemNetwork() *MemNetwork {
	return &MemNetwork{
		hosts: map[netip.AddrPort]*MemTransport{}, cut: map[netip.AddrPort]bool{},
		loss: map[netip.AddrPort]float64{}, group: map[netip.AddrPort]int{},
	}
}

// Listen makes a host and returns its transport. An address is taken until its transport has been shut down.
func (n *MemNetwork) Listen(addr netip.AddrPort) (*MemTransport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, taken := n.hosts[addr]; taken {
		return nil, fmt.Errorf("address %s is in use", addr)
	}
	t := &MemTransport{
		net: n, addr: addr, conns: map[*memConn]struct{}{}, done: make(chan struct{}),
		packets: make(chan *memberlist.Packet, packetBacklog),
		streams: make(chan net.Conn, maxStreams),
	}
	n.hosts[addr] = t
	return t, nil
}

// Cut takes a host off the network, or with false puts it back. Its connections end.
func (n *MemNetwork) Cut(addr netip.AddrPort, cut bool) {
	n.mu.Lock()
	n.cut[addr] = cut
	n.mu.Unlock()
	n.breakConns()
}

// Split puts hosts into a group, 0 being that of all others. Hosts of two groups do not reach each other.
func (n *MemNetwork) Split(group int, addrs ...netip.AddrPort) {
	n.mu.Lock()
	for _, a := range addrs {
		n.group[a] = group
	}
	n.mu.Unlock()
	n.breakConns()
}

// Lose makes a host lose this share, 0 to 1, of the packets that it sends or is sent.
func (n *MemNetwork) Lose(addr netip.AddrPort, share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss[addr] = share
}

// reaches says whether a message of one host arrives at another. The caller holds mu.
func (n *MemNetwork) reaches(from, to netip.AddrPort) bool {
	return !n.cut[from] && !n.cut[to] && n.group[from] == n.group[to]
}

// breakConns closes the connections between hosts that do not reach each other any more.
func (n *MemNetwork) breakConns() {
	n.mu.Lock()
	var broken []*memConn
	for _, t := range n.hosts {
		for c := range t.conns {
			if !n.reaches(c.local, c.remote) {
				broken = append(broken, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

// MemTransport is the transport of one host of a MemNetwork.
type MemTransport struct {
	net     *MemNetwork
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{} // closed by Shutdown
	once    sync.Once
	conns   map[*memConn]struct{} // guarded by net.mu
}

// FinalAdvertiseAddr returns the host's address, whatever is configured.
func (t *MemTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
}

// PacketCh delivers inbound packets.
func (t *MemTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh delivers inbound connections.
func (t *MemTransport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo sends a packet, which may be lost: no error says so.
func (t *MemTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return now, err
	}
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	peer := t.net.hosts[to]
	lost := rand.Float64() < t.net.loss[t.addr] || rand.Float64() < t.net.loss[to]
	if peer == nil || lost || !t.net.reaches(t.addr, to) {
		return now, nil
	}
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(t.addr), Timestamp: now}
	select {
	case peer.packets <- packet:
	default: // the receiver's buffer is full
	}
	return now, nil
}

// DialTimeout opens a connection. A host that is away takes the whole timeout to fail, one that is down refuses.
func (t *MemTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	t.net.mu.Lock()
	peer, reached := t.net.hosts[to], t.net.reaches(t.addr, to)
	if peer != nil && reached && t.net.hosts[t.addr] == t {
		defer t.net.mu.Unlock()
		return t.connect(peer)
	}
	t.net.mu.Unlock()
	if reached {
		return nil, fmt.Errorf("dial %s: %w", addr, errRefused)
	}
	select {
	case <-time.After(timeout):
		return nil, fmt.Errorf("dial %s: %w", addr, errTimeout)
	case <-t.done:
		return nil, errTransport
	}
}

// connect joins two hosts. The caller holds mu.
func (t *MemTransport) connect(peer *MemTransport) (net.Conn, error) {
	a, b := net.Pipe()
	near := &memConn{Conn: a, owner: t, local: t.addr, remote: peer.addr}
	far := &memConn{Conn: b, owner: peer, local: peer.addr, remote: t.addr}
	select {
	case peer.streams <- far:
	default:
		return nil, fmt.Errorf("dial %s: %w", peer.addr, errRefused)
	}
	t.conns[near] = struct{}{}
	peer.conns[far] = struct{}{}
	return near, nil
}

// Shutdown takes the host down for good and ends its connections.
func (t *MemTransport) Shutdown() error {
	t.once.Do(func() {
		close(t.done)
		t.net.mu.Lock()
		delete(t.net.hosts, t.addr)
		conns := t.conns
		t.conns = map[*memConn]struct{}{}
		t.net.mu.Unlock()
		for c := range conns {
			c.Conn.Close()
		}
	})
	return nil
}

// memConn is one end of a connection.
type memConn struct {
	net.Conn
	owner         *MemTransport
	local, remote netip.AddrPort
}

// Close ends the connection.
func (c *memConn) Close() error {
	c.owner.net.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.net.mu.Unlock()
	return c.Conn.Close()
}

// LocalAddr returns this host's address.
func (c *memConn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the other host's address.
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
