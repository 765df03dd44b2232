package gossip

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestTwentyMembersSeeADeath(t *testing.T) {
	simulate(t, func(s *sim) {
		for i := range 20 {
			s.start(i, nil)
			if i > 0 {
				s.join(s.pools[i], 0)
			}
		}
		s.until(10*time.Second, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 20 }))
		s.net.Isolate(simHost(7))
		others := append(append([]*Pool{}, s.pools[:7]...), s.pools[8:]...)
		s.until(40*time.Second, "all see the death", all(others, func(p *Pool) bool {
			return statusOf(p, "node7") == StatusFailed && alive(p) == 19
		}))
		s.net.Rejoin(simHost(7))
		s.until(2*time.Minute, "all see it back", all(s.pools, func(p *Pool) bool { return alive(p) == 20 }))
	})
}

func TestEventsTellTheStory(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, func(c *Config) { c.ReconnectTimeout = 10 * time.Second })
		b := s.start(2, nil)
		s.join(b, 1)
		expect(t, a, MemberJoin, "node1")
		expect(t, a, MemberJoin, "node2")
		if err := b.SetTags(context.Background(), Tags{Datacenter: "dc1", ID: "id-2", Build: "9:x"}); err != nil {
			t.Fatal(err)
		}
		if e := expect(t, a, MemberUpdate, "node2"); e.Member.Meta.Build != "9:x" {
			t.Errorf("update carries build %q", e.Member.Meta.Build)
		}
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		expect(t, a, MemberFail, "node2")
		expect(t, a, MemberReap, "node2")
		if n := a.NumMembers(); n != 1 {
			t.Errorf("%d members after reaping", n)
		}
	})
}

func expect(t *testing.T, p *Pool, kind EventType, name string) Event {
	t.Helper()
	select {
	case e, ok := <-p.Events():
		if !ok || e.Type != kind || e.Member.Name != name {
			t.Fatalf("event %v of %q, want %v of %q", e.Type, e.Member.Name, kind, name)
		}
		return e
	case <-time.After(5 * time.Minute):
		t.Fatalf("no event, want %v of %q", kind, name)
	}
	return Event{}
}

func TestGracefulLeave(t *testing.T) {
	simulate(t, func(s *sim) {
		for i := range 3 {
			s.start(i, nil)
			if i > 0 {
				s.join(s.pools[i], 0)
			}
		}
		s.until(10*time.Second, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 3 }))
		start := time.Now()
		if err := s.pools[2].Leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("leave took %v", d)
		}
		if err := s.pools[2].Stop(); err != nil {
			t.Fatal(err)
		}
		s.until(10*time.Second, "others see it left", all(s.pools[:2], func(p *Pool) bool {
			return statusOf(p, "node2") == StatusLeft
		}))
	})
}

func TestLeaveAloneIsImmediateAndStopIsFinal(t *testing.T) {
	simulate(t, func(s *sim) {
		p := s.start(1, nil)
		start := time.Now()
		if err := p.Leave(context.Background()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("leaving alone took %v", d)
		}
		for range 2 {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		<-p.Done()
		if _, open := <-p.UserEvents(); open {
			t.Error("user events still open")
		}
		if err := p.Leave(context.Background()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("leave after stop: %v", err)
		}
		if err := p.Start(); err == nil {
			t.Error("a stopped pool started again")
		}
	})
}

func TestForceLeave(t *testing.T) {
	simulate(t, func(s *sim) {
		a, b, third := s.start(1, nil), s.start(2, nil), s.start(3, nil)
		s.join(b, 1)
		ctx := context.Background()
		s.until(10*time.Second, "it is in", func() bool { return alive(a) == 2 })
		if err := a.ForceLeave(ctx, "node2", false); err != nil || statusOf(a, "node2") != StatusAlive {
			t.Errorf("the only other one: %v, %v", err, statusOf(a, "node2"))
		}
		s.join(third, 1)
		time.Sleep(2 * time.Second) // intents to join have to arrive, or they take the force-leave for an old one
		if err := a.ForceLeave(ctx, "nobody", false); !errors.Is(err, ErrNoMember) {
			t.Errorf("unknown member: %v", err)
		}
		if err := a.ForceLeave(ctx, "node2", true); err != nil {
			t.Errorf("living member: %v", err)
		}
		s.until(10*time.Second, "it objects", func() bool { return statusOf(a, "node2") == StatusAlive })
		b.Stop()
		s.until(time.Minute, "it fails", func() bool { return statusOf(a, "node2") == StatusFailed })
		if err := a.ForceLeave(ctx, "node2", false); err != nil {
			t.Fatal(err)
		}
		if got := statusOf(a, "node2"); got != StatusLeft {
			t.Errorf("after force-leave: %v", got)
		}
		if err := a.ForceLeave(ctx, "node2", true); err != nil {
			t.Fatal(err)
		}
		if got := statusOf(a, "node2"); got != StatusNone {
			t.Errorf("after prune: %v", got)
		}
	})
}

func TestRejoinFromSnapshot(t *testing.T) {
	for _, c := range []struct {
		name          string
		leave, rejoin bool
		want          int
	}{
		{"killed", false, false, 2},
		{"left", true, false, 1},
		{"left with rejoin_after_leave", true, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			simulate(t, func(s *sim) {
				keep := func(cfg *Config) { cfg.DataDir, cfg.RejoinAfterLeave = dir, c.rejoin }
				a, b := s.start(1, nil), s.start(2, keep)
				s.join(b, 1)
				time.Sleep(2 * time.Second)
				if c.leave {
					if err := b.Leave(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				b.Stop()
				again := s.start(2, keep)
				time.Sleep(10 * time.Second)
				if n := alive(again); n != c.want {
					t.Errorf("%d members after the restart, want %d", n, c.want)
				}
				if n := alive(a); n != c.want {
					t.Errorf("the other sees %d members, want %d", n, c.want)
				}
			})
		})
	}
}

func TestUserEventReachesAll(t *testing.T) {
	simulate(t, func(s *sim) {
		for i := range 5 {
			s.start(i, nil)
			if i > 0 {
				s.join(s.pools[i], 0)
			}
		}
		s.until(10*time.Second, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 5 }))
		if err := s.pools[3].UserEvent("deploy", []byte("v2")); err != nil {
			t.Fatal(err)
		}
		for i, p := range s.pools {
			select {
			case e := <-p.UserEvents():
				if e.Name != "deploy" || string(e.Payload) != "v2" || e.LTime == 0 {
					t.Errorf("pool %d: %+v", i, e)
				}
			case <-time.After(time.Minute):
				t.Fatalf("pool %d heard nothing", i)
			}
		}
		if err := s.pools[0].UserEvent("big", make([]byte, MaxUserEvent)); err == nil {
			t.Error("an event over the limit was sent")
		}
	})
}

