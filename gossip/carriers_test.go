package gossip

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/internal/fakenet"
)

// porters are carriers between hosts of a fake network. Those who accept note what comes.
type porters struct {
	*carriers
	net  *fakenet.Network
	wg   sync.WaitGroup
	mu   sync.Mutex // guards got
	got  map[netip.AddrPort][]string
	here *fakenet.Host
}

func carry(t *testing.T, story func(*porters)) {
	synctest.Test(t, func(t *testing.T) {
		p := &porters{net: fakenet.New(1), got: map[netip.AddrPort][]string{}}
		p.here = p.net.Host("10.0.0.100")
		ctx, cancel := context.WithCancel(t.Context())
		p.carriers = newCarriers(ctx, &p.wg, func(ctx context.Context, w way) (net.Conn, error) {
			return p.here.Dial(ctx, w.to.String())
		}, slog.New(slog.DiscardHandler))
		story(p)
		cancel()
		p.wg.Wait()
		if len(p.all) != 0 || p.unknown != 0 {
			t.Errorf("%d carriers are left", len(p.all))
		}
	})
}

// accept runs a host that takes packets.
func (p *porters) accept(t *testing.T, i int) way {
	t.Helper()
	at := simAddr(i)
	l, err := p.net.Host(simHost(i)).Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.take(at, conn) })
		}
	})
	context.AfterFunc(p.ctx, func() { l.Close() })
	return way{transport: OverTCP, to: at, member: true}
}

func (p *porters) take(at netip.AddrPort, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(p.ctx, func() { conn.Close() })
	defer stop()
	in := bufio.NewReader(conn)
	if first, err := in.ReadByte(); err != nil || first != packetStream {
		return
	}
	for f := (&frames{conn: conn, in: in}); ; {
		b, err := f.next()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.got[at] = append(p.got[at], string(b))
		p.mu.Unlock()
	}
}

// count counts the carriers that go on.
func (c *carriers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (p *porters) count(w way) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got[w.to])
}

// Packets come whole, in order, and over one connection.
func TestCarriersCarry(t *testing.T) {
	carry(t, func(p *porters) {
		w := p.accept(t, 1)
		for i := range 50 {
			if err := p.send(w, fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte("x"), i*100))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if p.count(w) != 50 {
			t.Fatalf("%d packets came", p.count(w))
		}
		for i, got := range p.got[w.to] {
			if want := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("x"), i*100)); got != want {
				t.Errorf("packet %d is %.10q", i, got)
			}
		}
		for _, b := range [][]byte{nil, make([]byte, maxFrame+1)} {
			if err := p.send(w, b); !errors.Is(err, errFrame) {
				t.Errorf("a packet of %d bytes: %v", len(b), err)
			}
		}
		time.Sleep(2 * carrierIdle)
		if n := p.carriers.count(); n != 0 {
			t.Errorf("%d carriers go on with nothing to carry", n)
		}
		if err := p.send(w, []byte("again")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if p.count(w) != 51 {
			t.Error("a carrier that had ended does not begin again")
		}
	})
}

// A host that does not answer costs its own packets and nobody else's.
func TestCarriersDoNotWaitForEachOther(t *testing.T) {
	carry(t, func(p *porters) {
		well, mute := p.accept(t, 1), way{transport: OverTCP, to: simAddr(2), member: true}
		for i := range 10_000 {
			p.send(mute, fmt.Append(nil, i))
		}
		begun := time.Now()
		p.send(well, []byte("x"))
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		if p.count(well) != 1 || time.Since(begun) > 20*time.Millisecond {
			t.Error("a packet waited for those to another host")
		}
		p.mu.Lock()
		if n := len(p.all[mute].queue); n > maxQueued {
			t.Errorf("%d packets wait", n)
		}
		p.mu.Unlock()
		for i := range 100 {
			p.send(way{transport: OverTCP, to: simAddr(1000 + i)}, []byte("x"))
		}
		if p.unknown > maxUnknown {
			t.Errorf("%d carriers to who is no member", p.unknown)
		}
	})
}

