package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// Transfer makes a call with a body and an answer of any length, on a connection of its own; both are streamed as they
// come. Body and reply may be nil. It returns nil only if the answer was complete. It never returns before a Read of body
// or a Write of reply that is under way, and uses neither afterwards.
func (p *Pool) Transfer(ctx context.Context, t Target, h Header, method string, args []byte, body io.Reader, reply io.Writer) error {
	head := head{Header: h, method: method}
	if err := head.prepare(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return &ConnError{Target: t, Err: errStopped}
	}
	p.running.Add(1)
	p.mu.Unlock()
	defer p.running.Done()

	merged, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	o := &bulkOutbound{pool: p, target: t, head: &head, args: args, body: body, reply: reply}
	err := o.run(merged)
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

// A bulkOutbound is a transfer that is made here.
type bulkOutbound struct {
	pool   *Pool
	target Target
	head   *head
	args   []byte
	body   io.Reader
	reply  io.Writer
	bulk   *bulk
}

func (o *bulkOutbound) run(ctx context.Context) error {
	conn, frames, err := o.dial(ctx)
	if err != nil {
		return &ConnError{Target: o.target, Err: err}
	}
	o.bulk = newBulk(conn, frames, o.pool.config.Keepalive)
	hangUp := func() { conn.Close() }
	defer context.AfterFunc(ctx, hangUp)()
	if err := o.head.depart(ctx); err != nil {
		o.bulk.close()
		return err
	}
	if err := o.bulk.open(o.head, o.args); err != nil {
		o.bulk.close()
		return &ConnError{Target: o.target, Sent: true, Err: err}
	}
	o.bulk.ping(hangUp)
	sent := make(chan error, 1)
	go func() { sent <- o.send() }()
	err = o.receive()
	o.bulk.close()
	if failed := <-sent; failed != nil && err != nil {
		return failed
	}
	return err
}

func (o *bulkOutbound) dial(ctx context.Context) (conn net.Conn, frames *frameReader, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.pool.config.DialTimeout)
	defer cancel()
	return o.pool.dial(ctx, o.target, ProtocolBulk)
}

// send sends the body. If that cannot be read to its end, it hangs up and returns why.
func (o *bulkOutbound) send() error {
	source := &source{from: o.body}
	if o.body != nil {
		if _, err := io.CopyBuffer(o.bulk, source, make([]byte, payloadMost)); source.err != nil {
			o.bulk.conn.Close()
			return fmt.Errorf("read what is to be sent: %w", source.err)
		} else if err != nil {
			return nil // the receiver finds out what has happened
		}
	}
	_ = o.bulk.send(kindEnd, false, nil)
	return nil
}

// A source notes why it could not be read.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// receive receives the answer.
func (o *bulkOutbound) receive() error {
	for {
		f, err := o.bulk.next()
		if err != nil {
			return &ConnError{Target: o.target, Sent: true, Err: eof(err)}
		}
		switch f.kind {
		case kindItem:
			if o.reply == nil {
				continue
			}
			if _, err := o.reply.Write(f.payload); err != nil {
				return fmt.Errorf("write what was received: %w", err)
			}
		case kindEnd:
			return nil
		case kindError:
			told, err := parseFault(f.payload)
			if err != nil {
				return &ConnError{Target: o.target, Sent: true, Err: err}
			}
			return told.error(o.pool.config.Sentinels)
		default:
			return &ConnError{Target: o.target, Sent: true, Err: errFrame}
		}
	}
}
