package gossip

import (
	"context"
	"errors"
	"fmt"
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

// netTransport is memberlist's transport over one TCP and one UDP socket. Unlike memberlist's own it bounds the
// connections, copies packets at their size, has what comes from the network screened before memberlist sees it, and on
// Shutdown ends its connections, dials in flight included, and waits for its goroutines.
type netTransport struct {
	bind   netip.AddrPort
	net    Network
	tcp    net.Listener
	udp    net.PacketConn
	screen *screen
	// strange says to which addresses nothing is sent.
	strange func(netip.AddrPort) bool
	log     *slog.Logger

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
	network := p.cfg.Network
	if network == nil {
		network = sockets{}
	}
	scr := newScreen(p.keys.ring != nil && !p.cfg.Encryption.AcceptPlaintext)
	t, err := listen(network, netip.AddrPortFrom(addr, uint16(p.cfg.BindPort)), scr, p.log)
	if err != nil {
		return nil, err
	}
	t.strange = p.guard.strange
	return t, nil
}

// listen binds TCP and UDP to one port and starts reading.
func listen(network Network, bind netip.AddrPort, scr *screen, log *slog.Logger) (*netTransport, error) {
	tcp, udp, err := bindBoth(network, bind)
	if err != nil {
		return nil, err
	}
	t := &netTransport{
		bind: addrPortOf(tcp.Addr()), net: network, tcp: tcp, udp: udp, screen: scr, log: log,
		packets: make(chan *memberlist.Packet, packetBacklog),
		streams: make(chan net.Conn),
		slots:   make(chan struct{}, maxStreams),
		conns:   map[*trackedConn]struct{}{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Add(2)
	go t.accept()
	go t.receive()
	return t, nil
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
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	if t.strange(to) {
		return time.Now(), nil
	}
	_, err = t.udp.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// WriteToAddress sends one packet; the name in the address plays no part.
func (t *netTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// DialTimeout opens a connection.
func (t *netTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if to, err := netip.ParseAddrPort(addr); err == nil && t.strange(to) {
		return nil, fmt.Errorf("dial %s: %w", addr, errStranger)
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	conn, err := t.net.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c, ok := t.track(conn, nil)
	if !ok {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return c, nil
}

// DialAddressTimeout opens a connection; the name in the address plays no part.
func (t *netTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown closes the sockets and every connection, and returns when nothing runs any more.
func (t *netTransport) Shutdown() error {
	t.cancel()
	err := errors.Join(ignoreClosed(t.tcp.Close()), ignoreClosed(t.udp.Close()))
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
func (t *netTransport) accept() {
	defer t.wg.Done()
	for {
		conn, err := t.tcp.Accept()
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

// introduce screens a connection and hands it to memberlist, which closes it when done.
func (t *netTransport) introduce(c *trackedConn) {
	defer t.wg.Done()
	err := c.SetDeadline(time.Now().Add(streamTimeout))
	if err == nil {
		c.head, err = t.screen.stream(c.Conn)
	}
	if err != nil {
		t.log.Debug("gossip connection refused", "from", c.RemoteAddr().String(), "error", err)
		c.Close()
		return
	}
	select {
	case t.streams <- c:
	case <-t.ctx.Done():
		c.Close()
	}
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

// Close closes the connection and frees its place. It may be called more than once.
func (c *trackedConn) Close() error {
	c.once.Do(func() {
		c.owner.mu.Lock()
		delete(c.owner.conns, c)
		c.owner.mu.Unlock()
		if c.release != nil {
			c.release()
		}
	})
	return c.Conn.Close()
}
