package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

func TestAnswers(t *testing.T) {
	var got rpc.Request
	inPair(t, handler{answer: func(_ context.Context, r *rpc.Request) ([]byte, error) {
		got = *r
		got.Args = bytes.Clone(r.Args)
		return []byte("answer"), nil
	}}, setup{}, func(p *pair) {
		header := rpc.Header{Token: strings.Repeat("t", 700), Datacenter: "dc2"}
		reply, err := p.pool.Call(p.Context(), p.target, header, "KV.Get", []byte("arguments"))
		if err != nil || string(reply) != "answer" {
			p.Errorf("%q, %v", reply, err)
		}
		if got.Header != header || got.Method != "KV.Get" || string(got.Args) != "arguments" {
			p.Errorf("the handler got %+v", got)
		}
	})
}

// Arguments and answers arrive whole, whatever their length.
func TestLengths(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		for _, n := range []int{0, 1, 60_000, 65_400, 65_523, 65_524, 65_525, 65_536, 131_048, 131_049, 1 << 20, 9 << 20} {
			args := make([]byte, n)
			for i := range args {
				args[i] = byte(i * 31 / 7)
			}
			reply, err := p.call(p.Context(), "Echo", args)
			if err != nil || !bytes.Equal(reply, args) {
				p.Errorf("%d bytes: %d came back, %v", n, len(reply), err)
			}
		}
	})
}

func TestCallsAtOnce(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		var running sync.WaitGroup
		for i := range 2000 {
			running.Go(func() {
				text := bytes.Repeat([]byte(fmt.Sprint(i, " ")), i)
				if reply, err := p.call(p.Context(), "Echo", text); err != nil || !bytes.Equal(reply, text) {
					p.Errorf("call %d: %d bytes of %d, %v", i, len(reply), len(text), err)
				}
			})
		}
		running.Wait()
		if p.network.dials != 1 {
			p.Errorf("%d connections", p.network.dials)
		}
	})
}

// same tells whether an error is this very value, not one that wraps it.
func same(err, value error) bool { return any(err) == any(value) }

type coded struct{ code, text string }

func (e *coded) Error() string { return e.text }

func (e *coded) ErrorCode() string { return e.code }

func TestErrorsTravel(t *testing.T) {
	sentinel := &coded{"no_leader", "No cluster leader"}
	cases := []struct {
		name   string
		thrown error
		same   error // what errors.Is finds
		code   rpc.Code
		text   string
	}{
		{"with a code", &rpc.Error{Code: rpc.NotFound, Text: "no such thing"}, nil, rpc.NotFound, "no such thing"},
		{"wrapped", fmt.Errorf("find: %w", &rpc.Error{Code: rpc.NotFound, Text: "nothing"}), nil, rpc.NotFound, "find: nothing"},
		{"without a code", errors.New("broken"), nil, rpc.Internal, "broken"},
		{"a sentinel", &coded{"no_leader", "No cluster leader"}, sentinel, rpc.NoLeader, "No cluster leader"},
		{"a wrapped sentinel", fmt.Errorf("write: %w", sentinel), sentinel, rpc.NoLeader, "write: No cluster leader"},
		{"the text of a sentinel", errors.New("No cluster leader"), nil, rpc.Internal, "No cluster leader"},
		{"the code of a sentinel", &coded{"no_leader", "Other"}, nil, rpc.NoLeader, "Other"},
		{"of this package", rpc.ErrNoDatacenter, rpc.ErrNoDatacenter, rpc.NoDatacenter, "No path to datacenter"},
		{"of a context", fmt.Errorf("wait: %w", context.Canceled), context.Canceled, rpc.Internal, "context canceled"},
		{"of a deadline", context.DeadlineExceeded, context.DeadlineExceeded, rpc.Internal, "context deadline exceeded"},
		{"endless", errors.New(strings.Repeat("ä", 1<<20)), nil, rpc.Internal, strings.Repeat("ä", 16<<10)},
		{"endless within", fmt.Errorf("%w, yes", &coded{"x", strings.Repeat("ä", 1<<20)}), nil, "x", strings.Repeat("ä", 16<<10)},
		{"with an endless code", &coded{strings.Repeat("x", 300), "odd"}, nil, rpc.Internal, "odd"},
		{"empty", &coded{"", ""}, nil, rpc.Internal, ""},
	}
	var thrown error
	fail := handler{
		answer: func(context.Context, *rpc.Request) ([]byte, error) { return []byte("unused"), thrown },
		stream: func(context.Context, *rpc.Request, func([]byte) error) error { return thrown },
		transfer: func(context.Context, *rpc.Request, io.Reader, io.Writer) error {
			return thrown
		},
	}
	inPair(t, fail, setup{pool: rpc.PoolConfig{Sentinels: []error{sentinel, rpc.ErrNoDatacenter}}}, func(p *pair) {
		for _, c := range cases {
			thrown = c.thrown
			_, called := p.call(p.Context(), "Fail", nil)
			stream, err := p.pool.Stream(p.Context(), p.target, rpc.Header{}, "Fail", nil)
			if err != nil {
				p.Fatal(err)
			}
			_, streamed := stream.Next(p.Context())
			transferred := p.pool.Transfer(p.Context(), p.target, rpc.Header{}, "Fail", nil, nil, nil)
			for _, err := range []error{called, streamed, transferred} {
				if err == nil || err.Error() != c.text || rpc.CodeOf(err) != c.code || c.same != nil && !errors.Is(err, c.same) {
					p.Errorf("%s: %#v", c.name, err)
				}
			}
			if c.name == "a sentinel" && !same(called, sentinel) {
				p.Errorf("%s is %#v", c.name, called)
			}
		}
	})
}

