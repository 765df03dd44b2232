package gossip

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeysOfAWholeCluster(t *testing.T) {
	dirs := make([]string, 5)
	for i := range dirs {
		dirs[i] = t.TempDir()
	}
	simulate(t, func(s *sim) {
		i := 0
		s.cluster(5, func(c *Config) {
			encrypted(keyA, dirs[i])(c)
			i++
		})
		ctx, none := context.Background(), KeyOptions{}
		p := s.pools[1]
		s.net.Isolate(simHost(4))
		report, err := p.InstallKey(ctx, keyB, none)
		if err == nil || err.Error() != "4/5 nodes reported success" || report.NumResp != 4 {
			t.Errorf("with one away: %v, %+v", err, report)
		}
		s.net.HealAll()
		s.until(10*time.Minute, "it is back", all(s.pools, func(p *Pool) bool { return alive(p) == 5 }))
		if report, err = p.ListKeys(ctx, none); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]int{keyA: 5, keyB: 4}, report.Keys); diff != "" {
			t.Error(diff)
		}
		const notAll = "not all members hold the key: install it first (4 of 5 do)"
		if report, err = p.UseKey(ctx, keyB, none); err == nil || err.Error() != notAll {
			t.Errorf("one does not have the key: %v, %+v", err, report)
		}
		ring := s.pools[4].keys.ring
		if err := errors.Join(ring.AddKey(raw(keyB)), ring.UseKey(raw(keyB))); err != nil {
			t.Fatal(err)
		}
		const used = "some members encrypt with the key: use another one first (1 of 5 do)"
		if report, err = p.RemoveKey(ctx, keyB, none); err == nil || err.Error() != used {
			t.Errorf("one uses the key: %v, %+v", err, report)
		}
		for _, op := range []func(context.Context, string, KeyOptions) (KeyringReport, error){p.InstallKey, p.UseKey} {
			if report, err = op(ctx, keyB, none); err != nil {
				t.Fatalf("%v: %+v", err, report)
			}
		}
		if report, err = p.RemoveKey(ctx, keyA, none); err != nil {
			t.Fatalf("%v: %+v", err, report)
		}
		time.Sleep(5 * time.Minute)
		if !all(s.pools, func(p *Pool) bool { return alive(p) == 5 })() {
			t.Error("not all are together with the new key")
		}
	})
	for _, dir := range dirs {
		ring, err := readKeyring(filepath.Join(dir, "serf", "local.keyring"))
		if want, _ := ParseKey(keyB); err != nil || len(ring) != 1 || string(ring[0]) != string(want) {
			t.Error("the file does not hold the new key alone:", len(ring), err)
		}
	}
}

// raw decodes a key.
func raw(key string) []byte {
	b, err := ParseKey(key)
	if err != nil {
		panic(err)
	}
	return b
}

// Who may hear plaintext joins with any key, which proves nothing.
func TestPlaintextProvesNoKey(t *testing.T) {
	dir := t.TempDir()
	simulate(t, func(s *sim) {
		s.start(1, nil)
		b := s.start(2, func(c *Config) {
			encrypted(keyA, dir)(c)
			c.Encryption.AcceptPlaintext, c.Encryption.SendPlaintext = true, true
		})
		s.join(b, 1)
		time.Sleep(5 * time.Second)
	})
	if _, err := os.Stat(filepath.Join(dir, "serf", "local.keyring")); err == nil {
		t.Error("an unproved key is on disk")
	}
}

func TestNetworksThatAreNotAllowed(t *testing.T) {
	allow := func(cidrs ...string) func(*Config) {
		return func(c *Config) {
			for _, text := range cidrs {
				c.AllowedCIDRs = append(c.AllowedCIDRs, netip.MustParsePrefix(text))
			}
		}
	}
	simulate(t, func(s *sim) {
		a := s.start(1, allow("10.0.0.0/30", "fd00::/8"))
		b, c := s.start(2, nil), s.start(7, nil)
		s.join(b, 1)
		s.until(10*time.Second, "the allowed one is in", func() bool { return alive(a) == 2 })
		if n, _ := c.Join(context.Background(), []string{simAddr(2).String()}); n != 1 {
			t.Error("b allows all")
		}
		time.Sleep(5 * time.Minute)
		if alive(a) != 2 || alive(b) != 3 {
			t.Errorf("%d and %d members", alive(a), alive(b))
		}
	})
	cfg := simConfig(1)
	allow("192.168.0.0/16")(&cfg)
	cfg.BindAddr = "127.0.0.1"
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err == nil || !strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), "192.168.0.0/16") {
		t.Errorf("its own address is not allowed, yet it starts: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestIPv6(t *testing.T) {
	simulate(t, func(s *sim) {
		var pools []*Pool
		for i, host := range []string{"fd00::1", "fd00::2", "fd00::3"} {
			p := s.start(i, func(c *Config) {
				c.Network, c.BindAddr = s.net.Host(host), host
				c.AllowedCIDRs = []netip.Prefix{netip.MustParsePrefix("fd00::/64")}
			})
			if i > 0 {
				if n, err := p.Join(context.Background(), []string{"fd00::1"}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			pools = append(pools, p)
		}
		s.until(time.Minute, "all know all", all(pools, func(p *Pool) bool { return alive(p) == 3 }))
		if got := s.address(pools[0], "node1"); got != netip.MustParseAddrPort("[fd00::2]:8301") {
			t.Errorf("address %v", got)
		}
		s.net.Vanish("fd00::3")
		s.until(time.Minute, "one is dead", all(pools[:2], func(p *Pool) bool { return statusOf(p, "node2") == StatusFailed }))
	})
}

// A loss of power: all come back at once, from their snapshots alone.
func TestAllRestartAtOnce(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()}
	simulate(t, func(s *sim) {
		start := func(i int) *Pool { return s.start(i, func(c *Config) { c.DataDir = dirs[i] }) }
		for i := range dirs {
			if p := start(i); i > 0 {
				s.join(p, 0)
			}
		}
		s.until(time.Minute, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 4 }))
		time.Sleep(time.Second)
		for i, p := range s.pools {
			s.net.Vanish(simHost(i))
			p.Stop()
		}
		s.pools = nil
		for i := range dirs {
			start(i)
		}
		s.until(time.Minute, "all know all again", all(s.pools, func(p *Pool) bool { return alive(p) == 4 }))
	})
}

// One node loses three of ten packets each way, for ten minutes, and nobody takes it for dead.
func TestSlowNodeIsNotTakenForDead(t *testing.T) {
	for _, n := range []int{3, 10} {
		simulate(t, func(s *sim) {
			s.cluster(n, nil)
			deaths := make(chan string, 100)
			for _, p := range s.pools {
				go func() {
					for e := range p.Events() {
						if e.Type == MemberFail {
							deaths <- p.cfg.NodeName + " takes " + e.Member.Name + " for dead"
						}
					}
				}()
			}
			s.net.Loss(simHost(1), 0.3)
			time.Sleep(10 * time.Minute)
			close(deaths)
			for d := range deaths {
				t.Errorf("of %d: %s", n, d)
			}
			if !all(s.pools, func(p *Pool) bool { return alive(p) == n })() {
				t.Error("not all know all")
			}
		})
	}
}
