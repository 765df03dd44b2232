package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// logged makes a pool log to a buffer.
func logged(out *lockedBuffer) func(*Config) {
	return func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(out, nil)) }
}

// cluster starts the pools of hosts 0 to n-1 and joins them.
func (s *sim) cluster(n int, change func(*Config)) {
	s.t.Helper()
	for i := range n {
		s.start(i, change)
		if i > 0 {
			s.join(s.pools[i], 0)
		}
	}
	s.until(time.Minute, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == n }))
}

// names expects a text to name all of these.
func names(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("does not name %s:\n%s", w, text)
		}
	}
}

func TestTakenNameStaysWithTheLiving(t *testing.T) {
	for n := 1; n < 5; n += 3 {
		simulate(t, func(s *sim) {
			var out lockedBuffer
			s.cluster(n, logged(&out))
			twin := s.start(9, func(c *Config) { c.NodeName = "node0" })
			var err error
			for i := range n {
				var joined int
				if joined, err = twin.Join(context.Background(), []string{simAddr(i).String()}); joined != 0 || err == nil {
					t.Fatalf("joined %d: %v", joined, err)
				}
				names(t, err.Error(), "node0", "10.0.0.0:8301", "id-0", "10.0.0.9:8301", "id-9")
			}
			names(t, out.String(), "node0", "10.0.0.0:8301", "id-0", "10.0.0.9:8301", "id-9")
			time.Sleep(5 * time.Minute)
			for i, p := range s.pools[:n] {
				if alive(p) != n || s.address(p, "node0") != simAddr(0) {
					t.Errorf("member %d sees %v", i, p.Members())
				}
			}
			if alive(twin) != 1 {
				t.Errorf("the newcomer sees %v", twin.Members())
			}
			if n == 1 {
				return
			}
			s.pools[0].Stop()
			s.until(time.Minute, "the newcomer gets the name of the dead", func() bool {
				n, _ := twin.Join(context.Background(), []string{simAddr(1).String()})
				return n == 1
			})
			s.until(time.Minute, "all see it", all(s.pools[1:], func(p *Pool) bool {
				return alive(p) == n && s.address(p, "node0") == simAddr(9)
			}))
		})
	}
}

// address returns where p finds a member.
func (s *sim) address(p *Pool, name string) netip.AddrPort {
	for _, m := range p.Members() {
		if m.Name == name {
			return m.AddrPort()
		}
	}
	return netip.AddrPort{}
}

func TestTakenIDStaysWithTheLiving(t *testing.T) {
	simulate(t, func(s *sim) {
		s.cluster(3, nil)
		copied := s.start(9, func(c *Config) { c.Tags.ID = "id-1" })
		n, err := copied.Join(context.Background(), []string{simAddr(0).String()})
		if n != 0 || err == nil {
			t.Fatalf("joined %d: %v", n, err)
		}
		names(t, err.Error(), "node1", "10.0.0.1:8301", "id-1", "node9", "10.0.0.9:8301")
		s.pools[1].Stop()
		s.until(time.Minute, "the other is dead", func() bool { return statusOf(s.pools[0], "node1") == StatusFailed })
		s.join(copied, 0)
		s.until(time.Minute, "it is in", all(s.pools[2:3], func(p *Pool) bool { return statusOf(p, "node9") == StatusAlive }))
	})
}

// A cluster was cut in two; in each half somebody has the same name.
func TestHalvesWithOneNameTwiceComeTogether(t *testing.T) {
	simulate(t, func(s *sim) {
		s.cluster(6, nil)
		half := []string{simHost(3), simHost(4), simHost(5), simHost(9)}
		s.net.Partition(half)
		s.until(time.Minute, "they are apart", all(s.pools, func(p *Pool) bool { return alive(p) == 3 }))
		twin := s.start(9, func(c *Config) { c.NodeName = "node1" })
		s.join(twin, 3)
		s.until(time.Minute, "it is in", all(s.pools[3:6], func(p *Pool) bool { return alive(p) == 4 }))
		s.net.HealAll()
		s.until(10*time.Minute, "they are together", all(s.pools[:6], func(p *Pool) bool { return alive(p) == 6 }))
		for i, p := range s.pools[:6] {
			if want := simAddr(1 + 8*(i/3)); s.address(p, "node1") != want {
				t.Errorf("member %d finds node1 at %v, not %v", i, s.address(p, "node1"), want)
			}
		}
		twin.Stop()
		s.until(5*time.Minute, "the one that lives has it", all(s.pools[:6], func(p *Pool) bool {
			return alive(p) == 6 && s.address(p, "node1") == simAddr(1)
		}))
	})
}

