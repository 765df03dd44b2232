package rpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/rpc"
)

// pending makes a call that waits and returns how it ends.
func (p *pair) pending(ctx context.Context) <-chan error {
	p.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := p.call(ctx, "Wait", nil)
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// inWaiting is inPair with a handler whose calls wait. The test gets how they end.
func inWaiting(t *testing.T, s setup, test func(p *pair, ended chan error)) {
	t.Helper()
	var h handler
	var ended chan error
	h = echoes(func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	inPair(t, h, s, func(p *pair) {
		ended = make(chan error, 100)
		test(p, ended)
	})
}

func TestBrokenConnection(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		for range 3 {
			caller := p.pending(p.Context())
			within(p, 0, func() {
				p.network.hangUp()
				lost(p, <-caller, true)
				if err := <-ended; !errors.Is(err, context.Canceled) {
					p.Errorf("the handler gets %v", err)
				}
				p.answers()
			})
		}
	})
}

// A peer that vanishes without a word is noticed on both sides.
func TestSilence(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		caller := p.pending(p.Context())
		time.Sleep(time.Hour) // probes are answered
		p.network.cut()
		within(p, 8*time.Second, func() {
			lost(p, <-caller, true)
			<-ended
		})
		p.answers()

		time.Sleep(time.Minute) // nothing is under way
		p.network.cut()
		within(p, 6*time.Second, func() {
			_, err := p.call(p.Context(), "Echo", nil)
			lost(p, err, true)
		})
		p.answers()
	})
}

// Who is there is reached, whatever becomes of its calls; who is not is waited for as long as the caller likes.
func TestReach(t *testing.T) {
	inWaiting(t, setup{pool: rpc.PoolConfig{Idle: time.Hour}}, func(p *pair, _ chan error) {
		for range 3 { // a new connection, and one that is there
			within(p, 0, func() {
				if err := p.pool.Reach(p.Context(), p.target); err != nil {
					p.Error(err)
				}
			})
		}
		caller := p.pending(p.Context())
		p.network.cut()
		var asking sync.WaitGroup
		for range 3 {
			asking.Go(func() {
				ctx, cancel := context.WithTimeout(p.Context(), time.Second)
				defer cancel()
				if err := p.pool.Reach(ctx, p.target); !errors.Is(err, context.DeadlineExceeded) {
					p.Errorf("over a connection that is cut: %v", err)
				}
			})
		}
		asking.Wait()
		asking.Go(func() {
			if err := p.pool.Reach(p.Context(), p.target); err != nil {
				p.Errorf("after a new connection was made: %v", err)
			}
		})
		synctest.Wait()
		p.pool.Forget(p.target)
		lost(p, <-caller, true)
		asking.Wait()
		lost(p, p.pool.Reach(p.Context(), rpc.Target{Address: "nobody:1"}), false)
	})
}

// A server does not keep connections whose other side is gone, though they have no calls.
func TestSilentCallerIsDropped(t *testing.T) {
	inPair(t, echoes(nil), setup{pool: rpc.PoolConfig{Idle: time.Hour}, limits: rpc.Limits{MaxConnsPerClient: 1}}, func(p *pair) {
		p.answers()
		p.network.cut()
		p.pool.Forget(p.target)
		_, err := p.call(p.Context(), "Echo", nil)
		lost(p, err, false) // the first still counts
		time.Sleep(time.Minute)
		p.answers()
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	inPair(t, echoes(nil), setup{limits: rpc.Limits{MaxConnsPerClient: 1}}, func(p *pair) {
		for i := range 20 {
			p.answers()
			time.Sleep(110 * time.Second)
			if p.network.dials != 1 {
				p.Fatalf("call %d needed connection %d", i, p.network.dials)
			}
		}
		time.Sleep(15 * time.Second)
		if n := p.network.open(); n != 0 {
			p.Errorf("%d connections are open", n)
		}
		p.answers()
		if p.network.dials != 2 {
			p.Errorf("%d dials", p.network.dials)
		}
	})
}

func TestForget(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, _ chan error) {
		caller := p.pending(p.Context())
		p.pool.Forget(p.target)
		lost(p, <-caller, true)
		p.answers()
		p.pool.Forget(rpc.Target{Address: "nobody:1"})
	})
}

