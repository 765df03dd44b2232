package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	sockaddr "github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"
)

const (
	// maxStreams bounds the inbound connections that are served at once; more are closed on arrival.
	maxStreams = 256
	// streamTimeout bounds the time in which a stranger has to say what he wants.
	streamTimeout = 10 * time.Second
	// packetBacklog is how many packets wait for memberlist; the kernel's buffer holds the rest.
	packetBacklog = 32
	// packetMax is the largest packet read, that of UDP.
	packetMax = 65536
	// bindAttempts is how often a free port is sought that TCP and UDP both have.
	bindAttempts = 10
	acceptPause  = 50 * time.Millisecond
)

var errStranger = errors.New("member of another cluster")

// netTransport is memberlist's transport over the sockets that Config.Transport wants. Unlike memberlist's own it bounds the
// connections, copies packets at their size, has what comes from the network screened before memberlist sees it, and on
// Shutdown ends its connections, dials in flight included, and waits for its goroutines.
type netTransport struct {
	bind      netip.AddrPort
	net       Network
	listeners []net.Listener
	udp       net.PacketConn // nil: no packets over UDP
	secure    *Secure        // nil: nothing over TLS
	screen    *screen
	guard     *guard
	carriers  *carriers
	carried   *arrivals // nil in a LAN, where packets come over UDP alone
	log       *slog.Logger

	packets chan *memberlist.Packet
	streams chan net.Conn
	slots   chan struct{}

	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu guards conns, the open connections of both directions, nil after Shutdown.
	mu    sync.Mutex
	conns map[*trackedConn]struct{}
}

