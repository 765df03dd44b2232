package gossip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Where packets travel over connections, whoever sends them dials, one connection for all of them, and begins with a byte
// that no message of memberlist's begins with. Each packet that has come is acknowledged, so that the sender finds out
// within seconds that a connection leads nowhere any more, and dials anew. Nothing is sent again: memberlist expects
// packets to get lost.
//
//	0     1          3
//	+-----+----------+----- ... -----+----------+----- ... -----+
//	| 'P' | length   | packet        | length   | packet        | ...       who dials
//	+-----+----------+----- ... -----+----------+----- ... -----+
//	+-----+-----+
//	| 'A' | 'A' | ...                                                     who accepts: one for each packet
//	+-----+-----+
const (
	packetStream = 'P'
	packetAck    = 'A'
	frameHead    = 2
	// maxFrame bounds one packet; memberlist makes none of more than 1400 bytes, and seals it.
	maxFrame = 8 << 10
	// maxQueued is how many packets wait for a connection; the oldest make room.
	maxQueued = 64
	// maxBatch bounds what is written at once, unless one packet is longer.
	maxBatch = 16 << 10
)

const (
	// maxCarriers bounds the connections that packets are sent on, maxUnknown those of them to addresses of no member.
	maxCarriers = 1024
	maxUnknown  = 16
	// maxCarried bounds the connections on which packets come, maxCarriedEach those from one address: several servers may
	// stand behind it.
	maxCarried     = 1024
	maxCarriedEach = 64

	// openTimeout bounds the opening of a connection, handshakes included.
	openTimeout = 5 * time.Second
	// ackTimeout is how long a packet that was written may go without acknowledgement, and how long a write may take.
	ackTimeout = 5 * time.Second
	// carrierIdle is how long a connection to a member is kept unused: longer than a round of probes in a WAN of 300 servers.
	// One that was not there yet would be taken for part of the time that a probe takes. Others are kept for unknownIdle.
	carrierIdle = 30 * time.Minute
	unknownIdle = 10 * time.Second

	redialMin = 250 * time.Millisecond
	redialMax = 4 * time.Second
)

var (
	errFrame  = errors.New("malformed frame of a gossip packet")
	errSilent = errors.New("packets are not acknowledged")
	errCrowd  = errors.New("too many connections that carry packets")
)

// carriers send packets over connections. None of their methods waits for the network.
type carriers struct {
	dial func(context.Context, way) (net.Conn, error)
	log  *slog.Logger
	ctx  context.Context // ends all carriers
	wg   *sync.WaitGroup // of the carriers' goroutines

	mu      sync.Mutex // guards what follows, and sending to queues
	all     map[way]*carrier
	unknown int // carriers to addresses of no member
}

// A carrier sends the packets that go one way, from a goroutine of its own.
type carrier struct {
	way   way
	queue chan []byte
}

func newCarriers(ctx context.Context, wg *sync.WaitGroup, dial func(context.Context, way) (net.Conn, error), log *slog.Logger) *carriers {
	return &carriers{dial: dial, log: log, ctx: ctx, wg: wg, all: map[way]*carrier{}}
}

// send queues a copy of a packet. Packets for which there is no room are lost, the oldest first.
func (c *carriers) send(w way, packet []byte) error {
	if len(packet) == 0 || len(packet) > maxFrame {
		return fmt.Errorf("%w: %d bytes, and %d are the most", errFrame, len(packet), maxFrame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.all[w]
	if k == nil {
		if k = c.add(w); k == nil {
			return nil
		}
	}
	p := append([]byte(nil), packet...)
	select {
	case k.queue <- p:
		return nil
	default:
	}
	select {
	case <-k.queue:
	default:
	}
	k.queue <- p // there is room, as only who holds mu sends
	return nil
}

// add begins a carrier if there is room for it. The caller holds mu.
func (c *carriers) add(w way) *carrier {
	if c.ctx.Err() != nil || len(c.all) >= maxCarriers || !w.member && c.unknown >= maxUnknown {
		return nil
	}
	k := &carrier{way: w, queue: make(chan []byte, maxQueued)}
	c.all[w] = k
	if !w.member {
		c.unknown++
	}
	c.wg.Add(1)
	go c.run(k)
	return k
}

// remove ends a carrier that has nothing to send. It reports false if there is something.
func (c *carriers) remove(k *carrier) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(k.queue) > 0 && c.ctx.Err() == nil {
		return false
	}
	delete(c.all, k.way)
	if !k.way.member {
		c.unknown--
	}
	return true
}

// run sends packets until there have been none for a while, or all ends.
func (c *carriers) run(k *carrier) {
	defer c.wg.Done()
	log := c.log.With("to", k.way.to.String(), "over", k.way.transport.String())
	level := slog.LevelWarn // of the first failure in a row
	for pause := redialMin; ; {
		packet, err := k.next(c.ctx, nil)
		if err != nil {
			if c.remove(k) {
				return
			}
			continue
		}
		conn, err := c.open(k.way)
		if err == nil {
			var served bool
			served, err = k.carry(c.ctx, conn, packet)
			if served {
				pause, level = redialMin, slog.LevelWarn
				log.Debug("a connection that carried gossip packets has ended", "reason", err)
				continue
			}
		}
		if c.ctx.Err() == nil {
			log.Log(c.ctx, level, "gossip packets are lost: no connection is of use", "error", err)
			level = slog.LevelDebug
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
		pause = min(2*pause, redialMax)
		k.drop()
	}
}

func (c *carriers) open(w way) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, openTimeout)
	defer cancel()
	return c.dial(ctx, w)
}

var errIdle = errors.New("nothing is to be sent")

