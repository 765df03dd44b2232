//go:build sim

package gossip

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A meter counts what is sent through it.
type meter struct {
	packets, packetBytes atomic.Int64
	streams, streamBytes atomic.Int64
}

// metered is a network whose traffic a meter counts: packets, and streams where they are dialled, both ways.
type metered struct {
	Network
	*meter
}

func (m metered) ListenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	conn, err := m.Network.ListenPacket(addr)
	return meteredPackets{conn, m.meter}, err
}

func (m metered) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := m.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	m.streams.Add(1)
	return meteredStream{conn, m.meter}, nil
}

type meteredPackets struct {
	net.PacketConn
	*meter
}

func (c meteredPackets) WriteTo(b []byte, addr net.Addr) (int, error) {
	c.packets.Add(1)
	c.packetBytes.Add(int64(len(b)))
	return c.PacketConn.WriteTo(b, addr)
}

type meteredStream struct {
	net.Conn
	*meter
}

func (c meteredStream) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.streamBytes.Add(int64(n))
	return n, err
}

func (c meteredStream) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.streamBytes.Add(int64(n))
	return n, err
}

// A load is what one server of a WAN bears, and how quickly news get about in it.
type load struct {
	servers     int
	packets     float64       // a second, when nothing happens
	bytes       float64       // a second, in packets and streams
	heap        float64       // KiB
	join, death time.Duration // of several joins the median
}

const (
	serversEach = 3
	wanLatency  = 40 * time.Millisecond // one way
	idleFor     = 20 * time.Minute
	joinsEach   = 5           // now and then gossip leaves somebody out,
	exchange    = time.Minute // who then hears it within this, when two servers exchange all that they know
)

// bear runs a WAN of so many datacenters and measures it.
func bear(t *testing.T, datacenters int) (l load) {
	l.servers = datacenters * serversEach
	simulate(t, func(s *sim) {
		s.net.Latency(wanLatency)
		m := new(meter)
		c := &crowd{sim: s, heard: map[string][]time.Time{}}
		begin := func(i int) *Pool {
			p := s.start(i, func(cfg *Config) {
				cfg.Kind = WAN
				cfg.Tags.Server, cfg.Tags.Datacenter = true, fmt.Sprintf("dc%d", i/serversEach+1)
				cfg.Network = metered{cfg.Network, m}
			})
			go c.follow(p)
			if i > 0 {
				s.join(p, 0)
			}
			return p
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range l.servers {
			begin(i)
		}
		s.until(10*time.Minute, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == l.servers }))
		time.Sleep(5 * time.Minute) // what is under way has been said
		packets, bytes := m.packets.Load(), m.packetBytes.Load()+m.streamBytes.Load()
		time.Sleep(idleFor)
		each := float64(l.servers) * idleFor.Seconds()
		l.packets = float64(m.packets.Load()-packets) / each
		l.bytes = float64(m.packetBytes.Load()+m.streamBytes.Load()-bytes) / each
		runtime.GC()
		runtime.ReadMemStats(&after)
		l.heap = (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / 1024 / float64(l.servers)

		name := func(i int) string { return fmt.Sprintf("node%d.dc%d", i, i/serversEach+1) }
		var joins []time.Duration
		for i := l.servers; i < l.servers+joinsEach; i++ {
			c.ask("join " + name(i))
			begin(i)
			_, _, last := c.spread("join "+name(i), i, 2*exchange)
			joins = append(joins, last)
			time.Sleep(exchange)
		}
		slices.Sort(joins)
		l.join = joins[joinsEach/2]

		var lost []string
		for i := serversEach; i < 2*serversEach; i++ {
			lost = append(lost, "fail "+name(i))
			c.ask(lost[i-serversEach])
		}
		for i := serversEach; i < 2*serversEach; i++ {
			s.net.Vanish(simHost(i))
		}
		survivors := l.servers + joinsEach - serversEach
		for _, key := range lost {
			_, _, last := c.spread(key, survivors, 10*time.Minute)
			l.death = max(l.death, last)
		}
	})
	return l
}

// TestScaleOfWAN lets WANs of 5, 10 and 20 datacenters idle, a server join and a whole datacenter die, prints what that costs
// each server and how long it takes beside what the theory of SWIM and Lifeguard expects, and fails if a server bears more
// than its share of a larger WAN.
func TestScaleOfWAN(t *testing.T) {
	tuning := DefaultTuning(WAN)
	var first load
	for _, datacenters := range []int{5, 10, 20} {
		l := bear(t, datacenters)
		n := float64(l.servers)
		rounds := math.Log(n) / math.Log(float64(tuning.GossipNodes+1))
		news := time.Duration(rounds * float64(tuning.GossipInterval+wanLatency))
		interval := float64(tuning.ProbeInterval)
		suspicion := float64(tuning.SuspicionMult) * math.Max(1, math.Log10(n)) * interval
		death := time.Duration(interval*math.E/(math.E-1)+interval+suspicion) + news
		swim := 2 / tuning.ProbeInterval.Seconds() // a probe and an answer
		t.Logf("%2d datacenters, %2d servers: %.2f packets a second from each (theory: %.2f), %.0f bytes a second, %.0f KiB of heap; a join is known to all after %.1f s (%.1f s), the death of a datacenter after %.0f s (%.0f s)",
			datacenters, l.servers, l.packets, swim, l.bytes, l.heap, l.join.Seconds(), news.Seconds(), l.death.Seconds(), death.Seconds())
		if l.packets > 1.5*swim {
			t.Errorf("a server sends %.2f packets a second, and the theory is %.2f however large the WAN is", l.packets, swim)
		}
		if l.join > 3*news+tuning.GossipInterval {
			t.Errorf("a join takes %s", l.join)
		}
		if l.death > 2*death {
			t.Errorf("the death of a datacenter takes %s to be known", l.death)
		}
		if first.servers == 0 {
			first = l
			continue
		}
		growth := n / float64(first.servers)
		for what, grew := range map[string]float64{"bytes": l.bytes / first.bytes, "heap": l.heap / first.heap} {
			if grew > 1.25*growth {
				t.Errorf("of %.0f times as many servers, each bears %.1f times as many %s", growth, grew, what)
			}
		}
	}
}
