package gossip

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestMemberSaysHowLongItIsWaitedFor(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, func(c *Config) { c.ReconnectTimeout = time.Minute })
		b := s.start(2, func(c *Config) { c.Tags.ReconnectTimeout = time.Second })
		s.join(b, 1)
		b.Stop()
		s.until(50*time.Second, "it is reaped", func() bool { return a.NumMembers() == 1 })
	})
}

func TestServersAndClientsAreWaitedForApart(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, func(c *Config) { c.ReconnectTimeout, c.ReconnectTimeoutServers = 2*time.Minute, time.Hour })
		client, server := s.start(2, nil), s.start(3, func(c *Config) { c.Tags = serverTags() })
		s.join(client, 1)
		s.join(server, 1)
		client.Stop()
		server.Stop()
		s.until(5*time.Minute, "the client is reaped", func() bool { return statusOf(a, "node2") == StatusNone })
		time.Sleep(50 * time.Minute)
		if got := statusOf(a, "node3"); got != StatusFailed {
			t.Errorf("the server is %v", got)
		}
		s.until(20*time.Minute, "the server is reaped", func() bool { return a.NumMembers() == 1 })
	})
}

func TestLogsAreBounded(t *testing.T) {
	var out lockedBuffer
	l := newBridge(slog.New(slog.NewTextHandler(&out, nil)))
	for range 10_000 {
		l.Printf("[ERR] memberlist: nonsense from a stranger")
	}
	l.Printf("[DEBUG] serf: quiet")
	l.Printf("[INFO] serf: loud")
	l.Printf("no level")
	if n := strings.Count(out.String(), "nonsense"); n < complaintBurst || n > complaintBurst+5 {
		t.Errorf("%d complaints", n)
	}
	if s := out.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "loud") || !strings.Contains(s, "no level") {
		t.Error(s[len(s)-200:])
	}
}

func TestSlowReaderLosesEventsNotSerf(t *testing.T) {
	simulate(t, func(s *sim) {
		p := s.start(1, nil)
		q := &pump{members: make(chan Event), users: make(chan UserEvent), seen: func(Event) {}, log: p.log}
		for range memberBacklog + 10 {
			q.takeMember(Event{Type: MemberUpdate, Member: Member{Name: "x"}})
		}
		if len(q.queue) > memberBacklog || q.queue[0].Type != EventsLost {
			t.Errorf("%d events wait, first %v", len(q.queue), q.queue[0].Type)
		}
	})
}