func TestPanicIsAnswered(t *testing.T) {
	fail := func() error { panic("oh") }
	inPair(t, handler{
		answer:   func(context.Context, *rpc.Request) ([]byte, error) { return nil, fail() },
		transfer: func(context.Context, *rpc.Request, io.Reader, io.Writer) error { return fail() },
	}, setup{}, func(p *pair) {
		for range 2 {
			_, err := p.call(p.Context(), "Fail", nil)
			transferred := p.pool.Transfer(p.Context(), p.target, rpc.Header{}, "Fail", nil, nil, nil)
			for _, err := range []error{err, transferred} {
				if rpc.CodeOf(err) != rpc.Internal || err.Error() != "internal error" {
					p.Errorf("%#v", err)
				}
			}
		}
	})
}

func TestCancelFreesTheHandler(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		for _, length := range []int{10, 100_000} {
			ctx, cancel := context.WithCancel(p.Context())
			time.AfterFunc(time.Minute, cancel)
			within(p, time.Minute, func() {
				if _, err := p.call(ctx, "Wait", make([]byte, length)); !errors.Is(err, context.Canceled) {
					p.Errorf("the caller gets %v", err)
				}
				synctest.Wait()
				select {
				case err := <-ended:
					if !errors.Is(err, context.Canceled) {
						p.Errorf("the handler gets %v", err)
					}
				default:
					p.Error("the handler goes on")
				}
			})
			p.answers()
		}
	})
}

func TestDeadlineTravels(t *testing.T) {
	var left time.Duration
	ended := make(chan error, 1)
	inPair(t, echoes(func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		if r.Method == "Timer" { // a context made from that of the call
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			ctx = derived
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}), setup{}, func(p *pair) {
		for _, method := range []string{"Wait", "Timer"} {
			ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
			within(p, time.Minute, func() {
				if _, err := p.call(ctx, method, nil); !errors.Is(err, context.DeadlineExceeded) {
					p.Errorf("the caller gets %v", err)
				}
				if err := <-ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					p.Errorf("the handler gets %v", err)
				}
			})
			if left != time.Minute {
				p.Errorf("the handler has %v", left)
			}
			if _, err := p.call(ctx, "Echo", nil); !errors.Is(err, context.DeadlineExceeded) {
				p.Errorf("a call that is too late: %v", err)
			}
			cancel()
		}
	})
}

