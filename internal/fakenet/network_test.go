package fakenet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ipA = "10.0.0.1"
	ipB = "10.0.0.2"
)

// pairing is two hosts, B listening on port 80 and with packets on port 53, and a connection from A.
type pairing struct {
	t         *testing.T
	net       *Network
	a, b      *Host
	listener  net.Listener
	near, far net.Conn
	pa, pb    net.PacketConn
}

func story(t *testing.T, tell func(*pairing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(7)
		p := &pairing{t: t, net: n, a: n.Host(ipA), b: n.Host(ipB)}
		var err error
		if p.listener, err = p.b.Listen(netip.MustParseAddrPort("0.0.0.0:80")); err != nil {
			t.Fatal(err)
		}
		if p.near, err = p.a.Dial(context.Background(), ipB+":80"); err != nil {
			t.Fatal(err)
		}
		if p.far, err = p.listener.Accept(); err != nil {
			t.Fatal(err)
		}
		if p.pa, err = p.a.ListenPacket(netip.MustParseAddrPort(ipA + ":0")); err != nil {
			t.Fatal(err)
		}
		if p.pb, err = p.b.ListenPacket(netip.MustParseAddrPort("0.0.0.0:53")); err != nil {
			t.Fatal(err)
		}
		tell(p)
		for _, c := range []io.Closer{p.near, p.far, p.listener, p.pa, p.pb} {
			c.Close()
		}
		if len(n.Host(ipA).conns)+len(n.Host(ipB).conns)+len(n.links) != 0 {
			t.Errorf("%d links are left", len(n.links))
		}
	})
}

// write sends text over the connection.
func (p *pairing) write(c net.Conn, text string) {
	p.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// read expects text, and tells how long it took.
func (p *pairing) read(c net.Conn, want string) time.Duration {
	p.t.Helper()
	start, b := time.Now(), make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		p.t.Fatalf("read %q, %v; want %q", b, err, want)
	}
	return time.Since(start)
}

// silent expects that nothing comes for a minute.
func (p *pairing) silent(c net.Conn) {
	p.t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("read %d bytes, %v", n, err)
	}
	c.SetReadDeadline(time.Time{})
}

// broken expects that a read fails with this error, and then a write.
func (p *pairing) broken(c net.Conn, want error) {
	p.t.Helper()
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
		p.t.Fatalf("read %d bytes, %v; want %v", n, err, want)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		p.t.Fatal("a broken connection takes bytes")
	}
}

func TestConnIsOneOfPackageNet(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		n := New(1)
		n.Latency(50 * time.Microsecond)
		l, err := n.Host(ipB).Listen(netip.MustParseAddrPort(ipB + ":80"))
		if err != nil {
			return nil, nil, nil, err
		}
		if a, err = n.Host(ipA).Dial(context.Background(), ipB+":80"); err != nil {
			return nil, nil, nil, err
		}
		if b, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return a, b, func() { a.Close(); b.Close(); l.Close() }, nil
	})
}

func TestStream(t *testing.T) {
	story(t, func(p *pairing) {
		p.write(p.near, "hello ")
		p.write(p.near, "world")
		if d := p.read(p.far, "hello world"); d < DefaultLatency || d > 2*DefaultLatency {
			t.Errorf("it took %v", d)
		}
		if got, want := p.far.RemoteAddr().String(), p.near.LocalAddr().String(); got != want {
			t.Errorf("from %s, not %s", got, want)
		}
		p.write(p.far, "bye")
		p.far.Close()
		p.read(p.near, "bye")
		if _, err := p.near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		p.write(p.near, "who is there")
		time.Sleep(time.Second)
		if _, err := p.near.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("to a closed end: %v", err)
		}
	})
}

func TestUnreadBytesHoldUpTheWriter(t *testing.T) {
	story(t, func(p *pairing) {
		big := bytes.Repeat([]byte("x"), 3*window)
		p.near.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := p.near.Write(big)
		if n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes written, %v", n, err)
		}
		p.near.SetWriteDeadline(time.Time{})
		go func() {
			p.near.Write(big)
			p.near.Close()
		}()
		if got, err := io.ReadAll(p.far); len(got) != 4*window || err != nil {
			t.Errorf("%d bytes read, %v", len(got), err)
		}
	})
}

