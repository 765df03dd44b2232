package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lictor/internal/fakenet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sim is pools in fake network and time.
type sim struct {
	t     *testing.T
	net   *fakenet.Network
	pools []*Pool
}

// simulate runs a story in a bubble of fake time and stops what it started.
func simulate(t *testing.T, story func(*sim)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &sim{t: t, net: fakenet.New(1)}
		defer func() {
			for _, p := range s.pools {
				if err := p.Stop(); err != nil {
					t.Errorf("stop: %v", err)
				}
			}
			time.Sleep(2 * time.Minute) // time stands still after this; probes in flight end before
		}()
		story(s)
	})
}

func simAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 8301)
}

func simHost(i int) string { return simAddr(i).Addr().String() }

func simConfig(i int) Config {
	return Config{
		NodeName: fmt.Sprintf("node%d", i),
		Tags:     Tags{Datacenter: "dc1", ID: fmt.Sprintf("id-%d", i), Build: "1.21.4:abc"},
		Logger:   slog.New(slog.DiscardHandler),
	}
}

// start makes the pool of host i run.
func (s *sim) start(i int, change func(*Config)) *Pool {
	s.t.Helper()
	cfg := simConfig(i)
	cfg.Network = s.net.Host(simHost(i))
	cfg.BindAddr, cfg.BindPort = simHost(i), 8301
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.pools = append(s.pools, p)
	return p
}

// join makes p join host i.
func (s *sim) join(p *Pool, i int) {
	s.t.Helper()
	if n, err := p.Join(context.Background(), []string{simAddr(i).String()}); n != 1 || err != nil {
		s.t.Fatalf("join: %d, %v", n, err)
	}
}

// until waits in fake time for a condition.
func (s *sim) until(limit time.Duration, what string, cond func() bool) {
	s.t.Helper()
	for start := time.Now(); !cond(); {
		if time.Since(start) > limit {
			s.t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// statusOf returns how p sees a member.
func statusOf(p *Pool, name string) Status {
	for _, m := range p.Members() {
		if m.Name == name {
			return m.Status
		}
	}
	return StatusNone
}

func alive(p *Pool) int {
	n := 0
	for _, m := range p.Members() {
		if m.Status == StatusAlive {
			n++
		}
	}
	return n
}

func all(pools []*Pool, cond func(*Pool) bool) func() bool {
	return func() bool {
		for _, p := range pools {
			if !cond(p) {
				return false
			}
		}
		return true
	}
}
