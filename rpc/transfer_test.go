package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

func (p *pair) transfer(ctx context.Context, method string, body io.Reader, reply io.Writer) error {
	p.Helper()
	return p.pool.Transfer(ctx, p.target, rpc.Header{Token: "t"}, method, []byte("args"), body, reply)
}

// copies is a handler that sends back what it gets.
func copies(_ context.Context, _ *rpc.Request, body io.Reader, reply io.Writer) error {
	_, err := io.Copy(reply, body)
	return err
}

func TestTransfer(t *testing.T) {
	inPair(t, handler{transfer: func(ctx context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
		if r.Token != "t" || r.Method != "Copy" || string(r.Args) != "args" {
			return fmt.Errorf("%+v", r)
		}
		return copies(ctx, r, body, reply)
	}}, setup{}, func(p *pair) {
		for _, n := range []int{0, 1, 65_524, 65_525, 10 << 20} {
			body := bytes.Repeat([]byte{byte(n)}, n)
			var reply bytes.Buffer
			if err := p.transfer(p.Context(), "Copy", bytes.NewReader(body), &reply); err != nil || !bytes.Equal(reply.Bytes(), body) {
				p.Errorf("%d bytes: %d came back, %v", n, reply.Len(), err)
			}
		}
		if err := p.transfer(p.Context(), "Copy", nil, nil); err != nil {
			p.Error(err)
		}
		if err := p.transfer(p.Context(), "Copy", strings.NewReader("dropped"), nil); err != nil {
			p.Error(err)
		}
		synctest.Wait()
		if n := p.network.open(); n != 0 {
			p.Errorf("%d connections are left", n)
		}
	})
}

func TestTransferWithLongArguments(t *testing.T) {
	inPair(t, handler{transfer: func(_ context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
		_, err := fmt.Fprint(reply, len(r.Args))
		return err
	}}, setup{server: rpc.ServerConfig{MaxArgs: 300_000}}, func(p *pair) {
		for n, right := range map[int]bool{65_524: true, 300_000: true, 300_001: false, 9 << 20: false} {
			var reply bytes.Buffer
			err := p.pool.Transfer(p.Context(), p.target, rpc.Header{}, "Length", make([]byte, n), nil, &reply)
			if right && (err != nil || reply.String() != fmt.Sprint(n)) || !right && rpc.CodeOf(err) != rpc.Limited {
				p.Errorf("%d bytes: %q, %v", n, &reply, err)
			}
		}
	})
}

