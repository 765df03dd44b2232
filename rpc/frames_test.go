package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

// The kinds of frames, as they are on the wire.
const (
	hello byte = iota + 1
	call
	stream
	transfer
	args
	cancel
	credit
	ping
	pong
	reply
	item
	end
	fault
	refuse
)

// frame makes a frame by hand.
func frame(kind, flags byte, call uint64, payload ...byte) []byte {
	b := []byte{byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint64(b, call), payload...)
}

var (
	greeting = []byte{rpc.ProtocolCalls, 0}
	welcome  = frame(hello, 0, 0, 0, 1, 0, 1)
	noTime   = make([]byte, 8)
)

// request is the payload of a call.
func request(window uint32, method, text string) []byte {
	b := binary.BigEndian.AppendUint32(slices.Clone(noTime), window)
	b = append(append(b, 0, byte(len(method))), method...)
	return append(append(b, 3, 'd', 'c', '1', 0, 2, 't', 'k'), text...)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// What is here is the protocol: other versions of this program speak it.
func TestProtocolIsPinned(t *testing.T) {
	inPair(t, handler{
		answer: func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			deadline, _ := ctx.Deadline()
			switch {
			case r.Method == "Fail":
				return nil, errors.Join(&rpc.Error{Code: rpc.NotFound, Text: "nothing"}, io.EOF)
			case r.Method != "KV.Get" || r.Datacenter != "dc1" || r.Token != "tk" || time.Until(deadline) != time.Second:
				return nil, errors.New("misunderstood")
			}
			return append([]byte("got "), r.Args...), nil
		},
		stream: func(_ context.Context, r *rpc.Request, send func([]byte) error) error { return send(r.Args) },
	}, setup{}, func(p *pair) {
		timed := request(0, "KV.Get", "abc")
		binary.BigEndian.PutUint64(timed, uint64(time.Second))
		exchanges := []struct{ sent, answer []byte }{
			{join([]byte{2, 6}, []byte("server"), []byte{0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}), []byte{0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}},
			{frame(2, 0, 7, timed...), frame(10, 0, 7, []byte("got abc")...)},
			{join(frame(2, 1, 8, timed...), frame(5, 1, 8, 'd'), frame(5, 0, 8, 'e')), frame(10, 0, 8, []byte("got abcde")...)},
			{frame(2, 0, 9, request(0, "Fail", "")...), frame(13, 0, 9, []byte("\x09not_found\x00\x07nothingnothing\nEOF")...)},
			{frame(3, 0, 10, request(100, "", "x")...), join(frame(11, 0, 10, 'x'), frame(12, 0, 10))},
			{frame(8, 0, 0), frame(9, 0, 0)},
		}
		conn, err := p.network.dial(p.Context(), "server:8300")
		if err != nil {
			p.Fatal(err)
		}
		defer conn.Close()
		for i, e := range exchanges {
			if _, err := conn.Write(e.sent); err != nil {
				p.Fatal(err)
			}
			got := make([]byte, len(e.answer))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, e.answer) {
				p.Fatalf("exchange %d: %q, %v", i, got, err)
			}
		}
	})
}

