package rpc_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

// FuzzFrames feeds what nobody should send to servers, to callers and to both sides of transfers. All of them end, nothing
// is left, and a server goes on answering others.
func FuzzFrames(f *testing.F) {
	long := make([]byte, 300)
	for _, seed := range [][]byte{
		frame(call, 0, 1, request(0, "KV.Get", "abc")...),
		join(frame(call, 1, 8, request(0, "Echo", "abc")...), frame(args, 1, 8, long...), frame(args, 0, 8, 'e')),
		join(frame(stream, 0, 1, request(100, "S", "x")...), frame(credit, 0, 1, 0, 0, 1, 0), frame(cancel, 0, 1)),
		join(frame(call, 0, 2, request(0, "Wait", "")...), frame(cancel, 0, 2), frame(ping, 0, 0), frame(pong, 0, 0)),
		join(frame(transfer, 1, 0, request(0, "T", "x")...), frame(args, 0, 0, 'y'), frame(item, 0, 0, long...), frame(end, 0, 0)),
		join(frame(reply, 1, 1, long...), frame(reply, 0, 1, 'z'), frame(item, 0, 2, 'a'), frame(item, 1, 2, 'b'), frame(end, 0, 2)),
		join(frame(fault, 0, 1, []byte("\x09not_found\x00\x07nothingnothing here")...), frame(refuse, 0, 2)),
		join(frame(item, 0, 0, 'a'), frame(ping, 0, 0), frame(end, 0, 0)),
		{0xff, 0xff, 1, 0},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		f.Add(seed)
	}
	h := handler{
		answer: func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			if r.Method == "Wait" {
				<-ctx.Done()
			}
			return append([]byte(nil), r.Args...), ctx.Err()
		},
		stream: func(_ context.Context, r *rpc.Request, send func([]byte) error) error {
			for range 10 {
				if err := send(r.Args); err != nil {
					return err
				}
			}
			return nil
		},
		transfer: copies,
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		synctest.Test(t, func(t *testing.T) {
			fuzzServer(t, h, text)
			fuzzCaller(t, text)
		})
	})
}

func fuzzServer(t *testing.T, h handler, text []byte) {
	p := &pair{T: t, network: newNetwork()}
	limits := rpc.ServerConfig{Handler: h, MaxArgs: 200_000, MaxPending: 300_000, MaxCalls: 10}
	p.start(setup{server: limits})
	defer p.stop()
	for _, before := range [][]byte{nil, greeting, join(greeting, welcome), {rpc.ProtocolBulk, 0}, join([]byte{rpc.ProtocolBulk, 0}, welcome)} {
		conn, err := p.network.dial(t.Context(), "server:8300")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_, _ = conn.Write(join(before, text))
		synctest.Wait()
		conn.Close()
	}
	conn, err := p.network.dial(t.Context(), "server:8300")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(join(greeting, welcome, frame(call, 0, 1, request(0, "Echo", "x")...))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 16+13)); err != nil {
		t.Fatalf("the server does not answer any more: %v", err)
	}
}

func fuzzCaller(t *testing.T, text []byte) {
	speak := make(chan struct{})
	pool, target := stranger(t, welcome, text, speak)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { _, _ = pool.Call(ctx, target, rpc.Header{}, "Wait", nil) }()
	synctest.Wait()
	s, err := pool.Stream(ctx, target, rpc.Header{}, "Wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	close(speak)
	for err == nil {
		_, err = s.Next(ctx)
	}
	s.Close()
	if err := pool.Transfer(ctx, target, rpc.Header{}, "Wait", nil, nil, io.Discard); err != nil && ctx.Err() == nil && rpc.CodeOf(err) == "" {
		t.Errorf("an error without a code: %v", err)
	}
}
