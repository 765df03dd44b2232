package health

import (
	"testing"
	"testing/synctest"
	"time"

	"lictor/catalog"
)

// ttl is a TTL check of ten seconds.
func ttl(id string, j *journal) Check {
	return Check{ID: id, Definition: &catalog.CheckDefinition{TTL: catalog.Duration(10 * time.Second)}, Report: j.report}
}

func add(t *testing.T, s *Scheduler, c Check) {
	t.Helper()
	if err := s.Add(c); err != nil {
		t.Fatal(err)
	}
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		add(t, s, ttl("c", &j))
		time.Sleep(9 * time.Second)
		j.expect(t)
		s.SetTTL("c", "passing", "")
		j.expect(t, "passing: ")
		time.Sleep(9 * time.Second)
		s.SetTTL("c", "warning", "hmm")
		j.expect(t, "warning: hmm")
		time.Sleep(10*time.Second - time.Nanosecond)
		j.expect(t)
		time.Sleep(time.Nanosecond)
		j.expect(t, "critical: TTL expired (last output before timeout follows): hmm")
		time.Sleep(time.Hour)
		j.expect(t)
		s.SetTTL("c", "passing", "back")
		j.expect(t, "passing: back")
	})
}

func TestTTLExpiresUntold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		add(t, s, ttl("c", &j))
		time.Sleep(10 * time.Second)
		j.expect(t, "critical: TTL expired")
	})
}

func TestTTLTakenUpAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		c := ttl("c", &j)
		c.Status, c.Output, c.Remaining = "passing", "before", 3*time.Second
		add(t, s, c)
		time.Sleep(3*time.Second - time.Nanosecond)
		j.expect(t)
		time.Sleep(time.Nanosecond)
		j.expect(t, "critical: TTL expired (last output before timeout follows): before")
	})
}

func TestTTLIsToldJustInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		add(t, s, ttl("c", &j))
		for range 100 {
			time.Sleep(10*time.Second - time.Nanosecond)
			s.SetTTL("c", "passing", "")
			j.expect(t, "passing: ")
		}
		s.Remove("c")
		time.Sleep(time.Hour)
		j.expect(t)
	})
}

func TestSetTTLOfAnother(t *testing.T) {
	s := New(Config{})
	defer s.Stop()
	tcp := &catalog.CheckDefinition{TCP: "127.0.0.1:1", Interval: catalog.Duration(time.Hour)}
	add(t, s, Check{ID: "tcp1", Definition: tcp})
	for _, id := range []string{"tcp1", "none"} {
		if err := s.SetTTL(id, "passing", ""); err == nil || err.Error() != `CheckID "`+id+`" does not have associated TTL` {
			t.Errorf("got %v", err)
		}
	}
}