func TestServerStops(t *testing.T) {
	inPair(t, handler{answer: func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		<-ctx.Done()
		switch r.Method {
		case "Finish": // the answer is there all the same
			time.Sleep(time.Second)
			return make([]byte, 1<<20), nil
		case "Tell":
			return nil, &rpc.Error{Code: rpc.NotFound, Text: "gone"}
		default:
			return nil, ctx.Err()
		}
	}}, setup{}, func(p *pair) {
		type result struct {
			reply []byte
			err   error
		}
		var mu sync.Mutex // guards results
		results := map[string]result{}
		var running sync.WaitGroup
		for _, method := range []string{"Finish", "Tell", "Give up"} {
			running.Go(func() {
				reply, err := p.call(p.Context(), method, nil)
				mu.Lock()
				defer mu.Unlock()
				results[method] = result{reply, err}
			})
			synctest.Wait()
		}
		running.Go(p.stop)
		time.Sleep(time.Millisecond)
		_, err := p.call(p.Context(), "Echo", nil)
		lost(p, err, false) // refused
		running.Wait()
		if r := results["Finish"]; r.err != nil || len(r.reply) != 1<<20 {
			p.Errorf("a call that could be answered: %d bytes, %v", len(r.reply), r.err)
		}
		if err := results["Tell"].err; rpc.CodeOf(err) != rpc.NotFound {
			p.Errorf("a call that failed: %v", err)
		}
		lost(p, results["Give up"].err, true)
		_, err = p.call(p.Context(), "Echo", nil)
		lost(p, err, false)
		p.start(setup{server: rpc.ServerConfig{Handler: echoes(nil)}})
		time.Sleep(100 * time.Millisecond)
		p.answers()
	})
}

// goroutines counts them while all stand still, as runtime.NumGoroutine now and then counts some that have ended.
func goroutines(t *testing.T) int {
	n, ok := runtime.GoroutineProfile(make([]runtime.StackRecord, 20_000))
	if !ok {
		t.Fatalf("%d goroutines are too many to be counted", n)
	}
	return n
}

// Thousands of calls that wait do not leave thousands of goroutines.
func TestIdleWorkersAreBounded(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		p.answers()
		synctest.Wait()
		before := goroutines(t)
		for range 3 {
			ctx, cancel := context.WithCancel(p.Context())
			var running sync.WaitGroup
			for range 3000 {
				running.Go(func() { _, _ = p.call(ctx, "Wait", nil) })
			}
			synctest.Wait()
			cancel()
			for range 3000 {
				<-ended
			}
			running.Wait()
			synctest.Wait()
			if more := goroutines(t) - before; more > 64 {
				p.Errorf("%d goroutines more than before", more)
			}
			p.answers()
		}
	})
}

func TestPoolStops(t *testing.T) {
	inWaiting(t, setup{}, func(p *pair, ended chan error) {
		caller := p.pending(p.Context())
		p.pool.Stop()
		lost(p, <-caller, true)
		<-ended
		_, err := p.call(p.Context(), "Echo", nil)
		lost(p, err, false)
		lost(p, p.pool.Transfer(p.Context(), p.target, rpc.Header{}, "Echo", nil, nil, nil), false)
	})
}

// Who waits for the same connection shares one attempt; a failure is forgotten soon.
func TestDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		pool := rpc.NewPool(rpc.PoolConfig{Dial: func(ctx context.Context, _ rpc.Target) (net.Conn, error) {
			dials++
			select {
			case <-time.After(time.Second):
				return nil, io.ErrNoProgress
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
		defer pool.Stop()
		target := rpc.Target{Address: "nobody:8300"}
		var running sync.WaitGroup
		for range 10 {
			running.Go(func() {
				_, err := pool.Call(t.Context(), target, rpc.Header{}, "Echo", nil)
				lost(t, err, false)
				if !errors.Is(err, io.ErrNoProgress) {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := pool.Call(ctx, target, rpc.Header{}, "Echo", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who cannot wait gets %v", err)
		}
		running.Wait()
		within(t, 0, func() {
			_, err := pool.Call(t.Context(), target, rpc.Header{}, "Echo", nil)
			lost(t, err, false)
		})
		if dials != 1 {
			t.Errorf("%d dials", dials)
		}
		time.Sleep(100 * time.Millisecond)
		running.Go(func() {
			_, err := pool.Call(t.Context(), target, rpc.Header{}, "Echo", nil)
			lost(t, err, false)
		})
		synctest.Wait()
		within(t, 0, func() { // ends an attempt
			pool.Forget(target)
			running.Wait()
		})
		if dials != 2 {
			t.Errorf("%d dials", dials)
		}
	})
}

// A listener that does not answer costs the time of a dial, and no more.
func TestDeafListener(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		deaf := p.network.listen("deaf:8300")
		defer deaf.Close()
		go func() {
			if conn, err := deaf.Accept(); err == nil {
				p.Cleanup(func() { conn.Close() })
			}
		}()
		within(p, 3*time.Second, func() {
			_, err := p.pool.Call(p.Context(), rpc.Target{Address: "deaf:8300"}, rpc.Header{}, "Echo", nil)
			lost(p, err, false)
		})
	})
}

func TestAnotherNode(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		for id, right := range map[string]bool{"": true, "server": true, "another": false, "serve": false, "server2": false} {
			target := rpc.Target{ID: id, Address: p.target.Address}
			_, err := p.pool.Call(p.Context(), target, rpc.Header{}, "Echo", nil)
			transferred := p.pool.Transfer(p.Context(), target, rpc.Header{}, "Echo", nil, nil, nil)
			if !right {
				lost(p, err, false)
				lost(p, transferred, false)
			} else if err != nil {
				p.Errorf("%q: %v", id, err)
			}
		}
	})
}

func TestConnsPerClient(t *testing.T) {
	inPair(t, echoes(nil), setup{limits: rpc.Limits{MaxConnsPerClient: 3}}, func(p *pair) {
		call := func(id string) error {
			_, err := p.pool.Call(p.Context(), rpc.Target{ID: id, Address: p.target.Address}, rpc.Header{}, "Echo", nil)
			return err
		}
		other := rpc.NewPool(rpc.PoolConfig{Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) { return p.network.dial(ctx, t.Address) }})
		defer other.Stop()
		if err := errors.Join(call(""), call("server")); err != nil {
			p.Fatal(err)
		}
		if _, err := other.Call(p.Context(), p.target, rpc.Header{}, "Echo", nil); err != nil {
			p.Fatal(err)
		}
		_, err := other.Call(p.Context(), rpc.Target{Address: p.target.Address}, rpc.Header{}, "Echo", nil)
		lost(p, err, false)
		p.pool.Forget(p.target)
		time.Sleep(100 * time.Millisecond)
		if _, err := other.Call(p.Context(), rpc.Target{Address: p.target.Address}, rpc.Header{}, "Echo", nil); err != nil {
			p.Error(err)
		}
	})
}