// An answer may come before the body has been read, or all of it sent.
func TestTransferAnsweredEarly(t *testing.T) {
	inPair(t, handler{transfer: func(_ context.Context, r *rpc.Request, _ io.Reader, _ io.Writer) error {
		if r.Method == "Fail" {
			return &rpc.Error{Code: rpc.PermissionDenied, Text: "no"}
		}
		return nil
	}}, setup{}, func(p *pair) {
		if err := p.transfer(p.Context(), "Fail", io.MultiReader(bytes.NewReader(make([]byte, 10<<20)), zeros{}), nil); rpc.CodeOf(err) != rpc.PermissionDenied {
			p.Error(err)
		}
		if err := p.transfer(p.Context(), "Succeed", io.LimitReader(zeros{}, 50<<20), nil); err != nil {
			p.Error(err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A body that could not be read to its end does not look complete on the other side.
func TestBodyBreaksOff(t *testing.T) {
	var got chan error
	inPair(t, handler{transfer: func(ctx context.Context, _ *rpc.Request, body io.Reader, _ io.Writer) error {
		_, err := io.Copy(io.Discard, body)
		<-ctx.Done()
		got <- err
		return err
	}}, setup{}, func(p *pair) {
		got = make(chan error, 1)
		err := p.transfer(p.Context(), "Take", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrNoProgress)), nil)
		if !errors.Is(err, io.ErrNoProgress) {
			p.Errorf("the caller gets %v", err)
		}
		if err := <-got; !errors.Is(err, io.ErrUnexpectedEOF) {
			p.Errorf("the handler gets %v", err)
		}
	})
}

// failing is a writer that cannot write.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestReplyCannotBeWritten(t *testing.T) {
	inPair(t, handler{transfer: copies}, setup{}, func(p *pair) {
		if err := p.transfer(p.Context(), "Copy", zeros{}, failing{}); !errors.Is(err, io.ErrShortWrite) {
			p.Error(err)
		}
	})
}

// slow takes its time for each piece.
type slow struct{ pieces int }

func (s *slow) Write(b []byte) (int, error) {
	if s.pieces++; s.pieces <= 3 {
		time.Sleep(time.Hour)
	}
	return len(b), nil
}

// Slowness is no reason to give up, on neither side.
func TestSlowTransfers(t *testing.T) {
	inPair(t, handler{transfer: func(_ context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
		if r.Method == "Think" {
			time.Sleep(time.Hour)
		}
		var to io.Writer = reply
		if r.Method == "Take" {
			to = new(slow)
		}
		_, err := io.Copy(to, body)
		if r.Method == "Think" {
			time.Sleep(time.Hour)
		}
		return err
	}}, setup{}, func(p *pair) {
		for _, method := range []string{"Think", "Take", "Copy"} {
			if err := p.transfer(p.Context(), method, io.LimitReader(zeros{}, 1<<20), new(slow)); err != nil {
				p.Errorf("%s: %v", method, err)
			}
		}
	})
}

func TestTransferEnds(t *testing.T) {
	ends := []struct {
		name string
		end  func(p *pair, cancel func())
		most time.Duration
		is   error
	}{
		{"canceled", func(_ *pair, cancel func()) { cancel() }, 0, context.Canceled},
		{"hung up", func(p *pair, _ func()) { p.network.hangUp() }, 0, nil},
		{"cut", func(p *pair, _ func()) { p.network.cut() }, 10 * time.Second, nil},
		{"server stops", func(p *pair, _ func()) { p.server.Stop() }, 0, nil},
		{"pool stops", func(p *pair, _ func()) { p.pool.Stop() }, 0, nil},
	}
	wait := func(ctx context.Context, _ io.Reader, _ io.Writer) error { <-ctx.Done(); return ctx.Err() }
	handlers := []struct {
		name string
		body io.Reader
		do   func(ctx context.Context, body io.Reader, reply io.Writer) error
		late time.Duration // until the next ping
	}{
		{"waits", nil, wait, 0},
		{"waits and does not read", zeros{}, wait, 2 * time.Second},
		{"reads", zeros{}, func(_ context.Context, body io.Reader, _ io.Writer) error {
			_, err := io.Copy(io.Discard, body)
			return err
		}, 0},
		{"writes", nil, func(_ context.Context, _ io.Reader, reply io.Writer) error {
			_, err := io.Copy(reply, zeros{})
			return err
		}, 0},
	}
	for _, c := range ends {
		for _, h := range handlers {
			if c.name == "cut" && h.name == "waits and does not read" {
				continue // only the system knows that its pings are not acknowledged
			}
			t.Run(c.name+" while it "+h.name, func(t *testing.T) {
				var ended chan error
				inPair(t, handler{transfer: func(ctx context.Context, _ *rpc.Request, body io.Reader, reply io.Writer) error {
					err := h.do(ctx, body, reply)
					ended <- err
					return err
				}}, setup{rate: 1 << 20}, func(p *pair) {
					ended = make(chan error, 1)
					ctx, cancel := context.WithCancel(p.Context())
					defer cancel()
					time.AfterFunc(10*time.Second, func() { c.end(p, cancel) })
					within(p, 11*time.Second+c.most+h.late, func() { // the network needs part of a second
						err := p.transfer(ctx, h.name, h.body, io.Discard)
						if c.is != nil && !errors.Is(err, c.is) || c.is == nil && !isConnError(err) {
							p.Errorf("the caller gets %v", err)
						}
						if err := <-ended; err == nil {
							p.Error("the handler has not noticed")
						}
					})
				})
			})
		}
	}
}

func TestTransferDeadline(t *testing.T) {
	inPair(t, handler{transfer: func(ctx context.Context, _ *rpc.Request, _ io.Reader, _ io.Writer) error {
		<-ctx.Done()
		return ctx.Err()
	}}, setup{}, func(p *pair) {
		ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
		defer cancel()
		within(p, time.Minute, func() {
			if err := p.transfer(ctx, "Wait", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
				p.Error(err)
			}
		})
	})
}
