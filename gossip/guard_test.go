package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
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

func TestNameConflictNamesBothAndTheMinorityGoes(t *testing.T) {
	simulate(t, func(s *sim) {
		var out lockedBuffer
		for i := range 4 {
			s.start(i, func(c *Config) {
				if i == 0 {
					c.Logger = slog.New(slog.NewTextHandler(&out, nil))
				}
			})
			if i > 0 {
				s.join(s.pools[i], 0)
			}
		}
		s.until(10*time.Second, "all know all", all(s.pools, func(p *Pool) bool { return alive(p) == 4 }))
		twin := s.start(9, func(c *Config) { c.NodeName = "node2" })
		twin.Join(context.Background(), []string{simAddr(0).String()})
		select {
		case <-twin.Done():
		case <-time.After(2 * time.Minute):
			t.Fatal("the newcomer stays")
		}
		if alive(s.pools[2]) != 4 {
			t.Error("the holder of the name went")
		}
		for _, want := range []string{"10.0.0.2:8301", "id-2", "10.0.0.9:8301", "id-9"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log does not name %s:\n%s", want, out.String())
			}
		}
	})
}

func TestMemberSaysHowLongItIsWaitedFor(t *testing.T) {
	simulate(t, func(s *sim) {
		a := s.start(1, func(c *Config) { c.ReconnectTimeout = time.Minute })
		b := s.start(2, func(c *Config) { c.Tags.ReconnectTimeout = time.Second })
		s.join(b, 1)
		b.Stop()
		s.until(50*time.Second, "it is reaped", func() bool { return a.NumMembers() == 1 })
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