// Requests that could not be written are told apart from those that may have arrived.
func TestUnsent(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		p.network.listen("deaf:8300")
		conns := p.deaf("deaf:8300")
		target := rpc.Target{Address: "deaf:8300"}
		var running sync.WaitGroup
		call := func(length int, sent bool) {
			running.Go(func() {
				_, err := p.pool.Call(p.Context(), target, rpc.Header{}, "Echo", make([]byte, length))
				lost(p, err, sent)
			})
			synctest.Wait()
		}
		call(10, true)
		call(1<<20, false) // gets stuck
		call(10, false)    // has to wait behind it
		for range 10 {
			call(60_000, false) // have to wait until there is room in the outbox
		}
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		if _, err := p.pool.Call(ctx, target, rpc.Header{}, "Echo", nil); !errors.Is(err, context.DeadlineExceeded) {
			p.Error(err)
		}
		for _, conn := range *conns {
			conn.Close()
		}
		running.Wait()
	})
}

// A peer that is there and does not read is as good as gone.
func TestStalled(t *testing.T) {
	inPair(t, echoes(nil), setup{}, func(p *pair) {
		conns := p.deaf("deaf:8300")
		start := time.Now()
		_, err := p.pool.Call(p.Context(), rpc.Target{Address: "deaf:8300"}, rpc.Header{}, "Echo", make([]byte, 1<<20))
		lost(p, err, false)
		if took := time.Since(start); took < 4*time.Second || took > 12*time.Second {
			p.Errorf("noticed after %v", took)
		}
		for _, conn := range slices.Clone(*conns) {
			conn.Close()
		}
	})
}

// deaf listens at an address, says hello to who comes and reads no more.
func (p *pair) deaf(address string) *[]net.Conn {
	l := p.network.listen(address)
	var conns []net.Conn
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			_, _ = io.ReadFull(conn, make([]byte, 2+16))
			_, _ = conn.Write(frame(1, 0, 0, 0, 1, 0, 1))
		}
	}()
	p.Cleanup(func() { l.Close() })
	return &conns
}

// Connections that say nothing make room for others, the oldest first, and end in time.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	inPair(t, echoes(nil), setup{limits: rpc.Limits{MaxGreeting: 3, Handshake: time.Minute}}, func(p *pair) {
		var silent []net.Conn
		for range 10 {
			conn, err := p.network.dial(p.Context(), p.target.Address)
			if err != nil {
				p.Fatal(err)
			}
			defer conn.Close()
			silent = append(silent, conn)
			synctest.Wait()
		}
		p.answers()
		closed := func() (n int) {
			for _, conn := range silent {
				conn.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
					n++
				}
			}
			return n
		}
		if n := closed(); n != 8 { // one more for the connection of the call
			p.Errorf("%d of 10 are closed", n)
		}
		time.Sleep(2 * time.Minute)
		if n := closed(); n != 10 {
			p.Errorf("%d of 10 are closed in the end", n)
		}
	})
}

// In plaintext nothing is answered where TLS is required, and Raft and calls tell servers from others.
func TestPlaintextIsRefused(t *testing.T) {
	security := rpc.Security{Required: func() bool { return true }}
	inPair(t, echoes(nil), setup{limits: rpc.Limits{Security: security}}, func(p *pair) {
		_, err := p.call(p.Context(), "Echo", nil)
		lost(p, err, false)
	})
	refuses := rpc.Security{Server: func(*tls.ConnectionState) error { return errors.New("no server") }}
	peers := handler{answer: func(_ context.Context, r *rpc.Request) ([]byte, error) {
		if r.Peer.Server || r.Peer.Stranger {
			t.Errorf("%+v", r.Peer)
		}
		return nil, nil
	}}
	inPair(t, peers, setup{limits: rpc.Limits{Security: refuses}}, func(p *pair) {
		if _, err := p.call(p.Context(), "Echo", nil); err != nil {
			p.Error(err)
		}
	})
}