// Of too many packets the newest arrive.
func TestCarriersDropTheOldest(t *testing.T) {
	carry(t, func(p *porters) {
		w := p.accept(t, 1)
		for i := range 1000 {
			p.send(w, fmt.Append(nil, i))
		}
		time.Sleep(time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		got := p.got[w.to]
		if len(got) < maxQueued || len(got) > maxQueued+1 || got[len(got)-1] != "999" {
			t.Errorf("%d packets came, the last is %q", len(got), got[len(got)-1])
		}
	})
}

// A connection that leads nowhere any more is given up in seconds, and another one made.
func TestCarriersDialAnew(t *testing.T) {
	carry(t, func(p *porters) {
		w := p.accept(t, 1)
		p.send(w, []byte("before"))
		time.Sleep(time.Second)
		p.net.Cut("10.0.0.100", simHost(1))
		for range 60 {
			p.send(w, []byte("during"))
			time.Sleep(time.Second)
		}
		p.net.HealAll()
		begun := time.Now()
		for before := p.count(w); p.count(w) == before; time.Sleep(100 * time.Millisecond) {
			if p.send(w, []byte("after")); time.Since(begun) > openTimeout+redialMax {
				t.Fatal("nothing arrives after the cut")
			}
		}
	})
}

// A host that takes connections and closes them, as one that refuses a certificate does, is dialled less and less often.
func TestCarriersDoNotHurry(t *testing.T) {
	carry(t, func(p *porters) {
		l, err := p.net.Host(simHost(1)).Listen(simAddr(1))
		if err != nil {
			t.Fatal(err)
		}
		var dialled atomic.Int64
		p.wg.Go(func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				conn.Close()
				dialled.Add(1)
			}
		})
		for range 10 * 60 {
			p.send(way{transport: OverTCP, to: simAddr(1), member: true}, []byte("x"))
			time.Sleep(100 * time.Millisecond)
		}
		l.Close()
		if n := dialled.Load(); n < 5 || n > 30 {
			t.Errorf("dialled %d times in a minute", n)
		}
	})
}

// Who breaks the rules of frames, or is silent in the middle of one, is cut off.
func TestFramesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, b := range map[string][]byte{
			"an empty packet": {0, 0}, "a packet too long": {0xff, 0xff}, "half a packet": {0, 9, 'x'}, "half a length": {0},
		} {
			near, far := net.Pipe()
			go near.Write(b)
			begun := time.Now()
			f := &frames{conn: far, in: bufio.NewReader(far)}
			if _, err := f.next(); err == nil || time.Since(begun) > streamTimeout {
				t.Errorf("%s: %v after %s", name, err, time.Since(begun))
			}
			near.Close()
			far.Close()
		}
	})
}

func TestArrivalsAreBounded(t *testing.T) {
	a := &arrivals{from: map[netip.Addr]int{}}
	one := netip.MustParseAddr("10.0.0.1")
	for range maxCarriedEach {
		if !a.enter(one) {
			t.Fatal("refused")
		}
	}
	if a.enter(one) {
		t.Error("one address takes more than its share")
	}
	other := one
	for a.all < maxCarried {
		if other = other.Next(); !a.enter(other) {
			t.Fatal("refused")
		}
	}
	if a.enter(other.Next()) {
		t.Error("more than all")
	}
	a.leave(one)
	if !a.enter(one) {
		t.Error("a place that was left is not free")
	}
}

// FuzzFrames reads what strangers send: every packet is within bounds, and together they are what was sent.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, []byte("one")), []byte{msgPing, 0x80}))
	f.Add([]byte{0, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Add(appendFrame(nil, make([]byte, maxFrame)))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn := &ackConn{Conn: newBytesConn(b)}
		in := &frames{conn: conn, in: bufio.NewReader(conn)}
		var again []byte
		packets := 0
		for {
			p, err := in.next()
			if err != nil {
				break
			}
			if len(p) == 0 || len(p) > maxFrame {
				t.Fatalf("a packet of %d bytes", len(p))
			}
			again = appendFrame(again, p)
			packets++
		}
		if !bytes.HasPrefix(b, again) {
			t.Error("packets are not what was sent")
		}
		if conn.acked > packets || packets-conn.acked > maxOwed {
			t.Errorf("%d of %d packets are acknowledged", conn.acked, packets)
		}
	})
}

// ackConn counts what is written to a connection.
type ackConn struct {
	net.Conn
	acked int
}

func (c *ackConn) Write(b []byte) (int, error) {
	c.acked += len(b)
	return c.Conn.Write(b)
}

// FuzzAcks reads what a server answers that may be none.
func FuzzAcks(f *testing.F) {
	f.Add([]byte("AAAA"), 4)
	f.Add([]byte("AAAB"), 9)
	f.Fuzz(func(t *testing.T, b []byte, owed int) {
		a := &acks{conn: newBytesConn(b), owed: max(owed, 0)}
		err := a.read()
		wrong := len(bytes.Trim(b, string(rune(packetAck)))) > 0 || len(b) > max(owed, 0)
		if !wrong && !errors.Is(err, io.EOF) || a.owed < 0 && !errors.Is(err, errFrame) {
			t.Errorf("%q, of %d: %v", b, owed, err)
		}
	})
}
