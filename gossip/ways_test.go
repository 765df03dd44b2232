package gossip

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const simCalls = 8300

// wan makes the WAN pool of host i run, in a datacenter of its own. What stands for TLS is the port of calls.
func (s *sim) wan(i int, transport Transport, change ...func(*Config)) *Pool {
	s.t.Helper()
	host := s.net.Host(simHost(i))
	l, err := host.Listen(netip.AddrPortFrom(simAddr(i).Addr(), simCalls))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.start(i, func(c *Config) {
		c.Kind, c.Transport = WAN, transport
		c.Tags.Server, c.Tags.Datacenter, c.Tags.Transport, c.Tags.Ports.Server = true, "dc"+c.NodeName[4:], transport, simCalls
		c.Secure = &Secure{Listener: l, Dial: func(ctx context.Context, datacenter, address string) (net.Conn, error) {
			if want := simDatacenter(address); datacenter != "" && datacenter != want {
				s.t.Errorf("%s is to be a server of %q", address, datacenter)
			}
			return host.Dial(ctx, address)
		}}
		if transport == OverTLS {
			c.BindPort = simCalls
		}
		for _, more := range change {
			more(c)
		}
	})
}

func simDatacenter(address string) string {
	addr := netip.MustParseAddrPort(address).Addr().As4()
	return "dc" + string('0'+rune(addr[3]))
}

// noPackets drops UDP between all hosts.
func (s *sim) noPackets(hosts int) {
	for i := range hosts {
		for k := range i {
			s.net.NoPackets(simHost(i), simHost(k))
		}
	}
}

// enter makes p join another pool.
func (s *sim) enter(p, other *Pool) {
	s.t.Helper()
	at := netip.AddrPortFrom(other.Addr().Addr(), other.Addr().Port())
	if p.cfg.Transport == OverTLS {
		at = netip.AddrPortFrom(at.Addr(), simCalls)
	}
	if n, err := p.Join(context.Background(), []string{at.String()}); n != 1 || err != nil {
		s.t.Fatalf("join %s: %d, %v", at, n, err)
	}
}

// Where UDP is dropped, a WAN over TCP or TLS is as good as another: members stay alive, a death is noticed in time, a cut
// is, too, and its end.
func TestWANWithoutUDP(t *testing.T) {
	for _, transports := range [][]Transport{{OverTCP, OverTCP, OverTCP}, {OverTLS, OverTLS, OverTLS}, {OverTLS, OverTCP, OverUDP}} {
		simulate(t, func(s *sim) {
			s.noPackets(3)
			var log lockedBuffer
			for i, transport := range transports {
				p := s.wan(i, transport, logged(&log))
				if i > 0 {
					s.enter(s.pools[0], p)
				}
			}
			s.until(10*time.Second, "all are alive", all(s.pools, func(p *Pool) bool { return alive(p) == 3 }))
			for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
				for _, p := range s.pools {
					if alive(p) != 3 {
						t.Fatalf("%v: %s does not see all", transports, p.cfg.NodeName)
					}
				}
			}
			if text := log.String(); strings.Contains(text, "UDP probes failed") {
				t.Errorf("%v: packets are lost: %s", transports, text)
			}
			s.net.Isolate(simHost(2))
			s.until(time.Minute, "a cut is noticed", all(s.pools[:2], func(p *Pool) bool { return alive(p) == 2 }))
			s.net.HealAll()
			s.until(2*time.Minute, "its end is noticed", all(s.pools, func(p *Pool) bool { return alive(p) == 3 }))
			s.net.Vanish(simHost(2))
			s.until(time.Minute, "a death is noticed", all(s.pools[:2], func(p *Pool) bool { return statusOf(p, "node2.dc2") == StatusFailed }))
		})
	}
}

// Nothing listens that is not needed.
func TestTransportsListen(t *testing.T) {
	simulate(t, func(s *sim) {
		for i, transport := range []Transport{OverUDP, OverTCP, OverTLS} {
			p := s.wan(i, transport)
			udp, err := s.net.Host(simHost(i)).ListenPacket(simAddr(i))
			if (err != nil) != (transport == OverUDP) {
				t.Errorf("%v: the port of UDP: %v", transport, err)
			}
			tcp, err2 := s.net.Host(simHost(i)).Listen(simAddr(i))
			if (err2 != nil) != (transport != OverTLS) {
				t.Errorf("%v: the port of TCP: %v", transport, err2)
			}
			if err == nil {
				udp.Close()
			}
			if err2 == nil {
				tcp.Close()
			}
			want := simAddr(i).Port()
			if transport == OverTLS {
				want = simCalls
			}
			if p.Addr().Port() != want {
				t.Errorf("%v: others are told %v", transport, p.Addr())
			}
		}
	})
}

// The closer of two transports holds, and failed members are still reached.
func TestRoutes(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.7:8302")
	calls := netip.MustParseAddrPort("10.0.0.7:8300")
	for _, c := range []struct {
		own, other Transport
		want       Transport
		to         netip.AddrPort
	}{
		{OverUDP, OverUDP, OverUDP, at}, {OverUDP, OverTCP, OverTCP, at}, {OverUDP, OverTLS, OverTLS, calls},
		{OverTCP, OverUDP, OverTCP, at}, {OverTCP, OverTLS, OverTLS, calls}, {OverTLS, OverUDP, OverTLS, calls},
	} {
		g := newGuard(&Config{Kind: WAN, Transport: c.own}, nil)
		m := Member{Name: "s.dc7", Addr: at.Addr(), Port: at.Port(), Meta: Tags{Server: true, Datacenter: "dc7", Transport: c.other, Ports: Ports{Server: 8300}}}
		if got := g.route(at, "s.dc7"); got != (way{c.own, at, "dc7", false}) {
			t.Errorf("%v to an unknown one: %+v", c.own, got)
		}
		for _, event := range []EventType{MemberJoin, MemberFail} {
			g.seen(Event{Type: event, Member: m})
			if got := g.route(at, ""); got != (way{c.want, c.to, "dc7", true}) {
				t.Errorf("%v and %v: %+v", c.own, c.other, got)
			}
		}
		g.seen(Event{Type: MemberReap, Member: m})
		if g.route(at, "").member {
			t.Error("a member that is forgotten is known")
		}
	}
}

func TestTransportNames(t *testing.T) {
	for i, name := range Transports() {
		if got := ParseTransport(name); got != Transport(i) || got.String() != name {
			t.Errorf("%s is %v", name, got)
		}
	}
	if ParseTransport("pigeons") != OverUDP {
		t.Error("an unknown transport")
	}
}

func TestTransportIsForWANs(t *testing.T) {
	for _, c := range []Config{
		{NodeName: "n", Transport: OverTCP}, {NodeName: "n", Secure: &Secure{}},
		{NodeName: "n", Kind: WAN, Tags: Tags{Server: true}, Transport: OverTLS},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%v, %v", c.Kind, c.Transport)
		}
	}
}
