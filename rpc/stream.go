package rpc

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// A Stream is a call that is answered with many messages. What has come and not been asked for waits here; when that is
// as much as PoolConfig.Window, the sender waits as well. Who does not read a stream to its end has to close it.
type Stream struct {
	conn    *outbound
	id      uint64
	mark    mark
	stop    func() bool   // of what ends the stream with its context
	arrived chan struct{} // has room for one; told when there is something new

	mu       sync.Mutex // guards what follows
	queue    [][]byte
	parts    assembly // what has come of the next message
	within   bool     // something has
	left     int64    // the sender's credit
	consumed int64    // what has been asked for and not been credited
	err      error    // how the stream ends, after queue
	lost     error    // why the connection broke; err is made from it
}

// stream begins a stream, or returns errGone.
func (c *outbound) stream(ctx context.Context, h *head, args []byte) (*Stream, error) {
	if err := h.depart(ctx); err != nil {
		return nil, err
	}
	s := &Stream{conn: c, arrived: make(chan struct{}, 1), left: int64(h.window)}
	var err error
	if s.id, _, err = c.register(&waiting{stream: s}); err != nil {
		return nil, err
	}
	s.mark, err = c.link.out.request(kindStream, s.id, h, args, false, ctx.Done)
	if err != nil && ctx.Err() != nil {
		c.withdraw(s.id)
		return nil, ctx.Err()
	}
	s.stop = context.AfterFunc(ctx, func() { s.abandon(ctx.Err()) })
	return s, nil
}

// Next blocks for the next message, which belongs to the caller. After the last one it returns io.EOF if the stream is
// complete, the callee's error, a *ConnError if the connection has broken, or the error of the stream's context. When ctx
// ends first, its error is returned and the stream goes on. It is called by one goroutine at a time.
func (s *Stream) Next(ctx context.Context) ([]byte, error) {
	for {
		message, ok, err := s.pop()
		if err != nil {
			s.stop()
			return nil, err
		}
		if ok {
			return message, nil
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pop takes a message, if there is one, and gives credit for it.
func (s *Stream) pop() (message []byte, ok bool, err error) {
	s.mu.Lock()
	if len(s.queue) == 0 {
		defer s.mu.Unlock()
		if s.err == nil && s.lost != nil {
			s.err = &ConnError{Target: s.conn.peer.target, Sent: s.conn.link.out.sent(s.mark), Err: s.lost}
		}
		return nil, false, s.err
	}
	message, s.queue[0], s.queue = s.queue[0], nil, s.queue[1:]
	s.consumed += cost(message)
	var credit int64
	if s.consumed >= int64(s.conn.pool.config.Window)/2 && s.err == nil && s.lost == nil {
		credit, s.consumed = s.consumed, 0
		s.left += credit
	}
	s.mu.Unlock()
	if credit > 0 {
		if err := s.conn.link.out.control(kindCredit, s.id, binary.BigEndian.AppendUint32(nil, uint32(credit))); err != nil {
			s.conn.link.fail(err)
		}
	}
	return message, true, nil
}

// Close ends the stream and tells the other side. What has not been asked for is dropped.
func (s *Stream) Close() {
	s.stop()
	s.abandon(fmt.Errorf("the stream is closed: %w", net.ErrClosed))
}

// abandon ends the stream from this side. Whatever its end was to be, what has been dropped is not passed over.
func (s *Stream) abandon(err error) {
	s.mu.Lock()
	ended := s.err != nil || s.lost != nil
	if !ended || len(s.queue) > 0 {
		s.err = err
	}
	s.queue, s.parts = nil, assembly{}
	s.tell()
	s.mu.Unlock()
	if !ended {
		s.conn.withdraw(s.id)
	}
}

// end notes how the other side has ended the stream, unless this side has.
func (s *Stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.parts = assembly{}
	s.tell()
}

func (s *Stream) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.lost = err
	}
	s.tell()
}

func (s *Stream) tell() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// receive takes a frame of the stream. It runs on the reader's goroutine.
func (s *Stream) receive(f frame) error {
	switch f.kind {
	case kindItem:
		return s.item(f)
	case kindEnd:
		s.end(io.EOF)
		return nil
	case kindError, kindRefuse:
		err, broken := s.conn.failure(f)
		if broken == nil {
			s.end(err)
		}
		return broken
	default:
		return errFrame
	}
}

// item takes a message or a part of one.
func (s *Stream) item(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil
	}
	if !s.within && s.left <= 0 {
		return errFrame // sent without credit
	}
	if s.parts.length+len(f.payload) > s.conn.pool.config.MaxReply {
		s.err, s.parts = &Error{Limited, textReply}, assembly{}
		s.tell()
		s.conn.withdraw(s.id)
		return nil
	}
	if s.within = f.more; f.more {
		s.parts.add(f.payload)
		return nil
	}
	message := s.parts.complete(f.payload)
	s.left -= cost(message)
	s.queue = append(s.queue, message)
	s.tell()
	return nil
}
