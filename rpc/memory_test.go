package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A network is a network in memory. Its connections buffer what is written, as sockets do, and can be cut without either
// side being told.
type network struct {
	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	conns     []*memoryConn
	dials     int
	rate      int // bytes a second of each direction of new connections; 0 means no limit
}

func newNetwork() *network { return &network{listeners: map[string]*listener{}} }

func (n *network) listen(address string) *listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{network: n, address: memoryAddr(address), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

// dial connects from the node "caller".
func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.dials++
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := newPipe(memoryAddr("caller:1"), l.address)
	here.rate, there.rate = n.rate, n.rate
	select {
	case l.conns <- there:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.conns = append(n.conns, here, there)
		return here, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut makes all connections lose what is written from now on.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.out.lose()
	}
}

// hangUp closes all connections.
func (n *network) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.Close()
	}
}

type memoryAddr string

func (a memoryAddr) Network() string { return "memory" }

func (a memoryAddr) String() string { return string(a) }

type listener struct {
	network *network
	address memoryAddr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if l.network.listeners[string(l.address)] == l {
			delete(l.network.listeners, string(l.address))
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }

// memoryBuffer is how much a connection takes that is not read.
const memoryBuffer = 256 << 10

// A memoryFlow is one direction of a connection.
type memoryFlow struct {
	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	bytes   []byte
	closed  bool // by who writes: what is there can be read
	reset   bool // by who reads: writing fails
	lost    bool // what is written stays in the buffer of who writes
	read    int  // bytes that have been read
}

func newFlow() *memoryFlow {
	f := &memoryFlow{}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *memoryFlow) set(flag *bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*flag = true
	f.changed.Broadcast()
}

func (f *memoryFlow) lose() { f.set(&f.lost) }

// A memoryConn is one end of a connection.
type memoryConn struct {
	in, out               *memoryFlow
	local, remote         memoryAddr
	readLimit, writeLimit *limit
	rate                  int // of reading
}

func newPipe(a, b memoryAddr) (here, there *memoryConn) {
	forth, back := newFlow(), newFlow()
	here = &memoryConn{in: back, out: forth, local: a, remote: b}
	there = &memoryConn{in: forth, out: back, local: b, remote: a}
	for _, c := range []*memoryConn{here, there} {
		c.readLimit, c.writeLimit = &limit{flow: c.in}, &limit{flow: c.out}
	}
	return here, there
}

func (c *memoryConn) Read(b []byte) (n int, err error) {
	if c.rate > 0 {
		defer func() { time.Sleep(time.Second * time.Duration(n) / time.Duration(c.rate)) }()
	}
	f := c.in
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.reset:
			return 0, net.ErrClosed
		case c.readLimit.passed:
			return 0, os.ErrDeadlineExceeded
		case len(f.bytes) > 0 && !f.lost:
			n = copy(b, f.bytes)
			f.bytes, f.read = f.bytes[n:], f.read+n
			f.changed.Broadcast()
			return n, nil
		case f.closed && !f.lost:
			return 0, io.EOF
		}
		f.changed.Wait()
	}
}

func (c *memoryConn) Write(b []byte) (n int, err error) {
	f := c.out
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.closed || f.reset && !f.lost:
			return n, net.ErrClosed
		case c.writeLimit.passed:
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if room := memoryBuffer - len(f.bytes); room > 0 {
			piece := b[:min(room, len(b))]
			f.bytes, b, n = append(f.bytes, piece...), b[len(piece):], n+len(piece)
			f.changed.Broadcast()
			continue
		}
		f.changed.Wait()
	}
}

func (c *memoryConn) Close() error {
	c.out.set(&c.out.closed)
	c.in.set(&c.in.reset)
	c.readLimit.set(time.Time{})
	c.writeLimit.set(time.Time{})
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr { return c.local }

func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.readLimit.set(t)
	c.writeLimit.set(t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.readLimit.set(t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.writeLimit.set(t)
	return nil
}

// A limit is a deadline. The mutex of its flow guards it.
type limit struct {
	flow   *memoryFlow
	timer  *time.Timer
	passed bool
}

func (l *limit) set(t time.Time) {
	l.flow.mu.Lock()
	defer l.flow.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	l.passed = false
	if t.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(t), func() {
		l.flow.mu.Lock()
		defer l.flow.mu.Unlock()
		if l.timer == timer {
			l.passed = true
			l.flow.changed.Broadcast()
		}
	})
	l.timer = timer
}

// written counts the bytes that have gone through the connections.
func (n *network) written() (sum int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.in.mu.Lock()
		sum += c.in.read
		c.in.mu.Unlock()
	}
	return sum
}

// open counts the connections that neither side has closed.
func (n *network) open() (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.in.mu.Lock()
		if !c.in.closed && !c.in.reset {
			count++
		}
		c.in.mu.Unlock()
	}
	return count / 2
}
