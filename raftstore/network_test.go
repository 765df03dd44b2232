package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A network carries streams between hosts, in memory. What is sent between hosts that are cut off from one another
// waits, as on a line that is down, and arrives when the cut is healed.
type network struct {
	slow atomic.Int64 // messages take up to so long, in nanoseconds, and keep their order; 0 is a millisecond for each

	mu        sync.Mutex // guards what follows
	cuts      map[[2]string]bool
	listeners map[string]*listener // by address
	conns     map[*conn]bool
	changed   chan struct{} // closed at the next change of the cuts
}

func newNetwork() *network {
	return &network{cuts: map[[2]string]bool{}, listeners: map[string]*listener{}, conns: map[*conn]bool{},
		changed: make(chan struct{})}
}

// latency is how long the next message takes.
func (n *network) latency() time.Duration {
	if slow := n.slow.Load(); slow > 0 {
		return time.Duration(rand.Int64N(slow))
	}
	return time.Millisecond
}

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// cut cuts hosts off from one another, or heals that.
func (n *network) cut(a, b string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pair(a, b)] = down
	close(n.changed)
	n.changed = make(chan struct{})
	for c := range n.conns {
		c.in.notify()
	}
}

// down tells whether hosts are cut off from one another, and what is closed when that may have changed.
func (n *network) down(a, b string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[pair(a, b)], n.changed
}

// passable blocks while hosts are cut off from one another, and for the time that a message takes.
func (n *network) passable(ctx context.Context, a, b string) error {
	arrived := time.After(n.latency())
	for {
		down, changed := n.down(a, b)
		if down {
			arrived = nil
		} else if arrived == nil {
			arrived = time.After(n.latency())
		}
		select {
		case <-arrived:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kill ends all that a host has, as the end of its process does.
func (n *network) kill(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for address, l := range n.listeners {
		if l.host == host {
			l.shut()
			delete(n.listeners, address)
		}
	}
	for c := range n.conns {
		if c.local == host {
			c.end()
			delete(n.conns, c)
		}
	}
}

func (n *network) listen(host, address string) *listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{host: host, address: address, conns: make(chan net.Conn, 64), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

func (n *network) dial(ctx context.Context, from, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	to := "nobody"
	if l != nil {
		to = l.host
	}
	if err := n.passable(ctx, from, to); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l = n.listeners[address]
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	there, back := newHalf(), newHalf()
	mine := &conn{net: n, local: from, remote: l.host, in: back, out: there}
	theirs := &conn{net: n, local: l.host, remote: from, in: there, out: back}
	n.conns[mine], n.conns[theirs] = true, true
	l.conns <- theirs
	return mine, nil
}

type listener struct {
	host, address string
	conns         chan net.Conn
	closed        chan struct{}
	once          sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) shut()          { l.once.Do(func() { close(l.closed) }) }
func (l *listener) Close() error   { l.shut(); return nil }
func (l *listener) Addr() net.Addr { return address(l.address) }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// A half is what is on its way from one end of a connection to the other.
type half struct {
	mu     sync.Mutex // guards what follows
	chunks []chunk
	ended  bool // by who writes
	broken bool // by who reads
	wake   chan struct{}
}

type chunk struct {
	at   time.Time // when it arrives
	data []byte
}

func newHalf() *half { return &half{wake: make(chan struct{})} }

func (h *half) notify() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.wake)
	h.wake = make(chan struct{})
}

func (h *half) change(do func()) {
	h.mu.Lock()
	do()
	h.mu.Unlock()
	h.notify()
}

// A conn is one end of a connection.
type conn struct {
	net           *network
	local, remote string
	in, out       *half

	mu       sync.Mutex // guards deadline
	deadline time.Time  // of reading
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		deadline := c.deadline
		c.mu.Unlock()
		down, _ := c.net.down(c.local, c.remote)
		n, wake, next, err := c.take(p, down)
		if n > 0 || err != nil {
			return n, err
		}
		if !deadline.IsZero() {
			if !time.Now().Before(deadline) {
				return 0, os.ErrDeadlineExceeded
			}
			if next.IsZero() || deadline.Before(next) {
				next = deadline
			}
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-wake:
		case <-timer:
		}
	}
}

// take takes what has arrived; else it tells when to look again.
func (c *conn) take(p []byte, down bool) (n int, wake <-chan struct{}, next time.Time, err error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.broken:
		return 0, nil, next, net.ErrClosed
	case down:
	case len(h.chunks) == 0 && h.ended:
		return 0, nil, next, io.EOF
	case len(h.chunks) > 0 && !h.chunks[0].at.After(time.Now()):
		first := &h.chunks[0]
		n = copy(p, first.data)
		if first.data = first.data[n:]; len(first.data) == 0 {
			h.chunks = h.chunks[1:]
		}
	case len(h.chunks) > 0:
		next = h.chunks[0].at
	}
	return n, h.wake, next, nil
}

func (c *conn) Write(p []byte) (int, error) {
	var err error
	c.out.change(func() {
		switch {
		case c.out.ended:
			err = net.ErrClosed
		case c.out.broken:
			err = syscall.EPIPE
		default:
			at := time.Now().Add(c.net.latency())
			if last := len(c.out.chunks) - 1; last >= 0 && c.out.chunks[last].at.After(at) {
				at = c.out.chunks[last].at
			}
			c.out.chunks = append(c.out.chunks, chunk{at, append([]byte(nil), p...)})
		}
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// end closes the connection without the network's knowledge.
func (c *conn) end() {
	c.out.change(func() { c.out.ended = true })
	c.in.change(func() { c.in.broken = true })
}

func (c *conn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	c.end()
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	c.in.notify()
	return nil
}

func (c *conn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return nil }
func (c *conn) LocalAddr() net.Addr                { return address(c.local) }
func (c *conn) RemoteAddr() net.Addr               { return address(c.remote) }

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		l := n.listen("b", "b:1")
		if _, err := n.dial(t.Context(), "a", "c:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		a, err := n.dial(t.Context(), "a", "b:1")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := l.Accept()
		n.cut("a", "b", true)
		io.WriteString(a, "hello")
		time.AfterFunc(time.Second, func() { n.cut("b", "a", false) })
		begin := time.Now()
		p := make([]byte, 10)
		if k, err := b.Read(p); string(p[:k]) != "hello" || err != nil || time.Since(begin) < time.Second {
			t.Errorf("%q, %v after %s", p[:k], err, time.Since(begin))
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		n.kill("a")
		if _, err := b.Read(p); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if _, err := io.WriteString(b, "x"); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	})
}