// next waits for a packet, until the carrier has been idle for long enough, ctx ends, or failed delivers an error.
func (k *carrier) next(ctx context.Context, failed <-chan error) ([]byte, error) {
	select {
	case err := <-failed: // first, however many packets wait
		return nil, err
	default:
	}
	select {
	case p := <-k.queue:
		return p, nil
	default:
	}
	idle := carrierIdle
	if !k.way.member {
		idle = unknownIdle
	}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case p := <-k.queue:
		return p, nil
	case err := <-failed:
		return nil, err
	case <-timer.C:
		return nil, errIdle
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// drop forgets the packets that wait: they are late by now.
func (k *carrier) drop() {
	for {
		select {
		case <-k.queue:
		default:
			return
		}
	}
}

// carry sends packets on a connection until that fails or is of no use any more, and closes it. It tells whether any were
// acknowledged.
func (k *carrier) carry(ctx context.Context, conn net.Conn, packet []byte) (served bool, err error) {
	a := &acks{conn: conn, failed: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.failed <- a.read()
	}()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = k.feed(ctx, a, packet)
	conn.Close()
	<-ended
	return a.served, err
}

// feed writes packets until it cannot, or there are none.
func (k *carrier) feed(ctx context.Context, a *acks, packet []byte) error {
	batch := []byte{packetStream}
	for {
		n := 0
		for ; packet != nil; n++ {
			batch = appendFrame(batch, packet)
			packet = nil
			if len(batch) < maxBatch {
				select {
				case packet = <-k.queue:
				default:
				}
			}
		}
		if err := a.expect(n); err != nil {
			return err
		}
		if _, err := a.conn.Write(batch); err != nil {
			return err
		}
		var err error
		if packet, err = k.next(ctx, a.failed); err != nil {
			return err
		}
		batch = batch[:0]
	}
}

func appendFrame(b, packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(packet))), packet...)
}

// acks watches that what was sent on a connection is acknowledged in time.
type acks struct {
	conn   net.Conn
	failed chan error
	served bool       // some have come; belongs to read
	mu     sync.Mutex // guards owed, and the deadlines that depend on it
	owed   int        // packets that are not acknowledged
}

// expect notes that n packets are about to be written.
func (a *acks) expect(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := time.Now().Add(ackTimeout)
	if a.owed == 0 {
		if err := a.conn.SetReadDeadline(end); err != nil {
			return err
		}
	}
	a.owed += n
	return a.conn.SetWriteDeadline(end)
}

// read reads acknowledgements until the connection fails, or too few come.
func (a *acks) read() error {
	var buf [256]byte
	for {
		n, err := a.conn.Read(buf[:])
		if err != nil {
			return fmt.Errorf("%w: %w", errSilent, err)
		}
		if err := a.came(buf[:n]); err != nil {
			return err
		}
	}
}

func (a *acks) came(b []byte) error {
	for _, each := range b {
		if each != packetAck {
			return errFrame
		}
	}
	a.served = true
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owed -= len(b); a.owed < 0 {
		return errFrame
	}
	end := time.Time{}
	if a.owed > 0 {
		end = time.Now().Add(ackTimeout)
	}
	return a.conn.SetReadDeadline(end)
}

// collect takes packets from a connection until that ends or breaks the rules.
func (t *netTransport) collect(c *trackedConn) error {
	from := addrPortOf(c.RemoteAddr())
	if !t.carried.enter(from.Addr()) {
		return errCrowd
	}
	defer t.carried.leave(from.Addr())
	c.free() // its place is for connections that have not said what they want, and for short ones
	f := &frames{conn: c, in: bufio.NewReader(c)}
	for {
		b, err := f.next()
		if err != nil {
			return err
		}
		if !t.screen.packet(b) {
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: b, From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}:
		case <-t.ctx.Done():
			return net.ErrClosed
		}
	}
}

// frames reads packets from a connection and acknowledges them.
type frames struct {
	conn interface {
		io.Writer
		SetDeadline(time.Time) error
	}
	in   *bufio.Reader
	owed int // packets that have come and are not acknowledged
}

// maxOwed is after how many packets they are acknowledged even if more have come already.
const maxOwed = 64

// next returns the next packet. It acknowledges those before when nothing more has come so far.
func (f *frames) next() ([]byte, error) {
	if f.owed > 0 && (f.in.Buffered() == 0 || f.owed >= maxOwed) {
		if err := f.acknowledge(); err != nil {
			return nil, err
		}
	}
	if err := f.conn.SetDeadline(time.Now().Add(2 * carrierIdle)); err != nil { // the sender ends it before
		return nil, err
	}
	var head [frameHead]byte
	if _, err := io.ReadFull(f.in, head[:1]); err != nil {
		return nil, err
	}
	if err := f.conn.SetDeadline(time.Now().Add(streamTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f.in, head[1:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	if size == 0 || size > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f.in, b); err != nil {
		return nil, err
	}
	f.owed++
	return b, nil
}

func (f *frames) acknowledge() error {
	if err := f.conn.SetDeadline(time.Now().Add(ackTimeout)); err != nil {
		return err
	}
	var acks [maxOwed]byte
	for i := range f.owed {
		acks[i] = packetAck
	}
	_, err := f.conn.Write(acks[:f.owed])
	f.owed = 0
	return err
}

// arrivals counts the connections on which packets come.
type arrivals struct {
	mu   sync.Mutex // guards what follows
	all  int
	from map[netip.Addr]int
}

func (a *arrivals) enter(from netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= maxCarried || a.from[from] >= maxCarriedEach {
		return false
	}
	a.all++
	a.from[from]++
	return true
}

func (a *arrivals) leave(from netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if a.from[from]--; a.from[from] == 0 {
		delete(a.from, from)
	}
}
