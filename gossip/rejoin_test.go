package gossip

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Two pairs remember all four, but have found each other only, as chance has it when all come back at once.
func TestIslandsFindEachOther(t *testing.T) {
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
		s.net.Partition([]string{simHost(0), simHost(1)}, []string{simHost(2), simHost(3)})
		for i := range dirs {
			start(i)
		}
		s.until(time.Minute, "pairs know each other", all(s.pools, func(p *Pool) bool { return alive(p) == 2 }))
		time.Sleep(30 * time.Second) // serf has tried all by then
		s.net.HealAll()
		s.until(5*time.Minute, "all know all again", all(s.pools, func(p *Pool) bool { return alive(p) == 4 }))
	})
}

func TestRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "local.snapshot")
	if got, err := remembered(path, false); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
	text := "alive: gone 10.0.0.9:8301\nleave\nalive: a 10.0.0.1:8301\nclock: 5\nalive: b c [fd00::1]:8301\nalive: a 10.0.0.2:8301\nalive: d 10.0.0.3:8301\n" +
		"not-alive: d\n# no: member\nalive:\nalive: x\nalive: half 10.0."
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "10.0.0.2:8301", "b c": "[fd00::1]:8301"}
	got, err := remembered(path, false)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	want["gone"] = "10.0.0.9:8301"
	got, err = remembered(path, true)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := remembered(t.TempDir(), false); err == nil {
		t.Error("a directory was read")
	}
}

// Who joined a quiet cluster and was killed long after remembers it, though serf has not written it down yet; who has left
// does not.
func TestQuietMembersAreRemembered(t *testing.T) {
	dir := t.TempDir()
	simulate(t, func(s *sim) {
		s.start(1, nil)
		start := func() *Pool { return s.start(2, func(c *Config) { c.DataDir = dir }) }
		s.join(start(), 1)
		time.Sleep(2 * rosterDelay)
		before, err := remembered(filepath.Join(dir, "serf", "local.members"), false)
		if diff := cmp.Diff(map[string]string{"node1": simAddr(1).String(), "node2": simAddr(2).String()}, before); diff != "" || err != nil {
			t.Error(diff, err)
		}
		p := s.pools[len(s.pools)-1]
		s.net.Vanish(simHost(2))
		p.Stop()
		if err := os.Remove(filepath.Join(dir, "serf", "local.snapshot")); err != nil { // Stop has written it after all
			t.Fatal(err)
		}
		p = start()
		s.until(time.Minute, "it has found the other", func() bool { return alive(p) == 2 })
		if err := p.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * rosterDelay)
		if before, err := p.cfg.before(); err != nil || len(before) != 0 {
			t.Error("who has left remembers", before, err)
		}
	})
}
