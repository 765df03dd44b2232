package fakenet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// A host that does not answer is asked again after a second, then after twice as long each time.
	firstAsk = time.Second
	asks     = 7
)

// Dial opens a connection to an IP address and port. Names are not resolved.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	c, err := h.dial(ctx, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	wait := firstAsk
	for range asks {
		start := time.Now()
		if trip, ok := h.ask(to); ok {
			if err := h.sleep(ctx, trip); err != nil {
				return nil, err
			}
			c, err := h.connect(to)
			if c != nil || err != nil {
				return c, err
			}
		}
		if err := h.sleep(ctx, wait-time.Since(start)); err != nil {
			return nil, err
		}
		wait *= 2
	}
	return nil, os.NewSyscallError("connect", syscall.ETIMEDOUT)
}

// ask draws how long the other host's answer takes, and whether there will be one. A paused host has not asked yet.
func (h *Host) ask(to netip.AddrPort) (time.Duration, bool) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	peer := h.peer(to)
	if peer == nil || h.at.paused || !n.reaches(h.at, peer) {
		return 0, false
	}
	there, lost := n.travel(h.at, peer)
	back, lostToo := n.travel(peer, h.at)
	return there + back, !lost && !lostToo
}

// peer returns the machine of an address, nil if there is none. The caller holds mu.
func (h *Host) peer(to netip.AddrPort) *machine {
	if a := to.Addr(); a.IsLoopback() || a.IsUnspecified() {
		return h.at
	}
	return h.net.machines[to.Addr()]
}

// sleep waits, for less if the process ends or its context, which are errors.
func (h *Host) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-h.gone:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-h.gone:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect makes the connection, is refused, or returns nil if the other host does not answer after all.
func (h *Host) connect(to netip.AddrPort) (*Conn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	peer := h.peer(to)
	if h.dead {
		return nil, net.ErrClosed
	}
	if !n.reaches(h.at, peer) {
		return nil, nil
	}
	if peer.host == nil || peer.host.listeners[to.Port()] == nil {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	l := peer.host.listeners[to.Port()]
	if len(l.queue) >= backlog {
		return nil, nil
	}
	from := netip.AddrPortFrom(h.at.addr, ephemeral(h, h.listeners))
	near, far := newLink(h, peer.host, from, netip.AddrPortFrom(peer.addr, to.Port()))
	l.queue = append(l.queue, far)
	l.ready.Signal()
	return near, nil
}