func TestDial(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Host("10.0.0.9")
		p.net.Vanish("10.0.0.9")
		for addr, want := range map[string]error{
			ipB + ":81": syscall.ECONNREFUSED, "127.0.0.1:80": syscall.ECONNREFUSED,
			"10.0.0.9:80": context.DeadlineExceeded, "10.0.0.77:80": context.DeadlineExceeded,
		} {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if _, err := p.a.Dial(ctx, addr); !errors.Is(err, want) {
				t.Errorf("%s: %v", addr, err)
			}
			cancel()
		}
		start := time.Now()
		if _, err := p.a.Dial(context.Background(), "10.0.0.77:80"); !errors.Is(err, syscall.ETIMEDOUT) || time.Since(start) < 2*time.Minute {
			t.Errorf("to nowhere: %v after %v", err, time.Since(start))
		}
		c, err := p.b.Dial(context.Background(), "127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, err := p.b.Listen(netip.MustParseAddrPort(ipB + ":80")); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second listener: %v", err)
		}
		if _, err := p.b.Listen(netip.MustParseAddrPort(ipA + ":80")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("on another's address: %v", err)
		}
		p.net.Isolate(ipB)
		time.AfterFunc(2*time.Second, func() { p.net.Rejoin(ipB) })
		start = time.Now()
		if c, err = p.a.Dial(context.Background(), ipB+":80"); err != nil || time.Since(start) < 2*time.Second || time.Since(start) > 4*time.Second {
			t.Fatalf("while the host is away for two seconds: %v after %v", err, time.Since(start))
		}
		c.Close()
	})
}

func TestCutLinkHangsAndGoesOn(t *testing.T) {
	story(t, func(p *pairing) {
		for name, fault := range map[string]struct{ cut, heal func() }{
			"cut":       {func() { p.net.Cut(ipB, ipA) }, func() { p.net.Heal(ipA, ipB) }},
			"partition": {func() { p.net.Partition([]string{ipA}, []string{ipB}) }, func() { p.net.Partition() }},
			"isolation": {func() { p.net.Isolate(ipA) }, p.net.HealAll},
		} {
			fault.cut()
			p.write(p.near, name)
			p.silent(p.far)
			fault.heal()
			if d := p.read(p.far, name); d > 2*time.Minute {
				t.Errorf("%s: on again after %v", name, d)
			}
		}
	})
}

func TestCutLinkIsGivenUp(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Cut(ipA, ipB)
		p.write(p.near, "x")
		start := time.Now()
		p.broken(p.near, syscall.ETIMEDOUT)
		if d := time.Since(start); d < giveUp || d > giveUp+time.Second {
			t.Errorf("after %v", d)
		}
		p.silent(p.far)
		p.net.HealAll()
		p.near.Close()
		p.write(p.far, "x")
		p.broken(p.far, syscall.ECONNRESET)
	})
}

func TestKill(t *testing.T) {
	story(t, func(p *pairing) {
		p.write(p.far, "last words")
		time.Sleep(time.Second)
		p.net.Kill(ipB)
		p.broken(p.far, net.ErrClosed)
		p.read(p.near, "last words")
		p.broken(p.near, syscall.ECONNRESET)
		if _, err := p.listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		if _, _, err := p.pb.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read packet: %v", err)
		}
		for _, dial := range []error{dial(t, p.b, ipA+":80"), listen(p.b)} {
			if !errors.Is(dial, net.ErrClosed) {
				t.Errorf("the dead one goes on: %v", dial)
			}
		}
		if err := dial(t, p.a, ipB+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		if err := listen(p.net.Host(ipB)); err != nil {
			t.Fatal(err)
		}
		if err := dial(t, p.a, ipB+":80"); err != nil {
			t.Errorf("dial of the new one: %v", err)
		}
		p.net.Kill(ipB)
		p.net.Kill(ipA)
	})
}

func listen(h *Host) error {
	_, err := h.Listen(netip.MustParseAddrPort("0.0.0.0:80"))
	return err
}

func dial(t *testing.T, h *Host, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := h.Dial(ctx, addr)
	return err
}

func TestVanish(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Vanish(ipB)
		p.broken(p.far, net.ErrClosed)
		p.silent(p.near)
		p.write(p.near, "are you there")
		p.silent(p.near)
		if err := dial(t, p.a, ipB+":80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: %v", err)
		}
		p.net.Host(ipB)
		p.broken(p.near, syscall.ECONNRESET)
	})
}

func TestPause(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Pause(ipB)
		p.write(p.near, "question")
		p.silent(p.far)
		p.write(p.far, "answer")
		p.silent(p.near)
		second, err := p.a.Dial(context.Background(), ipB+":80")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := p.listener.Accept()
			accepted <- c
		}()
		synctest.Wait()
		if len(accepted) != 0 {
			t.Error("a paused host has accepted")
		}
		p.net.Resume(ipB)
		if d := p.read(p.far, "question") + p.read(p.near, "answer"); d > time.Second {
			t.Errorf("on again after %v", d)
		}
		(<-accepted).Close()
		second.Close()
	})
}