func TestGarbageForServers(t *testing.T) {
	open := join(greeting, welcome)
	first := frame(call, 0, 1, request(0, "Wait", "")...)
	bad := map[string][]byte{
		"no hello":                  join(greeting, first),
		"a short hello":             join(greeting, frame(hello, 0, 0, 0, 1, 0)),
		"a hello in parts":          join(greeting, frame(hello, 1, 0, 0, 1, 0, 1)),
		"a version too new":         join(greeting, frame(hello, 0, 0, 0, 9, 0, 2)),
		"a version too old":         join(greeting, frame(hello, 0, 0, 0, 0, 0, 0)),
		"a second hello":            join(open, welcome),
		"too long a frame":          join(open, []byte{0xff, 0xf5, call, 0}, make([]byte, 70000)),
		"an unknown kind":           join(open, frame(99, 0, 1)),
		"the kind 0":                join(open, frame(0, 0, 1)),
		"an unknown flag":           join(open, frame(call, 2, 1, request(0, "Wait", "")...)),
		"a head cut off":            join(open, frame(call, 0, 1, request(0, "Wait", "")[:24]...)),
		"no head":                   join(open, frame(call, 0, 1)),
		"a head in two frames":      join(open, frame(call, 1, 1, 0), frame(args, 0, 1, request(0, "Wait", "")[1:]...)),
		"a method cut off":          join(open, frame(call, 0, 1, append(make([]byte, 13), 200, 'x')...)),
		"too long a token":          join(open, frame(call, 0, 1, append(append(make([]byte, 15), 0x40, 1), make([]byte, 0x4001)...)...)),
		"an unknown flag of a head": join(open, frame(call, 0, 1, append(append(make([]byte, 12), 8), request(0, "Wait", "")[13:]...)...)),
		"a number twice":            join(open, first, first),
		"arguments afterwards":      join(open, first, frame(args, 0, 1, 1)),
		"credit for a call":         join(open, first, frame(credit, 0, 1, 0, 0, 0, 1)),
		"credit without amount":     join(open, frame(stream, 0, 1, request(9, "Wait", "")...), frame(credit, 0, 1)),
		"endless credit":            join(open, frame(stream, 0, 1, request(9, "Wait", "")...), frame(credit, 0, 1, 0x7f, 0xff, 0xff, 0xff)),
		"an endless window":         join(open, frame(stream, 0, 1, request(1<<31, "Wait", "")...)),
		"a transfer":                join(open, frame(transfer, 0, 1, request(0, "Wait", "")...)),
		"an answer":                 join(open, first, frame(reply, 0, 1)),
		"a message":                 join(open, first, frame(item, 0, 1)),
		"an end":                    join(open, first, frame(end, 0, 1)),
		"an error":                  join(open, first, frame(fault, 0, 1)),
		"a refusal":                 join(open, first, frame(refuse, 0, 1)),
		"a call for bulk":           join([]byte{rpc.ProtocolBulk, 0}, welcome, first),
		"bulk without hello":        join([]byte{rpc.ProtocolBulk, 0}, frame(transfer, 0, 0, request(0, "Wait", "")...)),
		"bulk without head":         join([]byte{rpc.ProtocolBulk, 0}, welcome, frame(transfer, 0, 0)),
		"bulk that goes on":         join([]byte{rpc.ProtocolBulk, 0}, welcome, frame(transfer, 0, 0, request(0, "Wait", "")...), frame(end, 0, 0), frame(item, 0, 0)),
		"bulk that ends twice":      join([]byte{rpc.ProtocolBulk, 0}, welcome, frame(transfer, 0, 0, request(0, "Wait", "")...), frame(end, 0, 0), frame(end, 0, 0)),
		"bulk with an error":        join([]byte{rpc.ProtocolBulk, 0}, welcome, frame(transfer, 0, 0, request(0, "Wait", "")...), frame(fault, 0, 0)),
		"bulk that has no end":      join([]byte{rpc.ProtocolBulk, 0}, welcome, frame(transfer, 1, 0, request(0, "Wait", "")...), frame(item, 0, 0)),
		"bulk with too long head":   join([]byte{rpc.ProtocolBulk, 0}, welcome, []byte{0xff, 0xf5, transfer, 0}, make([]byte, 70000)),
	}
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	h := handler{
		answer: func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			if r.Method == "Echo" {
				return nil, nil
			}
			return nil, wait(ctx)
		},
		stream:   func(ctx context.Context, _ *rpc.Request, _ func([]byte) error) error { return wait(ctx) },
		transfer: func(ctx context.Context, _ *rpc.Request, _ io.Reader, _ io.Writer) error { return wait(ctx) },
	}
	inPair(t, h, setup{}, func(p *pair) {
		for name, text := range bad {
			within(p, 0, func() {
				conn, err := p.network.dial(p.Context(), "server:8300")
				if err != nil {
					p.Fatal(err)
				}
				defer conn.Close()
				go func() { _, _ = conn.Write(text) }()
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) {
					p.Errorf("%s: the connection stays open: %v", name, err)
				}
			})
			p.answers()
		}
	})
}

// What arrives too late is not wrong.
func TestLateFramesForServers(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		conn, err := p.network.dial(p.Context(), "server:8300")
		if err != nil {
			p.Fatal(err)
		}
		defer conn.Close()
		late := join(greeting, welcome, frame(cancel, 0, 5), frame(args, 0, 5, 1, 2), frame(credit, 0, 5, 0, 0, 0, 1), frame(pong, 0, 0),
			frame(call, 1, 6, request(0, "Echo", "")...), frame(cancel, 0, 6), frame(args, 0, 6, 1), frame(call, 0, 7, request(0, "Echo", "x")...))
		if _, err := conn.Write(late); err != nil {
			p.Fatal(err)
		}
		want := join(welcome, frame(reply, 0, 7, 'x'))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
			p.Errorf("%q, %v", got, err)
		}
	})
}

