package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// What callers are told whose calls are too much.
const (
	textArgs    = "the arguments of the call are too long"
	textPending = "the calls of this node have too long arguments altogether"
	textCalls   = "too many calls of this node at once"
)

// An inbound connection is one whose calls are answered here.
type inbound struct {
	server *Server
	conn   net.Conn
	peer   Peer
	link   *link
	names  names // used by the reader only

	mu       sync.Mutex // guards what follows
	calls    map[uint64]*call
	streams  int            // of the calls, those that are answered with many messages
	quiet    quiet          // of the caller
	pending  int            // bytes of arguments of the calls
	stopping bool           // no call begins any more
	running  sync.WaitGroup // handlers; none is added once stopping
}

func newInbound(s *Server, conn net.Conn) *inbound {
	c := &inbound{server: s, conn: conn, peer: peerOf(conn), calls: map[uint64]*call{}}
	c.link = newLink(conn, newFrameReader(conn), newOutbox(conn, s.buffers), s.config.Keepalive, c)
	return c
}

// run serves the connection until it has ended and all its handlers have returned.
func (c *inbound) run() {
	if err := welcome(c.conn, c.link.frames, c.server.config.Handshake); err != nil {
		c.link.fail(err)
		return
	}
	c.link.run()
	c.running.Wait()
}

// welcome exchanges hellos with who has dialled.
func welcome(conn net.Conn, frames *frameReader, patience time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	f, err := frames.next()
	if err != nil {
		return err
	}
	if _, err := conn.Write(hello()); err != nil { // also to who cannot be understood, so that it can tell
		return err
	}
	if err := checkHello(f); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

func (c *inbound) tick() (busy bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0, nil
}

func (c *inbound) broken(err error) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, errStopped) {
		c.server.config.Log.Debug("lost a connection of calls", "from", c.conn.RemoteAddr(), "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for id, k := range c.calls {
		c.abandon(id, k)
	}
}

// abandon ends a call that nobody waits for any more. The caller has locked mu.
func (c *inbound) abandon(id uint64, k *call) {
	k.abandoned = true
	k.cancel(context.Canceled)
	if !k.begun {
		c.remove(id, k)
	}
}

// remove forgets a call. The caller has locked mu.
func (c *inbound) remove(id uint64, k *call) {
	c.pending -= k.size
	delete(c.calls, id)
	if k.stream != nil {
		c.streams--
	}
}

func (c *inbound) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for id, k := range c.calls {
		k.stopped = true
		k.cancel(context.Canceled)
		if !k.begun {
			c.remove(id, k)
			c.refuse(id)
		}
	}
}

// refuse tells that a call was not begun. That it may fail is for the reader to notice.
func (c *inbound) refuse(id uint64) { _ = c.link.out.control(kindRefuse, id, nil) }

func (c *inbound) finish() {
	c.running.Wait()
	c.link.finish(errStopped)
}

// receive takes a frame from the caller. It runs on the reader's goroutine.
func (c *inbound) receive(f frame) error {
	switch f.kind {
	case kindCall, kindStream:
		return c.open(f)
	case kindArgs:
		return c.extend(f)
	case kindCancel:
		c.mu.Lock()
		k := c.calls[f.call]
		if k != nil {
			c.abandon(f.call, k)
		}
		c.mu.Unlock()
		c.link.out.drop(f.call)
		return nil
	case kindCredit:
		return c.credit(f)
	default:
		return errFrame
	}
}

// open takes the first frame of a call.
func (c *inbound) open(f frame) error {
	h, args, err := parseHead(f.payload, &c.names)
	if err != nil {
		return err
	}
	k := newCall(c, f.call, &h)
	if f.kind == kindStream {
		k.stream = &outflow{left: int64(h.window)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.calls[f.call] != nil:
		return errFrame
	case c.stopping:
		return c.link.out.control(kindRefuse, f.call, nil)
	case len(c.calls) >= c.server.config.MaxCalls:
		return c.reject(f.call, textCalls)
	}
	c.calls[f.call] = k
	if k.stream != nil {
		c.streams++
	} else {
		c.quiet.alone(len(c.calls) - c.streams)
	}
	return c.take(k, args, f.more)
}

// extend takes more arguments of a call.
func (c *inbound) extend(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[f.call]
	switch {
	case k == nil:
		return nil // refused, or canceled
	case k.begun:
		return errFrame
	}
	return c.take(k, f.payload, f.more)
}

// take adds to the arguments of a call and begins it when they are complete. The caller has locked mu.
func (c *inbound) take(k *call, args []byte, more bool) error {
	switch {
	case k.size+len(args) > c.server.config.MaxArgs:
		c.remove(k.id, k)
		return c.reject(k.id, textArgs)
	case c.pending+len(args) > c.server.config.MaxPending:
		c.remove(k.id, k)
		return c.reject(k.id, textPending)
	}
	k.size += len(args)
	c.pending += len(args)
	if more {
		k.parts.add(args)
		return nil
	}
	k.request.Args = k.parts.complete(args)
	k.begun = true
	c.running.Add(1)
	c.server.workers.serve(k)
	return nil
}

// reject answers a call that is not begun because it asks for too much.
func (c *inbound) reject(id uint64, text string) error {
	f := fault{code: Limited, text: text}
	return c.link.out.control(kindError, id, f.append(nil))
}

func (c *inbound) credit(f frame) error {
	if len(f.payload) != 4 {
		return errFrame
	}
	c.mu.Lock()
	k := c.calls[f.call]
	c.mu.Unlock()
	if k == nil {
		return nil // has ended
	}
	if k.stream == nil || !k.stream.grant(binary.BigEndian.Uint32(f.payload)) {
		return errFrame
	}
	return nil
}
