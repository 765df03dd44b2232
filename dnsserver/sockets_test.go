package dnsserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// started is a Server on loopback, stopped at the test's end with nothing left behind.
func started(t *testing.T, c Config, address string) (*Server, string) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	s := New(c)
	t.Cleanup(s.Stop)
	if err := s.Start(address); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
	return s, net.JoinHostPort("127.0.0.1", port)
}

func request(t *testing.T, network, address string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, address)
	if err != nil {
		t.Fatalf("%s %v: %v", network, m.Question, err)
	}
	return r
}

func TestSockets(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			s, address := started(t, Config{Lookup: town(), Datacenter: "dc1", Settings: Defaults()}, listen)
			for range 3 {
				for _, network := range []string{"udp", "tcp"} {
					if r := request(t, network, address, question("Web.service.consul", "A")); len(r.Answer) != 2 {
						t.Errorf("%s: %v", network, r)
					}
				}
			}
			if _, port, _ := net.SplitHostPort(address); listen != "127.0.0.1:0" && runtime.GOOS == "linux" {
				for range 2 { // answers come from the address that was asked
					if r := request(t, "udp", net.JoinHostPort("127.0.0.2", port), question("n1.node.consul", "A")); len(r.Answer) != 1 {
						t.Errorf("at another address: %v", r)
					}
				}
			}
			if err := New(Config{Lookup: town()}).Start(s.Addrs()[0].String()); err == nil {
				t.Error("two servers share an address")
			}
		})
	}
}

func TestReloadUnderLoad(t *testing.T) {
	s, address := started(t, Config{Lookup: town(), Datacenter: "dc1", Settings: Defaults()}, "127.0.0.1:0")
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 200 {
				if r := request(t, "udp", address, question("web.service.consul", "SRV")); len(r.Answer) != 3 {
					t.Errorf("got %v", r)
				}
			}
		})
	}
	for i := range 50 {
		settings := Defaults()
		settings.NodeTTL = time.Duration(i) * time.Second
		s.Reload(settings)
	}
	running.Wait()
}

// TestBadPackets sends what is no question: it is answered or dropped, and the server goes on.
func TestBadPackets(t *testing.T) {
	_, address := started(t, Config{Lookup: town(), Datacenter: "dc1", Settings: Defaults()}, "127.0.0.1:0")
	good, _ := question("n1.node.consul", "A").Pack()
	answerTo := func(packet []byte, dropped bool) []byte {
		c, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(packet)
		if dropped { // then the next one is answered
			c.Write(good)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	good[0], good[1] = 0xaa, 0xbb
	header := func(flags uint16, counts ...uint16) []byte {
		b := []byte{1, 2}
		b = binary.BigEndian.AppendUint16(b, flags)
		for i := range 4 {
			n := uint16(0)
			if i < len(counts) {
				n = counts[i]
			}
			b = binary.BigEndian.AppendUint16(b, n)
		}
		return b
	}
	for name, c := range map[string]struct {
		packet []byte
		rcode  int // -1 is none
	}{
		"nothing":         {[]byte{}, -1},
		"short":           {[]byte{1, 2, 3}, -1},
		"answer":          {header(0x8000, 1), -1},
		"no question":     {header(0x0100), dns.RcodeFormatError},
		"cut question":    {header(0x0100, 1), dns.RcodeFormatError},
		"two questions":   {append(header(0x0100, 2), bytes.Repeat(good[12:], 2)...), dns.RcodeFormatError},
		"pointer":         {append(header(0, 1), 0xc0, 12, 0, 1, 0, 1), dns.RcodeFormatError},
		"cut record":      {append(header(0, 1, 0, 0, 1), good[12:]...), dns.RcodeSuccess},
		"update":          {append(header(5<<11, 1), good[12:]...), dns.RcodeNotImplemented},
		"random":          {bytes.Repeat([]byte{0x55}, 300), dns.RcodeNotImplemented},
		"long label":      {append(header(0, 1), append([]byte{64}, make([]byte, 70)...)...), dns.RcodeFormatError},
		"overlong name":   {append(header(0, 1), append(bytes.Repeat([]byte{1, 'a'}, 140), 0, 0, 1, 0, 1)...), dns.RcodeFormatError},
		"larger than any": {append(header(0, 1), make([]byte, 8000)...), dns.RcodeRefused},
	} {
		got := answerTo(c.packet, c.rcode < 0)
		if bytes.HasPrefix(got, good[:2]) != (c.rcode < 0) || c.rcode >= 0 && int(got[3]&0xf) != c.rcode {
			t.Errorf("%s: got % x", name, got)
		}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{0xff, 0xff, 1, 2, 3})
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("an overlong question over TCP: %v", err)
	}
}

// upstream is a recursor that knows one address, and how often it was asked.
func upstream(t *testing.T, rcode int) (string, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	d := &dns.Server{PacketConn: p, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		r := new(dns.Msg).SetRcode(m, rcode)
		if rcode == dns.RcodeSuccess {
			rr, _ := dns.NewRR(m.Question[0].Name + " 60 IN A 192.0.2.1")
			r.Answer = []dns.RR{rr}
		}
		w.WriteMsg(r)
	})}
	done := make(chan struct{})
	go func() { defer close(done); d.ActivateAndServe() }()
	<-up
	t.Cleanup(func() { d.Shutdown(); <-done })
	return p.LocalAddr().String(), &asked
}

