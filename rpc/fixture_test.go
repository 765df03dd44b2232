package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lictor/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A handler answers with its functions.
type handler struct {
	answer   func(ctx context.Context, r *rpc.Request) ([]byte, error)
	stream   func(ctx context.Context, r *rpc.Request, send func([]byte) error) error
	transfer func(ctx context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error
}

func (h handler) Answer(ctx context.Context, r *rpc.Request) ([]byte, error) { return h.answer(ctx, r) }

func (h handler) Stream(ctx context.Context, r *rpc.Request, send func([]byte) error) error {
	return h.stream(ctx, r, send)
}

func (h handler) Transfer(ctx context.Context, r *rpc.Request, body io.Reader, reply io.Writer) error {
	return h.transfer(ctx, r, body, reply)
}

// A pair is a server and a pool that calls it over a network in memory.
type pair struct {
	*testing.T
	network *network
	mux     *rpc.Mux
	server  *rpc.Server
	pool    *rpc.Pool
	target  rpc.Target
}

// A setup says what a pair is made of.
type setup struct {
	limits rpc.Limits
	server rpc.ServerConfig
	pool   rpc.PoolConfig
	rate   int
}

// inPair runs a test in fake time with a pair whose server answers with h.
func inPair(t *testing.T, h handler, s setup, test func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pair{T: t, network: newNetwork(), target: rpc.Target{ID: "server", Address: "server:8300"}}
		p.network.rate = s.rate
		s.server.Handler = h
		p.start(s)
		s.pool.Log = slog.New(slog.DiscardHandler)
		s.pool.Dial = func(ctx context.Context, t rpc.Target) (net.Conn, error) { return p.network.dial(ctx, t.Address) }
		p.pool = rpc.NewPool(s.pool)
		defer func() {
			p.pool.Stop()
			p.stop()
		}()
		test(p)
	})
}

// start starts the server.
func (p *pair) start(s setup) {
	log := slog.New(slog.DiscardHandler)
	p.mux = rpc.NewMux(p.network.listen("server:8300"), "server", log, s.limits)
	s.server.Calls, s.server.Bulk, s.server.Log = p.mux.Protocol(rpc.ProtocolCalls), p.mux.Protocol(rpc.ProtocolBulk), log
	p.server = rpc.NewServer(s.server)
	p.server.Serve()
	p.mux.Serve()
}

func (p *pair) stop() {
	p.server.Stop()
	if err := p.mux.Close(); err != nil {
		p.Error(err)
	}
}

func (p *pair) call(ctx context.Context, method string, args []byte) ([]byte, error) {
	return p.pool.Call(ctx, p.target, rpc.Header{}, method, args)
}

// answers checks that calls are answered.
func (p *pair) answers() {
	p.Helper()
	if _, err := p.call(p.Context(), "Echo", []byte("x")); err != nil {
		p.Errorf("a call is not answered: %v", err)
	}
}

// echoes answers with the arguments, to calls of Echo; other methods go to what is given.
func echoes(other func(ctx context.Context, r *rpc.Request) ([]byte, error)) handler {
	return handler{answer: func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		if r.Method == "Echo" {
			return bytes.Clone(r.Args), nil
		}
		return other(ctx, r)
	}}
}

// lost checks that the call failed because of its connection.
func lost(t testing.TB, err error, sent bool) {
	t.Helper()
	var conn *rpc.ConnError
	if !errors.As(err, &conn) || conn.Sent != sent || rpc.CodeOf(err) != rpc.Unreachable {
		t.Errorf("the error is %#v, not a ConnError with Sent = %v", err, sent)
	}
}

// within checks that something takes no longer than it may.
func within(t testing.TB, most time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > most {
		t.Errorf("took %v, and %v are allowed", took, most)
	}
}
