package gossip

import (
	"context"
	"testing"
	"time"

	"lictor/acl"
	"lictor/event"
)

// inbox is the events that have come to a pool for a target that has the service web.
func inbox(t *testing.T, p *Pool) *event.Inbox {
	b := event.NewInbox(event.Target{Node: p.cfg.NodeName, Services: func(yield func(string, []string) bool) {
		yield("web", []string{p.cfg.NodeName + "-tag"})
	}})
	go func() {
		for e := range p.UserEvents() {
			if _, err := b.Receive(e.Name, e.Payload, e.LTime); err != nil {
				t.Error(err)
			}
		}
	}()
	return b
}

func TestUserEventsFindTheirTargetsOnce(t *testing.T) {
	dir := t.TempDir()
	simulate(t, func(s *sim) {
		i := 0
		s.cluster(4, func(c *Config) {
			if i++; i == 4 {
				c.DataDir = dir
			}
		})
		var boxes []*event.Inbox
		for _, p := range s.pools {
			boxes = append(boxes, inbox(t, p))
		}
		fire := func(e event.Event) {
			t.Helper()
			service := &event.Service{Broadcast: s.pools[1].UserEvent}
			if _, err := service.Fire(context.Background(), acl.AllowAll(), &e); err != nil {
				t.Fatal(err)
			}
		}
		fire(event.Event{Name: "all"})
		fire(event.Event{Name: "some", NodeFilter: "node[03]"})
		fire(event.Event{Name: "tagged", ServiceFilter: "^web$", TagFilter: "node2-"})
		fire(event.Event{Name: "none", ServiceFilter: "db"})
		time.Sleep(10 * time.Second)
		for i, want := range []string{"all some", "all", "all tagged", "all some"} {
			if got := received(boxes[i]); got != want {
				t.Errorf("node%d received %q, want %q", i, got, want)
			}
		}
		// What it has received before it ended it does not receive again; what was fired meanwhile it does.
		s.net.Kill(simHost(3))
		s.pools[3].Stop()
		fire(event.Event{Name: "meanwhile"})
		again := inbox(t, s.start(3, func(c *Config) { c.DataDir = dir }))
		time.Sleep(2 * time.Minute)
		if got := received(again); got != "meanwhile" {
			t.Errorf("after its restart it received %q", got)
		}
	})
}

func received(b *event.Inbox) string {
	text := ""
	events, _ := b.Events()
	for _, name := range []string{"all", "some", "tagged", "none", "meanwhile"} {
		for _, e := range events {
			if e.Name == name {
				text += " " + name
			}
		}
	}
	if text == "" {
		return ""
	}
	return text[1:]
}

// A process that was stopped and goes on has missed its own death.
func TestPausedMemberComesBack(t *testing.T) {
	simulate(t, func(s *sim) {
		s.cluster(5, nil)
		s.net.Pause(simHost(2))
		time.Sleep(2 * time.Second)
		s.net.Resume(simHost(2))
		time.Sleep(30 * time.Second)
		if !all(s.pools, func(p *Pool) bool { return alive(p) == 5 })() {
			t.Error("two seconds of silence were its death")
		}
		s.net.Pause(simHost(2))
		others := append(append([]*Pool{}, s.pools[:2]...), s.pools[3:]...)
		s.until(time.Minute, "it is dead", all(others, func(p *Pool) bool { return statusOf(p, "node2") == StatusFailed }))
		s.net.Resume(simHost(2))
		s.until(2*time.Minute, "it is back", all(s.pools, func(p *Pool) bool { return alive(p) == 5 }))
	})
}
