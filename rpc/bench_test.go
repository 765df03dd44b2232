package rpc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lictor/rpc"
)

// echo answers with the arguments.
type echo struct{}

func (echo) Answer(_ context.Context, r *rpc.Request) ([]byte, error) {
	return append([]byte(nil), r.Args...), nil
}

func (echo) Stream(_ context.Context, r *rpc.Request, send func([]byte) error) error {
	return send(r.Args)
}

func (echo) Transfer(_ context.Context, _ *rpc.Request, body io.Reader, reply io.Writer) error {
	_, err := io.Copy(reply, body)
	return err
}

// loopback starts a server on a port of its own and a pool that calls it.
func loopback(tb testing.TB, h rpc.Handler) (*rpc.Pool, rpc.Target) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	mux := rpc.NewMux(l, "server", log, rpc.Limits{})
	server := rpc.NewServer(rpc.ServerConfig{Calls: mux.Protocol(rpc.ProtocolCalls), Bulk: mux.Protocol(rpc.ProtocolBulk), Handler: h, Log: log})
	server.Serve()
	mux.Serve()
	pool := rpc.NewPool(rpc.PoolConfig{Log: log, Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", t.Address)
	}})
	tb.Cleanup(func() {
		pool.Stop()
		server.Stop()
		mux.Close()
	})
	return pool, rpc.Target{ID: "server", Address: l.Addr().String()}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// deep is an echo that needs some stack, as handlers do.
type deep struct{ echo }

func (d deep) Answer(ctx context.Context, r *rpc.Request) ([]byte, error) {
	stack(30, r.Args)
	return d.echo.Answer(ctx, r)
}

//go:noinline
func stack(depth int, b []byte) byte {
	var frame [256]byte
	if copy(frame[:], b); depth > 0 {
		return stack(depth-1, frame[:]) + frame[depth]
	}
	return frame[0]
}

func benchmarkCall(b *testing.B, h rpc.Handler, callers, size int) {
	pool, target := loopback(b, h)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	args := make([]byte, size)
	header := rpc.Header{Token: "9f4f4a54-5f4c-4d2c-8a5e-0c3f3d7c1a11"}
	call := func() {
		if _, err := pool.Call(ctx, target, header, "KV.Get", args); err != nil {
			b.Error(err)
		}
	}
	call()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var left atomic.Int64
	left.Store(int64(b.N))
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				call()
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func BenchmarkCall(b *testing.B)      { benchmarkCall(b, echo{}, 64, 200) }
func BenchmarkCallDeep(b *testing.B)  { benchmarkCall(b, deep{}, 64, 200) }
func BenchmarkCallAlone(b *testing.B) { benchmarkCall(b, echo{}, 1, 200) }
func BenchmarkCallLarge(b *testing.B) { benchmarkCall(b, echo{}, 8, 1<<20) }