// Strangers who say nothing, or not enough, are not kept.
func TestSilentStrangers(t *testing.T) {
	inPair(t, echoes(nil), setup{limits: rpc.Limits{Handshake: 2 * time.Second}, server: rpc.ServerConfig{Handshake: 3 * time.Second}}, func(p *pair) {
		bulk := join([]byte{rpc.ProtocolBulk, 0}, welcome)
		for text, most := range map[string]time.Duration{
			"": 2 * time.Second, "\x02": 2 * time.Second, "\x02\x05abc": 2 * time.Second, "\x02\x00": 3 * time.Second,
			string(join(greeting, welcome[:8])): 3 * time.Second, string(bulk): 3 * time.Second,
			string(join(greeting, welcome)): time.Minute, string(join(greeting, welcome, frame(call, 1, 1, request(0, "Echo", "")...))): time.Minute,
		} {
			conn, err := p.network.dial(p.Context(), "server:8300")
			if err != nil {
				p.Fatal(err)
			}
			if _, err := conn.Write([]byte(text)); err != nil {
				p.Fatal(err)
			}
			within(p, most, func() { _, _ = io.Copy(io.Discard, conn) })
			conn.Close()
		}
	})
}

// stranger is a server that says hello to each connection, and text when it is told to, and a pool that calls it.
func stranger(t testing.TB, hello, text []byte, speak <-chan struct{}) (*rpc.Pool, rpc.Target) {
	n := newNetwork()
	l := n.listen("stranger:8300")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Write(hello)
				<-speak
				_, _ = conn.Write(text)
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	pool := rpc.NewPool(rpc.PoolConfig{
		Log: slog.New(slog.DiscardHandler), Window: 1000, MaxReply: 1 << 20,
		Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) { return n.dial(ctx, t.Address) },
	})
	t.Cleanup(func() {
		pool.Stop()
		l.Close()
	})
	return pool, rpc.Target{Address: "stranger:8300"}
}

func TestGarbageForCallers(t *testing.T) {
	message := make([]byte, 1000)
	bad := map[string][]byte{
		"an answer to what was not asked": frame(reply, 0, 9),
		"a message for nobody":            frame(item, 0, 9),
		"a message for a call":            frame(item, 0, 1),
		"an end of a call":                frame(end, 0, 1),
		"an answer to a stream":           frame(reply, 0, 2),
		"messages without credit":         join(frame(item, 0, 2, message...), frame(item, 0, 2, message...)),
		"an error without code":           frame(fault, 0, 1),
		"an error that is cut off":        frame(fault, 0, 2, 200, 'x'),
		"an unknown kind":                 frame(99, 0, 1),
		"a call":                          frame(call, 0, 1, request(0, "x", "")...),
		"another hello":                   welcome,
		"too long a frame":                join([]byte{0xff, 0xff, reply, 0}, make([]byte, 70000)),
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				speak := make(chan struct{})
				pool, target := stranger(t, welcome, text, speak)
				within(t, 0, func() {
					called := make(chan error, 1)
					go func() {
						_, err := pool.Call(t.Context(), target, rpc.Header{}, "Wait", nil)
						called <- err
					}()
					synctest.Wait()
					s, err := pool.Stream(t.Context(), target, rpc.Header{}, "Wait", nil)
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					close(speak)
					lost(t, <-called, true)
					for err == nil {
						_, err = s.Next(t.Context())
					}
					lost(t, err, true)
				})
			})
		})
	}
}

func TestUnfriendlyHellos(t *testing.T) {
	for name, text := range map[string][]byte{
		"none": nil, "half": welcome[:8], "not one": frame(reply, 0, 1), "a short one": frame(hello, 0, 0, 0, 1), "nonsense": []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"too new": frame(hello, 0, 0, 0, 9, 0, 2), "too old": frame(hello, 0, 0, 0, 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool, target := stranger(t, text, nil, t.Context().Done())
				within(t, 3*time.Second, func() {
					_, err := pool.Call(t.Context(), target, rpc.Header{}, "Wait", nil)
					lost(t, err, false)
				})
				lost(t, pool.Transfer(t.Context(), target, rpc.Header{}, "Wait", nil, nil, nil), false)
			})
		})
	}
}

// A newer version of this program that still knows the protocol of this one is welcome.
func TestNewerHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		speak := make(chan struct{})
		pool, target := stranger(t, frame(hello, 0, 0, 0, 7, 0, 1, 'm', 'o', 'r', 'e'), frame(reply, 0, 1, 'x'), speak)
		time.AfterFunc(time.Second, func() { close(speak) })
		if got, err := pool.Call(t.Context(), target, rpc.Header{}, "Wait", nil); err != nil || string(got) != "x" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestGarbageInTransfers(t *testing.T) {
	for name, text := range map[string][]byte{
		"a call": frame(call, 0, 0, request(0, "x", "")...), "an answer": frame(reply, 0, 0), "an error cut off": frame(fault, 0, 0, 9),
		"an unknown kind": frame(99, 0, 0), "too long a frame": {0xff, 0xff, item, 0}, "half a frame": frame(item, 0, 0, 1, 2, 3)[:13],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool, target := stranger(t, welcome, text, closedChan())
				within(t, 10*time.Second, func() {
					lost(t, pool.Transfer(t.Context(), target, rpc.Header{}, "Wait", nil, nil, nil), true)
				})
			})
		})
	}
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
