package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

func (p *pair) stream(ctx context.Context, method string, args []byte) *rpc.Stream {
	p.Helper()
	s, err := p.pool.Stream(ctx, p.target, rpc.Header{Token: "t"}, method, args)
	if err != nil {
		p.Fatal(err)
	}
	return s
}

// endless sends messages of a length for as long as it is let, and counts them.
type endless struct {
	sent  int
	ended chan error
}

func (e *endless) handler() handler {
	return handler{
		answer: func(_ context.Context, r *rpc.Request) ([]byte, error) { return r.Args, nil },
		stream: func(ctx context.Context, r *rpc.Request, send func([]byte) error) error {
			message := make([]byte, binary.BigEndian.Uint32(r.Args))
			for {
				if err := send(message); err != nil {
					e.ended <- ctx.Err()
					return err
				}
				e.sent++
			}
		},
	}
}

// inEndless runs a test with an endless stream.
func inEndless(t *testing.T, s setup, test func(p *pair, e *endless)) {
	t.Helper()
	e := &endless{}
	inPair(t, e.handler(), s, func(p *pair) {
		e.ended = make(chan error, 10)
		test(p, e)
	})
}

func length(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func TestStream(t *testing.T) {
	lengths := []int{0, 1, 100, 65_524, 65_525, 300_000, 5_000_000, 0, 7}
	inPair(t, handler{stream: func(_ context.Context, r *rpc.Request, send func([]byte) error) error {
		if r.Token != "t" || len(r.Args) != 100_000 {
			return fmt.Errorf("token %q and %d bytes", r.Token, len(r.Args))
		}
		buffer := make([]byte, 5_000_000)
		for i, n := range lengths {
			for k := range buffer {
				buffer[k] = byte(i)
			}
			if err := send(buffer[:n]); err != nil {
				return err
			}
		}
		return nil
	}}, setup{}, func(p *pair) {
		s := p.stream(p.Context(), "Numbers", make([]byte, 100_000))
		for i, n := range lengths {
			message, err := s.Next(p.Context())
			if err != nil || !bytes.Equal(message, bytes.Repeat([]byte{byte(i)}, n)) {
				p.Fatalf("message %d: %d bytes, %v", i, len(message), err)
			}
		}
		for range 2 {
			if _, err := s.Next(p.Context()); !errors.Is(err, io.EOF) {
				p.Errorf("the end: %v", err)
			}
		}
		s.Close()
	})
}

// Who does not read holds back who sends, and nobody else.
func TestCredit(t *testing.T) {
	const window = 64 << 10
	inEndless(t, setup{pool: rpc.PoolConfig{Window: window}}, func(p *pair, e *endless) {
		for size, count := range map[int]int{0: 1000, 1000: 1000, 1 << 20: 30} {
			e.sent = 0
			s := p.stream(p.Context(), "Endless", length(uint32(size)))
			synctest.Wait()
			most := (window-1)/(size+64) + 1
			if e.sent != most {
				p.Errorf("%d messages of %d bytes without being asked for one, not %d", e.sent, size, most)
			}
			p.answers()
			for i := range count {
				if message, err := s.Next(p.Context()); err != nil || len(message) != size {
					p.Fatalf("message %d: %d bytes, %v", i, len(message), err)
				}
			}
			synctest.Wait()
			if e.sent < count || e.sent > count+most {
				p.Errorf("%d messages after being asked for %d", e.sent, count)
			}
			s.Close()
			<-e.ended
		}
	})
}

func TestStreamEnds(t *testing.T) {
	ends := []struct {
		name  string
		end   func(p *pair, s *rpc.Stream, cancel func())
		check func(err error) bool
	}{
		{"closed", func(_ *pair, s *rpc.Stream, _ func()) { s.Close() }, func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		{"canceled", func(_ *pair, _ *rpc.Stream, cancel func()) { cancel() }, func(err error) bool { return errors.Is(err, context.Canceled) }},
		{"cut", func(p *pair, _ *rpc.Stream, _ func()) { p.network.hangUp() }, isConnError},
		{"forgotten", func(p *pair, _ *rpc.Stream, _ func()) { p.pool.Forget(p.target) }, isConnError},
		{"stopped", func(p *pair, _ *rpc.Stream, _ func()) { p.pool.Stop() }, isConnError},
	}
	for _, c := range ends {
		t.Run(c.name, func(t *testing.T) {
			inEndless(t, setup{}, func(p *pair, e *endless) {
				ctx, cancel := context.WithCancel(p.Context())
				defer cancel()
				s := p.stream(ctx, "Endless", length(100_000))
				if _, err := s.Next(p.Context()); err != nil {
					p.Fatal(err)
				}
				synctest.Wait()
				c.end(p, s, cancel)
				if err := <-e.ended; !errors.Is(err, context.Canceled) {
					p.Errorf("the handler gets %v", err)
				}
				synctest.Wait()
				var err error
				for err == nil {
					_, err = s.Next(p.Context())
				}
				if !c.check(err) {
					p.Errorf("the caller gets %v", err)
				}
				s.Close()
			})
		})
	}
}

func isConnError(err error) bool {
	var conn *rpc.ConnError
	return errors.As(err, &conn) && conn.Sent
}

func TestStreamDeadline(t *testing.T) {
	inEndless(t, setup{}, func(p *pair, e *endless) {
		ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
		defer cancel()
		s := p.stream(ctx, "Endless", length(100_000))
		within(p, time.Minute, func() { <-e.ended })
		var err error
		for err == nil {
			_, err = s.Next(p.Context())
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			p.Error(err)
		}
	})
}

// The context of Next bounds the wait for one message and leaves the stream alone.
func TestNextGivesUp(t *testing.T) {
	var more chan struct{}
	inPair(t, handler{stream: func(_ context.Context, _ *rpc.Request, send func([]byte) error) error {
		<-more
		return send([]byte("x"))
	}}, setup{}, func(p *pair) {
		more = make(chan struct{})
		s := p.stream(p.Context(), "One", nil)
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			p.Error(err)
		}
		close(more)
		if message, err := s.Next(p.Context()); err != nil || string(message) != "x" {
			p.Errorf("%q, %v", message, err)
		}
		if _, err := s.Next(p.Context()); !errors.Is(err, io.EOF) {
			p.Error(err)
		}
	})
}

// What was dropped when the stream's context ended is not passed over, though its end had come.
func TestDroppedMessagesAreTold(t *testing.T) {
	inPair(t, handler{stream: func(_ context.Context, _ *rpc.Request, send func([]byte) error) error {
		return errors.Join(send([]byte("one")), send([]byte("two")))
	}}, setup{}, func(p *pair) {
		for _, read := range []int{0, 1, 2} {
			ctx, cancel := context.WithCancel(p.Context())
			s := p.stream(ctx, "Two", nil)
			for range read {
				if _, err := s.Next(p.Context()); err != nil {
					p.Error(err)
				}
			}
			synctest.Wait()
			cancel()
			synctest.Wait()
			_, err := s.Next(p.Context())
			if read < 2 && !errors.Is(err, context.Canceled) || read == 2 && !errors.Is(err, io.EOF) {
				p.Errorf("after %d messages: %v", read, err)
			}
		}
	})
}

func TestStreamTooLongMessage(t *testing.T) {
	inEndless(t, setup{pool: rpc.PoolConfig{MaxReply: 100_000}}, func(p *pair, e *endless) {
		s := p.stream(p.Context(), "Endless", length(100_001))
		if _, err := s.Next(p.Context()); rpc.CodeOf(err) != rpc.Limited {
			p.Error(err)
		}
		<-e.ended
	})
}

func TestServerStopsStreams(t *testing.T) {
	inEndless(t, setup{}, func(p *pair, e *endless) {
		s := p.stream(p.Context(), "Endless", length(1000))
		synctest.Wait()
		p.server.Stop()
		<-e.ended
		var err error
		for err == nil {
			_, err = s.Next(p.Context())
		}
		lost(p, err, true)
	})
}
