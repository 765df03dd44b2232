package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// realPool runs a pool on loopback.
func realPool(t *testing.T, i int, change func(*Config)) *Pool {
	t.Helper()
	cfg := simConfig(i)
	cfg.BindAddr = "127.0.0.1"
	cfg.Tuning = Tuning{ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, GossipInterval: 20 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// eventually waits for a condition in real time.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what + ": not in time")
		}
	}
}

func TestRealSockets(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":     nil,
		"encrypted": encrypted(keyA, ""),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := realPool(t, 1, change), realPool(t, 2, change)
			if n, err := b.Join(context.Background(), []string{"localhost:" + strconv.Itoa(int(a.Addr().Port()))}); n < 1 || err != nil {
				t.Fatal(n, err)
			}
			eventually(t, "both see both", func() bool { return alive(a) == 2 && alive(b) == 2 })
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := b.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a sees b left", func() bool { return statusOf(a, "node2") == StatusLeft })
		})
	}
}

func TestPortInUse(t *testing.T) {
	a := realPool(t, 1, nil)
	cfg := simConfig(2)
	cfg.BindAddr, cfg.BindPort = "127.0.0.1", int(a.Addr().Port())
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err == nil {
		t.Error("two pools on one port")
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestJoinEndsWithItsContextAndStop(t *testing.T) {
	p := realPool(t, 1, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Join(ctx, []string{silent.Addr().String()}); err == nil {
		t.Error("joined a silent host")
	}
	start := time.Now()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("stop took %v", d)
	}
}

func TestAllowedNetworks(t *testing.T) {
	a := realPool(t, 1, func(c *Config) {
		c.AllowedCIDRs = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	b := realPool(t, 2, func(c *Config) { c.AdvertiseAddr = "127.0.0.2" })
	b.Join(context.Background(), []string{a.Addr().String()})
	c := realPool(t, 3, nil)
	if _, err := c.Join(context.Background(), []string{a.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the allowed one is in", func() bool { return statusOf(a, "node3") == StatusAlive })
	if got := statusOf(a, "node2"); got != StatusNone {
		t.Errorf("the forbidden one is %v", got)
	}
}

func TestNonsenseFromTheNetwork(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":     nil,
		"encrypted": encrypted(keyA, ""),
	} {
		t.Run(name, func(t *testing.T) {
			p := realPool(t, 1, change)
			addr := p.Addr().String()
			before, goroutines := heap(), runtime.NumGoroutine()
			packets, streams := killers()
			udp, err := net.Dial("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer udp.Close()
			for _, b := range packets {
				udp.Write(b)
			}
			for range 20_000 {
				udp.Write(nonsense(1 + rand.IntN(1400)))
			}
			for _, b := range streams {
				throw(t, addr, b)
			}
			for range 200 {
				throw(t, addr, nonsense(1+rand.IntN(5000)))
			}
			idle := silence(t, addr, 2*maxStreams)
			other := realPool(t, 2, change)
			for _, c := range idle {
				c.Close()
			}
			eventually(t, "a member still joins", func() bool {
				n, _ := other.Join(context.Background(), []string{addr})
				return n == 1 && alive(p) == 2
			})
			if n := p.NumMembers(); n != 2 {
				t.Errorf("%d members", n)
			}
			other.Stop()
			eventually(t, "nothing is left running", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
			eventually(t, "the heap is as small as before", func() bool { return heap() < before+4<<20 })
		})
	}
}

// nonsense is random bytes that often begin as a message would.
func nonsense(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	b[0] = byte(rand.IntN(16))
	return b
}

// throw sends bytes over a connection and goes.
func throw(t *testing.T, addr string, b []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	c.Write(b)
	c.Close()
}

// silence opens connections that say nothing.
func silence(t *testing.T, addr string, n int) []net.Conn {
	t.Helper()
	var out []net.Conn
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
