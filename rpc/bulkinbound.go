package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"time"
)

// A bulkInbound is a connection whose transfer is answered here.
type bulkInbound struct {
	server *Server
	bulk   *bulk
	ctx    context.Context
	end    context.CancelFunc
	done   chan struct{} // closed when run has returned
}

func newBulkInbound(s *Server, conn net.Conn) *bulkInbound {
	c := &bulkInbound{server: s, bulk: newBulk(conn, newFrameReader(conn), s.config.Keepalive), done: make(chan struct{})}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// cancel hangs up, which also unblocks a handler that reads or writes.
func (c *bulkInbound) cancel() {
	c.end()
	c.bulk.conn.Close()
}

func (c *bulkInbound) finish() { <-c.done }

func (c *bulkInbound) run() {
	defer close(c.done)
	defer c.bulk.close()
	defer c.end()
	if err := c.serve(); err != nil && !errors.Is(err, io.EOF) {
		c.server.config.Log.Debug("a transfer has ended early", "from", c.bulk.conn.RemoteAddr(), "error", err)
	}
}

func (c *bulkInbound) serve() error {
	conn := c.bulk.conn
	if err := welcome(conn, c.bulk.frames, c.server.config.Handshake); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(c.server.config.Handshake)); err != nil {
		return err
	}
	h, args, failed := c.request()
	if failed != nil && !errors.As(failed, new(*Error)) {
		return failed
	}
	c.bulk.ping(c.cancel)
	body, fill := io.Pipe()
	received := make(chan error, 1)
	go func() { received <- c.receive(fill) }()
	if failed == nil {
		failed = c.handle(&h, args, body)
	}
	body.CloseWithError(errClosed) // what still comes is dropped
	if err := c.answer(failed); err != nil {
		conn.Close()
		<-received
		return err
	}
	// The caller hangs up when it has the answer. If this side did so first, what it has not read could cost the caller
	// the end of the answer.
	patience := time.AfterFunc(c.server.config.Handshake, func() { conn.Close() })
	defer patience.Stop()
	return <-received
}

// request reads the call.
func (c *bulkInbound) request() (h head, args []byte, err error) {
	f, err := c.bulk.frames.next()
	if err != nil {
		return h, nil, err
	}
	if f.kind != kindTransfer {
		return h, nil, errFrame
	}
	h, piece, err := parseHead(f.payload, new(names))
	for err == nil {
		if len(args)+len(piece) > c.server.config.MaxArgs {
			return h, nil, &Error{Limited, textArgs}
		}
		args = append(args, piece...)
		if !f.more {
			return h, args, nil
		}
		if f, err = c.bulk.frames.next(); err == nil && f.kind != kindArgs {
			err = errFrame
		}
		piece = f.payload
	}
	return h, nil, err
}

// receive passes the caller's pieces on to the handler, until the caller hangs up. An end that comes too early cancels
// the handler.
func (c *bulkInbound) receive(body *io.PipeWriter) error {
	complete := false
	for {
		f, err := c.bulk.next()
		switch {
		case err == nil && f.kind == kindItem && !complete:
			_, _ = body.Write(f.payload) // fails when the handler has returned
			continue
		case err == nil && f.kind == kindArgs: // of a call that was refused
			continue
		case err == nil && f.kind == kindEnd && !complete:
			complete = true
			body.Close()
			continue
		case err == nil:
			err = errFrame
		}
		body.CloseWithError(eof(err))
		c.cancel()
		return err
	}
}

func (c *bulkInbound) handle(h *head, args []byte, body io.Reader) (err error) {
	ctx := c.ctx
	if h.left > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.left)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			c.server.config.Log.Error("a transfer has failed with a panic", "method", h.method, "panic", p, "stack", string(debug.Stack()))
			err = &Error{Internal, "internal error"}
		}
	}()
	return c.server.config.Handler.Transfer(ctx, &Request{Header: h.Header, Method: h.method, Args: args}, body, c.bulk)
}

// answer tells how the transfer has ended.
func (c *bulkInbound) answer(err error) error {
	if err == nil {
		return c.bulk.send(kindEnd, false, nil)
	}
	f := faultOf(err)
	return c.bulk.send(kindError, false, f.append(nil))
}
