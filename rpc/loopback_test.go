package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lictor/rpc"
)

// storm is a handler that echoes, sometimes slowly, and counts its calls under way.
type storm struct{ running atomic.Int64 }

func (s *storm) Answer(ctx context.Context, r *rpc.Request) ([]byte, error) {
	s.running.Add(1)
	defer s.running.Add(-1)
	if r.Method == "Wait" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return bytes.Clone(r.Args), nil
}

func (s *storm) Stream(_ context.Context, r *rpc.Request, send func([]byte) error) error {
	s.running.Add(1)
	defer s.running.Add(-1)
	for range 20 {
		if err := send(r.Args); err != nil {
			return err
		}
	}
	return nil
}

func (s *storm) Transfer(_ context.Context, _ *rpc.Request, body io.Reader, reply io.Writer) error {
	s.running.Add(1)
	defer s.running.Add(-1)
	_, err := io.Copy(reply, body)
	return err
}

// Many callers call, cancel, stream and lose their connection over real sockets. Each answer that comes is right, and no
// handler is left.
func TestStorm(t *testing.T) {
	h := &storm{}
	pool, target := loopback(t, h)
	var running sync.WaitGroup
	for i := range 16 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+random.IntN(20))*time.Millisecond)
				text := bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN(1<<(1+random.IntN(18))))
				gust(t, ctx, pool, target, random.IntN(8), text)
				cancel()
			}
		})
	}
	running.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	gust(t, ctx, pool, target, 0, []byte("still there"))
	if ctx.Err() != nil {
		t.Error("the server does not answer any more")
	}
	for h.running.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if n := h.running.Load(); n > 0 {
		t.Errorf("%d handlers are left", n)
	}
}

// gust does one of many things.
func gust(t *testing.T, ctx context.Context, pool *rpc.Pool, target rpc.Target, what int, text []byte) {
	var err error
	switch what {
	case 0, 1, 2:
		var reply []byte
		if reply, err = pool.Call(ctx, target, rpc.Header{}, "Echo", text); err == nil && !bytes.Equal(reply, text) {
			t.Errorf("%d bytes came back as %d", len(text), len(reply))
		}
	case 3:
		if _, err = pool.Call(ctx, target, rpc.Header{}, "Wait", text); err == nil {
			t.Error("answered too early")
		}
	case 4, 5:
		err = gustOfMessages(ctx, t, pool, target, text)
	case 6:
		var reply bytes.Buffer
		if err = pool.Transfer(ctx, target, rpc.Header{}, "Echo", nil, bytes.NewReader(text), &reply); err == nil && !bytes.Equal(reply.Bytes(), text) {
			t.Errorf("%d bytes were transferred as %d", len(text), reply.Len())
		}
	default:
		if len(text)%4 == 0 {
			pool.Forget(target)
		}
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && rpc.CodeOf(err) != rpc.Unreachable {
		t.Error(err)
	}
}

func gustOfMessages(ctx context.Context, t *testing.T, pool *rpc.Pool, target rpc.Target, text []byte) error {
	s, err := pool.Stream(ctx, target, rpc.Header{}, "Echo", text)
	if err != nil {
		return err
	}
	defer s.Close()
	for n := 0; ; n++ {
		message, err := s.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			if n != 20 {
				t.Errorf("%d messages of 20", n)
			}
			return nil
		case err != nil:
			return err
		case !bytes.Equal(message, text):
			t.Errorf("a message of %d bytes came as %d", len(text), len(message))
		}
	}
}

func TestTransferOverLoopback(t *testing.T) {
	pool, target := loopback(t, echo{})
	body := make([]byte, 20<<20)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	var reply bytes.Buffer
	if err := pool.Transfer(t.Context(), target, rpc.Header{}, "Echo", nil, bytes.NewReader(body), &reply); err != nil || !bytes.Equal(reply.Bytes(), body) {
		t.Errorf("%d bytes, %v", reply.Len(), err)
	}
}

// The error arrives although there is much of the body that the server has not read.
func TestEarlyErrorOverLoopback(t *testing.T) {
	pool, target := loopback(t, handler{transfer: func(context.Context, *rpc.Request, io.Reader, io.Writer) error {
		return &rpc.Error{Code: rpc.PermissionDenied, Text: "no"}
	}})
	for range 20 {
		if err := pool.Transfer(t.Context(), target, rpc.Header{}, "Echo", nil, zeros{}, nil); rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Error(err)
		}
	}
}