func TestReturnWithNewAddressAtOnce(t *testing.T) {
	simulate(t, func(s *sim) {
		s.cluster(5, nil)
		s.pools[2].Stop()
		start := time.Now()
		moved := s.start(9, func(c *Config) { c.NodeName, c.Tags.ID = "node2", "id-2" })
		s.join(moved, 1)
		others := append(append([]*Pool{}, s.pools[:2]...), s.pools[3:]...)
		s.until(time.Minute, "all find it", all(others, func(p *Pool) bool {
			return alive(p) == 5 && s.address(p, "node2") == simAddr(9)
		}))
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("found at its new address after %v", d)
		}
	})
}

func TestReturnWithNewIDAtTheSameAddress(t *testing.T) {
	simulate(t, func(s *sim) {
		s.cluster(3, nil)
		s.pools[2].Stop()
		wiped := s.start(2, func(c *Config) { c.Tags.ID = "id-new" })
		s.join(wiped, 0)
		s.until(time.Minute, "all see its new id", all(s.pools[:2], func(p *Pool) bool {
			for _, m := range p.Members() {
				if m.Name == "node2" {
					return m.Meta.ID == "id-new" && m.Status == StatusAlive
				}
			}
			return false
		}))
	})
}

func TestRefusals(t *testing.T) {
	g := newGuard(&Config{NodeName: "a", Tags: Tags{Datacenter: "dc1", ClusterID: "one"}}, slog.New(slog.DiscardHandler))
	node := func(change func(*memberlist.Node)) *memberlist.Node {
		n := &memberlist.Node{Name: "b", Addr: []byte{10, 0, 0, 2}, Port: 8301, State: memberlist.StateAlive,
			Meta: meta(Tags{Datacenter: "dc1", ID: "id-b"})}
		change(n)
		return n
	}
	for _, c := range []struct {
		reason string
		node   *memberlist.Node
	}{
		{"", node(func(*memberlist.Node) {})},
		{"", node(func(n *memberlist.Node) { n.Meta = nil })},
		{"", node(func(n *memberlist.Node) { n.Meta = []byte{255, 0xff} })},
		{`member "b" at 10.0.0.2:8301: part of datacenter "dc2", not "dc1"`, node(func(n *memberlist.Node) { n.Meta = meta(Tags{Datacenter: "dc2"}) })},
		{"part of cluster two, not one", node(func(n *memberlist.Node) { n.Meta = meta(Tags{Datacenter: "dc1", ClusterID: "two"}) })},
		{errBadName.Error(), node(func(n *memberlist.Node) { n.Name = "" })},
		{errBadName.Error(), node(func(n *memberlist.Node) { n.Name = strings.Repeat("x", MaxNodeName+1) })},
		{"address of 3 bytes", node(func(n *memberlist.Node) { n.Addr = []byte{1, 2, 3} })},
		{"address of 0 bytes", node(func(n *memberlist.Node) { n.Addr = nil })},
	} {
		for _, err := range []error{g.NotifyAlive(c.node), g.NotifyMerge([]*memberlist.Node{c.node})} {
			if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, want %q", err, c.reason)
			}
		}
		c.node.State = memberlist.StateDead
		if err := g.NotifyMerge([]*memberlist.Node{c.node}); err != nil {
			t.Errorf("a dead member keeps others out: %v", err)
		}
	}
}

// meta writes tags as serf does.
func meta(t Tags) []byte { return message(255, t.Encode()) }