// packets sends many packets one way and counts what arrives, each with its number.
func (p *pairing) packets(from, to net.PacketConn) int {
	p.t.Helper()
	const sent = 1000
	dest := to.LocalAddr()
	for range sent {
		if _, err := from.WriteTo([]byte("x"), dest); err != nil {
			p.t.Fatal(err)
		}
	}
	to.SetReadDeadline(time.Now().Add(time.Second))
	for got := 0; ; got++ {
		n, addr, err := to.ReadFrom(make([]byte, 10))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil || n != 1 || addr.String() != from.LocalAddr().String() {
			p.t.Fatalf("%d bytes from %v: %v", n, addr, err)
		}
	}
}

func TestPackets(t *testing.T) {
	story(t, func(p *pairing) {
		if n := p.packets(p.pa, p.pb); n != 1000 {
			t.Errorf("%d arrive", n)
		}
		p.net.Loss(ipA, 0.3)
		for _, way := range [][2]net.PacketConn{{p.pa, p.pb}, {p.pb, p.pa}} {
			if n := p.packets(way[0], way[1]); n < 640 || n > 760 {
				t.Errorf("%d arrive with a loss of 30%%", n)
			}
		}
		p.net.Loss(ipA, 0)
		p.net.Cut(ipA, ipB)
		if n := p.packets(p.pa, p.pb); n != 0 {
			t.Errorf("%d arrive over a cut link", n)
		}
		p.net.HealAll()
		p.net.NoPackets(ipA, "10.0.0.3")
		if n := p.packets(p.pa, p.pb); n != 1000 {
			t.Errorf("%d arrive past a wall around another host", n)
		}
		p.net.Pause(ipA)
		if n := p.packets(p.pa, p.pb); n != 0 {
			t.Errorf("%d arrive from a paused host", n)
		}
		time.AfterFunc(time.Minute, func() { p.net.Resume(ipA) })
		p.pa.SetReadDeadline(time.Time{})
		p.pb.WriteTo([]byte("waits"), p.pa.LocalAddr())
		start := time.Now()
		if n, _, err := p.pa.ReadFrom(make([]byte, 10)); n != 5 || err != nil || time.Since(start) < 59*time.Second {
			t.Errorf("paused: %d bytes, %v, after %v", n, err, time.Since(start))
		}
		p.net.NoPackets(ipB, ipA)
		p.net.HealAll()
		for _, way := range [][2]net.PacketConn{{p.pa, p.pb}, {p.pb, p.pa}} {
			if n := p.packets(way[0], way[1]); n != 0 {
				t.Errorf("%d arrive through a wall", n)
			}
		}
		p.write(p.near, "connections pass")
		p.read(p.far, "connections pass")
		p.pa.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 77), Port: 1})
		p.pa.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1})
	})
}

func TestLossSlowsStreams(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Loss(ipB, 0.3)
		start := time.Now()
		var want bytes.Buffer
		for i := range 100 {
			text := string(rune('a' + i%26))
			want.WriteString(text)
			p.write(p.near, text)
			time.Sleep(time.Second)
		}
		p.read(p.far, want.String())
		if d := time.Since(start); d < 100*time.Second || d > 200*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestLatencyAndDelay(t *testing.T) {
	story(t, func(p *pairing) {
		p.net.Latency(10 * time.Millisecond)
		p.net.Delay(ipB, 40*time.Millisecond)
		p.write(p.near, "x")
		if d := p.read(p.far, "x"); d < 50*time.Millisecond || d > 55*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

func TestIPv6AndNewAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		h := n.Host("fd00::1")
		l, err := h.Listen(netip.MustParseAddrPort("[::]:80"))
		if err != nil || l.Addr().String() != "[fd00::1]:80" {
			t.Fatal(l, err)
		}
		if err := dial(t, n.Host("fd00::2"), "[fd00::1]:80"); err != nil {
			t.Error(err)
		}
		if n.Host("fd00::1") != h {
			t.Error("a living process was replaced")
		}
		n.Kill("fd00::1")
		n.Kill("fd00::2")
		if n.Host("fd00::1") == h || h.Addr() != netip.MustParseAddr("fd00::1") {
			t.Error("a dead process lives")
		}
		defer func() {
			if recover() == nil {
				t.Error("a name is an address")
			}
		}()
		n.Host("localhost")
	})
}