// A large answer, or large arguments, do not hold up short calls.
func TestLargeAndShort(t *testing.T) {
	large := make([]byte, 8<<20)
	inPair(t, echoes(func(_ context.Context, r *rpc.Request) ([]byte, error) {
		if r.Method == "Large" {
			return large, nil
		}
		return nil, nil
	}), setup{rate: 1 << 20}, func(p *pair) {
		for _, method := range []string{"Large", "Take"} {
			var args []byte
			if method == "Take" {
				args = large
			}
			var running sync.WaitGroup
			for range 2 { // two take turns
				running.Go(func() {
					start := time.Now()
					if reply, err := p.call(p.Context(), method, args); err != nil || len(reply)+len(args) != len(large) {
						p.Errorf("%s: %d bytes, %v", method, len(reply), err)
					}
					if took := time.Since(start); took < 15*time.Second || took > 18*time.Second {
						p.Errorf("%s took %v", method, took)
					}
				})
			}
			for range 10 {
				time.Sleep(time.Second)
				within(p, time.Second, p.answers)
			}
			running.Wait()
		}
	})
}

// A large answer that nobody waits for any more is not sent to its end.
func TestCanceledAnswerIsDropped(t *testing.T) {
	inPair(t, echoes(func(context.Context, *rpc.Request) ([]byte, error) { return make([]byte, 100<<20), nil }), setup{rate: 1 << 20}, func(p *pair) {
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		if _, err := p.call(ctx, "Large", nil); !errors.Is(err, context.DeadlineExceeded) {
			p.Error(err)
		}
		within(p, time.Second, p.answers)
		before := p.network.written()
		p.answers()
		if n := p.network.written() - before; n > 1000 {
			p.Errorf("%d bytes for a short call", n)
		}
	})
}

func TestTooMuch(t *testing.T) {
	limits := rpc.ServerConfig{MaxCalls: 3, MaxArgs: 200_000, MaxPending: 300_000}
	inWaiting(t, setup{server: limits, pool: rpc.PoolConfig{MaxReply: 150_000}}, func(p *pair, ended chan error) {
		limited := func(what string, err error) {
			p.Helper()
			if rpc.CodeOf(err) != rpc.Limited {
				p.Errorf("%s: %v", what, err)
			}
			p.answers()
		}
		_, err := p.call(p.Context(), "Echo", make([]byte, 200_001))
		limited("long arguments", err)
		_, err = p.call(p.Context(), "Echo", make([]byte, 5_000_000))
		limited("very long arguments", err)
		_, err = p.call(p.Context(), "Echo", make([]byte, 150_001))
		limited("a long answer", err)
		synctest.Wait() // until the server is done with it, too
		if reply, err := p.call(p.Context(), "Echo", make([]byte, 150_000)); err != nil || len(reply) != 150_000 {
			p.Errorf("%d bytes, %v", len(reply), err)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(p.Context())
		var running sync.WaitGroup
		wait := func(length int) {
			running.Go(func() { _, _ = p.call(ctx, "Wait", make([]byte, length)) })
			synctest.Wait()
		}
		wait(180_000)
		_, err = p.call(p.Context(), "Echo", make([]byte, 150_000))
		limited("long arguments altogether", err)
		wait(10)
		wait(10)
		_, err = p.call(p.Context(), "Echo", nil)
		if rpc.CodeOf(err) != rpc.Limited {
			p.Errorf("too many calls: %v", err)
		}
		cancel()
		running.Wait()
		synctest.Wait()
		p.answers()
		if len(ended) != 3 {
			p.Errorf("%d calls have waited", len(ended))
		}
		for _, h := range []rpc.Header{{Token: strings.Repeat("x", 17<<10)}, {Datacenter: strings.Repeat("x", 256)}} {
			if _, err := p.pool.Call(p.Context(), p.target, h, "Echo", nil); rpc.CodeOf(err) != rpc.Invalid {
				p.Errorf("an endless head: %v", err)
			}
		}
	})
}