func TestRecursors(t *testing.T) {
	good, asked := upstream(t, dns.RcodeSuccess)
	bad, refused := upstream(t, dns.RcodeServerFailure)
	settings := func(recursors ...string) Settings {
		s := Defaults()
		s.Recursors, s.RecursorTimeout = recursors, 2*time.Second
		return s
	}
	s := New(Config{Lookup: town(), Datacenter: "dc1", Settings: settings(bad, good)})
	defer s.Stop()
	get := func(m *dns.Msg) *dns.Msg { return ask(t, s, m, false) }
	if r := get(question("example.com", "A")); r.Rcode != 0 || len(r.Answer) != 1 || !r.RecursionAvailable || refused.Load() != 1 || asked.Load() != 1 {
		t.Errorf("got %v", r)
	}
	if r := get(question("4.3.2.1.in-addr.arpa", "PTR")); len(r.Answer) != 1 {
		t.Errorf("reverse lookup: %v", r)
	}
	if r := get(question("nhost.node.consul", "A")); len(r.Answer) != 2 || !r.Authoritative || !r.RecursionAvailable {
		t.Errorf("host name as address: %v", r)
	}
	if r := get(question("named.service.consul", "A")); len(r.Answer) != 2 {
		t.Errorf("host name as service address: %v", r)
	}
	before := asked.Load()
	if r := get(question("none.node.consul", "A")); r.Rcode != dns.RcodeNameError || asked.Load() != before {
		t.Errorf("a name of ours: %v", r)
	}
	s.Reload(settings(bad))
	if r := get(question("example.com", "A")); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("no recursor answers: %v", r)
	}
	norec := question("example.com", "A")
	norec.RecursionDesired = false
	if r := get(norec); r.Rcode != dns.RcodeRefused {
		t.Errorf("recursion not desired: %v", r)
	}
}

// TestSilentRecursor has a recursor that never answers, and many who wait for it: our own names are answered all the same.
func TestSilentRecursor(t *testing.T) {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	settings := Defaults()
	settings.Recursors, settings.RecursorTimeout = []string{p.LocalAddr().String()}, time.Minute
	s, address := started(t, Config{Lookup: town(), Datacenter: "dc1", Settings: settings}, "127.0.0.1:0")
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	packet, _ := question("example.com", "A").Pack()
	for waiting := range maxRecursing {
		c.Write(packet)
		for len(s.recursing) == waiting {
			runtime.Gosched()
		}
	}
	if r := request(t, "udp", address, question("web.service.consul", "A")); len(r.Answer) != 2 {
		t.Errorf("got %v", r)
	}
	if r := request(t, "udp", address, question("example.com", "A")); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many: %v", r)
	}
}

// TestRecursorIsItself has a server that is its own recursor: it does not ask itself.
func TestRecursorIsItself(t *testing.T) {
	s, address := started(t, Config{Lookup: town(), Datacenter: "dc1", Settings: Defaults()}, "127.0.0.1:0")
	settings := Defaults()
	settings.Recursors = []string{address}
	s.Reload(settings)
	if r := request(t, "udp", address, question("example.com", "A")); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v", r)
	}
}

func FuzzPacket(f *testing.F) {
	for _, name := range []string{"web.service.consul", "1.0.0.10.in-addr.arpa", "n1.node.dc1.consul", ".", "7f000001.addr.consul"} {
		for _, qtype := range []string{"A", "SRV", "ANY", "SOA"} {
			m := question(name, qtype)
			b, _ := m.Pack()
			f.Add(b, false)
			m.SetEdns0(1232, true)
			b, _ = m.Pack()
			f.Add(b, true)
		}
	}
	settings := Defaults()
	s := New(Config{Lookup: town(), Datacenter: "dc1", AltDomain: "alt.example", Settings: settings, MaxAnswers: 64, MaxBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		slow := s.answer(context.Background(), packet, tcp)
		fast, ok := s.fast(packet, tcp, nil)
		if ok && slow == nil {
			t.Fatal("answered only from what is packed")
		}
		for _, b := range [][]byte{slow, fast} {
			if len(b) == 0 {
				continue
			}
			var m dns.Msg
			if err := m.Unpack(b); err != nil {
				t.Fatalf("% x: %v", b, err)
			}
			if !bytes.Equal(b[:2], packet[:2]) || !m.Response {
				t.Fatalf("% x is no answer to % x", b, packet)
			}
		}
	})
}
