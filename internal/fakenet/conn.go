package fakenet

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// link is a connection with both of its ends.
type link struct{ near, far *Conn }

// Conn is one end of a connection.
type Conn struct {
	link          *link
	host          *Host
	local, remote netip.AddrPort
	in, out       *stream

	// The network's mu guards all below.
	closed      bool
	failed      error // why the connection broke
	read, write deadline
}

// newLink makes a connection. The caller holds mu.
func newLink(a, b *Host, from, to netip.AddrPort) (near, far *Conn) {
	near = &Conn{host: a, local: from, remote: to}
	far = &Conn{host: b, local: to, remote: from}
	there, back := newStream(a.net, near, far), newStream(a.net, far, near)
	near.in, near.out, far.in, far.out = back, there, there, back
	l := &link{near, far}
	for _, c := range []*Conn{near, far} {
		c.link = l
		c.read.wake, c.write.wake = c.in.readable, c.out.writable
		c.host.conns[c] = struct{}{}
	}
	a.net.links[l] = struct{}{}
	return near, far
}

// Read reads what has come, and waits for some to come.
func (c *Conn) Read(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fault("read", net.ErrClosed)
		case c.read.passed():
			return 0, c.fault("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case c.in.inbox.Len() > 0:
			n, err := c.in.inbox.Read(b)
			c.in.held -= n
			c.in.writable.Broadcast()
			return n, err
		case c.failed != nil:
			return 0, c.fault("read", c.failed)
		case c.in.end != nil:
			return 0, io.EOF
		}
		c.in.readable.Wait()
	}
}

// Write sends, and waits while much is under way or unread.
func (c *Conn) Write(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	sent := 0
	for {
		switch {
		case c.closed:
			return sent, c.fault("write", net.ErrClosed)
		case c.failed != nil:
			return sent, c.fault("write", c.failed)
		case c.write.passed():
			return sent, c.fault("write", os.ErrDeadlineExceeded)
		case sent == len(b):
			return sent, nil
		}
		if room := min(window-c.out.held, len(b)-sent); room > 0 {
			c.out.send(segment{data: append([]byte(nil), b[sent:sent+room]...)})
			sent += room
			continue
		}
		c.out.writable.Wait()
	}
}

func (c *Conn) fault(op string, err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close ends the connection; what was written still arrives. Closing twice is an error.
func (c *Conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.fault("close", net.ErrClosed)
	}
	c.closed = true
	if c.failed == nil {
		c.out.send(segment{end: io.EOF})
	}
	c.finish()
	return nil
}

// abort ends the connection of a process that has died: the other end is reset, or hears nothing. The caller holds mu.
func (c *Conn) abort(silently bool) {
	if c.closed {
		return
	}
	c.closed = true
	if c.failed == nil && !silently {
		c.out.drop()
		c.out.send(segment{end: syscall.ECONNRESET})
	}
	c.finish()
}

// fail breaks the connection at this end. The caller holds mu.
func (c *Conn) fail(why error) {
	if c.failed == nil {
		c.failed = why
	}
	c.out.drop()
	c.finish()
}

// finish wakes who waits at an end that has closed or failed, and forgets the link when both have. The caller holds mu.
func (c *Conn) finish() {
	c.in.readable.Broadcast()
	c.out.writable.Broadcast()
	if c.closed {
		c.read.set(time.Time{})
		c.write.set(time.Time{})
		delete(c.host.conns, c)
	}
	for _, end := range []*Conn{c.link.near, c.link.far} {
		if !end.closed && end.failed == nil {
			return
		}
	}
	delete(c.host.net.links, c.link)
	c.in.drop()
	c.out.drop()
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets the times at which reads and writes end.
func (c *Conn) SetDeadline(t time.Time) error { return c.limit(t, &c.read, &c.write) }

// SetReadDeadline sets the time at which reads end.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.limit(t, &c.read) }

// SetWriteDeadline sets the time at which writes end.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.limit(t, &c.write) }

func (c *Conn) limit(t time.Time, deadlines ...*deadline) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.fault("set", net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(t)
	}
	return nil
}

// deadline is when to stop waiting. The network's mu guards it.
type deadline struct {
	at    time.Time
	timer *time.Timer
	wake  *sync.Cond
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time) {
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, d.wake.Broadcast)
	}
	d.wake.Broadcast()
}