// openTransport binds the pool's sockets.
func (p *Pool) openTransport() (*netTransport, error) {
	addr := netip.IPv4Unspecified()
	if p.cfg.BindAddr != "" {
		a, err := netip.ParseAddr(p.cfg.BindAddr)
		if err != nil {
			return nil, err
		}
		addr = a
	}
	t := &netTransport{
		net: p.cfg.Network, secure: p.cfg.Secure, guard: p.guard, log: p.log,
		screen:  newScreen(p.keys.ring != nil && !p.cfg.Encryption.AcceptPlaintext),
		packets: make(chan *memberlist.Packet, packetBacklog),
		streams: make(chan net.Conn),
		slots:   make(chan struct{}, maxStreams),
		conns:   map[*trackedConn]struct{}{},
	}
	if t.net == nil {
		t.net = sockets{}
	}
	if p.cfg.Kind == WAN {
		t.carried = &arrivals{from: map[netip.Addr]int{}}
	}
	if err := t.bindAll(p.cfg.Transport, netip.AddrPortFrom(addr, uint16(p.cfg.BindPort))); err != nil {
		return nil, err
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.carriers = newCarriers(t.ctx, &t.wg, t.dial, p.log)
	for _, l := range t.listeners {
		t.wg.Add(1)
		go t.accept(l)
	}
	if t.udp != nil {
		t.wg.Add(1)
		go t.receive()
	}
	return t, nil
}

// bindAll opens what the transport listens on.
func (t *netTransport) bindAll(transport Transport, bind netip.AddrPort) error {
	var tcp net.Listener
	var err error
	switch transport {
	case OverUDP:
		tcp, t.udp, err = bindBoth(t.net, bind)
	case OverTCP:
		tcp, err = t.net.Listen(bind)
	}
	if err != nil {
		return err
	}
	if tcp != nil {
		t.listeners = append(t.listeners, tcp)
	}
	if t.secure != nil {
		t.listeners = append(t.listeners, t.secure.Listener)
	}
	t.bind = addrPortOf(t.listeners[0].Addr())
	return nil
}

func bindBoth(network Network, bind netip.AddrPort) (net.Listener, net.PacketConn, error) {
	var failure error
	for range bindAttempts {
		tcp, err := network.Listen(bind)
		if err != nil {
			return nil, nil, err
		}
		udp, err := network.ListenPacket(netip.AddrPortFrom(bind.Addr(), addrPortOf(tcp.Addr()).Port()))
		if err == nil {
			return tcp, udp, nil
		}
		failure = errors.Join(err, tcp.Close())
		if bind.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, nil, failure
}

// FinalAdvertiseAddr returns the configured address, or else the bound one, or else a private one of this host.
func (t *netTransport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if port == 0 {
		port = int(t.bind.Port())
	}
	addr := t.bind.Addr()
	if ip == "" && addr.IsUnspecified() {
		private, err := sockaddr.GetPrivateIP()
		if err != nil {
			return nil, 0, fmt.Errorf("find a private address: %w", err)
		}
		if private == "" {
			return nil, 0, errors.New("no private address found to advertise: set one")
		}
		ip = private
	}
	if ip != "" {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, 0, fmt.Errorf("advertise address: %w", err)
		}
		addr = a
	}
	return addr.Unmap().AsSlice(), port, nil
}

// PacketCh delivers inbound packets.
func (t *netTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh delivers inbound connections.
func (t *netTransport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo sends one packet.
func (t *netTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends one packet, the way on which the member is reached.
func (t *netTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	if t.guard.strange(to) {
		return now, nil
	}
	if w := t.guard.route(to, a.Name); w.transport != OverUDP {
		return now, t.carriers.send(w, b)
	}
	_, err = t.udp.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return now, err
}

// DialTimeout opens a connection.
func (t *netTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a connection, the way on which the member is reached.
func (t *netTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return nil, err
	}
	if t.guard.strange(to) {
		return nil, fmt.Errorf("dial %s: %w", a.Addr, errStranger)
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	conn, err := t.dial(ctx, t.guard.route(to, a.Name))
	if err != nil {
		return nil, err
	}
	c, ok := t.track(conn, nil)
	if !ok {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return c, nil
}

// Shutdown closes the sockets and every connection, and returns when nothing runs any more.
func (t *netTransport) Shutdown() error {
	t.cancel()
	var err error
	for _, l := range t.listeners {
		err = errors.Join(err, ignoreClosed(l.Close()))
	}
	if t.udp != nil {
		err = errors.Join(err, ignoreClosed(t.udp.Close()))
	}
	t.mu.Lock()
	conns := t.conns
	t.conns = nil
	t.mu.Unlock()
	for c := range conns {
		err = errors.Join(err, ignoreClosed(c.Close()))
	}
	t.wg.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// receive reads packets until the socket is closed.
func (t *netTransport) receive() {
	defer t.wg.Done()
	buf := make([]byte, packetMax)
	for {
		n, from, err := t.udp.ReadFrom(buf)
		now := time.Now()
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.log.Warn("gossip packet not received", "error", err)
			t.pause()
			continue
		}
		if !t.screen.packet(buf[:n]) {
			continue
		}
		packet := &memberlist.Packet{
			Buf:       append([]byte(nil), buf[:n]...),
			From:      net.UDPAddrFromAddrPort(addrPortOf(from)),
			Timestamp: now,
		}
		select {
		case t.packets <- packet:
		case <-t.ctx.Done():
			return
		}
	}
}

// accept takes connections until the listener is closed.
func (t *netTransport) accept(l net.Listener) {
	defer t.wg.Done()
	for {
		conn, err := l.Accept()
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // out of file descriptors, most likely
			t.log.Warn("gossip connection not accepted", "error", err)
			t.pause()
			continue
		}
		t.admit(conn)
	}
}

func (t *netTransport) pause() {
	select {
	case <-time.After(acceptPause):
	case <-t.ctx.Done():
	}
}

// admit takes a connection if there is room.
func (t *netTransport) admit(conn net.Conn) {
	select {
	case t.slots <- struct{}{}:
	default:
		conn.Close()
		return
	}
	c, ok := t.track(conn, func() { <-t.slots })
	if !ok {
		conn.Close()
		return
	}
	t.wg.Add(1)
	go t.introduce(c)
}

// introduce screens a connection and hands it to memberlist, which closes it when done, or takes the packets on it.
func (t *netTransport) introduce(c *trackedConn) {
	defer t.wg.Done()
	carries, err := t.look(c)
	if err == nil && carries {
		err = t.collect(c)
	}
	if err != nil {
		t.log.Debug("gossip connection ended", "from", c.RemoteAddr().String(), "reason", err)
		c.Close()
		return
	}
	select {
	case t.streams <- c:
	case <-t.ctx.Done():
		c.Close()
	}
}

// look reads as much of a connection as it takes to know what it is for, and lets that be read again.
func (t *netTransport) look(c *trackedConn) (carries bool, err error) {
	if err := c.SetDeadline(time.Now().Add(streamTimeout)); err != nil {
		return false, err
	}
	if t.carried != nil {
		var first [1]byte
		if _, err := io.ReadFull(c.Conn, first[:]); err != nil {
			return false, err
		}
		if first[0] == packetStream {
			return true, nil
		}
		c.head = first[:]
	}
	seen, err := t.screen.stream(c)
	if seen != nil {
		c.head = seen
	}
	return false, err
}

// track makes a connection one that Shutdown closes. It reports false after Shutdown.
func (t *netTransport) track(conn net.Conn, release func()) (*trackedConn, bool) {
	c := &trackedConn{Conn: conn, owner: t, release: release}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		return nil, false
	}
	t.conns[c] = struct{}{}
	return c, true
}

// trackedConn is a connection that its transport knows. What the screen has read of it is read again first.
type trackedConn struct {
	net.Conn
	owner   *netTransport
	release func()
	once    sync.Once
	head    []byte
}

// Read returns what was screened, then what comes.
func (c *trackedConn) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// free gives up the connection's place.
func (c *trackedConn) free() {
	if c.release != nil {
		c.once.Do(c.release)
	}
}

// Close closes the connection and frees its place. It may be called more than once.
func (c *trackedConn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	c.free()
	return c.Conn.Close()
}