func TestCoordinatesSpread(t *testing.T) {
	simulate(t, func(s *sim) {
		a, b := s.start(1, nil), s.start(2, nil)
		s.join(b, 1)
		s.until(time.Minute, "b has been probed", func() bool { _, ok := a.CachedCoordinate("node2"); return ok })
		if c, err := a.Coordinate(); err != nil || len(c.Vec) == 0 {
			t.Errorf("own coordinate: %+v, %v", c, err)
		}
		if _, ok := a.CachedCoordinate("nobody"); ok {
			t.Error("a stranger has a coordinate")
		}
		off := s.start(3, func(c *Config) { c.DisableCoordinates = true })
		if _, err := off.Coordinate(); !errors.Is(err, ErrNoCoordinates) {
			t.Errorf("disabled coordinates: %v", err)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		reason string
	}{
		{"datacenter", func(c *Config) { c.Tags.Datacenter = "dc2" }, `datacenter "dc2"`},
		{"cluster", func(c *Config) { c.Tags.ClusterID = "two" }, "cluster two"},
		{"node id", func(c *Config) { c.Tags.ID = "id-1" }, "living member"},
		{"client in wan", nil, errNotServer.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			simulate(t, func(s *sim) {
				wan := c.name == "client in wan"
				a := s.start(1, func(cfg *Config) {
					cfg.Tags.ClusterID = "one"
					if wan {
						cfg.Kind, cfg.Tags.Server = WAN, true
					}
				})
				b := s.start(2, c.change)
				b.Join(context.Background(), []string{simAddr(1).String()})
				time.Sleep(10 * time.Second)
				if n := alive(a); n != 1 {
					t.Errorf("%d members at the one that was asked", n)
				}
				claim := &memberlist.Node{Name: "node2", Addr: net.IPv4(10, 0, 0, 2).To4(), Port: 8301, Meta: meta(b.cfg.Tags)}
				err := a.guard.NotifyAlive(claim)
				if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("reason %v, want %q", err, c.reason)
				}
			})
		})
	}
}

func TestMemberWithoutOurTagsIsTolerated(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, nil)
		b := s.start(2, nil)
		b.conf.Tags = map[string]string{"colour": "red"}
		if err := b.serf.Load().SetTags(b.conf.Tags); err != nil {
			t.Fatal(err)
		}
		s.join(b, 1)
		s.until(10*time.Second, "it is in", func() bool { return alive(a) == 2 })
		for _, m := range a.Members() {
			if m.Name == "node2" && (m.Ours || m.Tags["colour"] != "red") {
				t.Errorf("member %+v", m)
			}
		}
	})
}

func TestReturnWithNewAddress(t *testing.T) {
	simulate(t, func(s *sim) {
		a, b := s.start(1, nil), s.start(2, nil)
		s.join(b, 1)
		b.Stop()
		s.until(time.Minute, "it fails", func() bool { return statusOf(a, "node2") == StatusFailed })
		time.Sleep(2 * time.Second)
		moved := s.start(9, func(c *Config) { c.NodeName, c.Tags.ID = "node2", "id-2" })
		s.join(moved, 1)
		s.until(time.Minute, "it is back", func() bool { return alive(a) == 2 })
		for _, m := range a.Members() {
			if m.Name == "node2" && m.AddrPort() != simAddr(9) {
				t.Errorf("address %v", m.AddrPort())
			}
		}
	})
}

func TestAlonePoolTicksSlowly(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, func(c *Config) { c.ReconnectTimeout = time.Second })
		time.Sleep(time.Second)
		if len(a.pace.tickers) != 2 {
			t.Fatal("memberlist's tickers are not where they were: see pace.go")
		}
		if !a.pace.idle.Load() {
			t.Error("alone, yet at full pace")
		}
		b := s.start(2, nil)
		s.join(b, 1)
		time.Sleep(time.Second)
		if a.pace.idle.Load() || b.pace.idle.Load() {
			t.Error("in company, yet idle")
		}
		b.Stop()
		s.until(time.Minute, "idle again", func() bool { return a.NumMembers() == 1 })
		time.Sleep(time.Second)
		if !a.pace.idle.Load() {
			t.Error("alone again, yet at full pace")
		}
	})
}
