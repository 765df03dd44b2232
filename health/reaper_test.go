package health

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lictor/catalog"
)

func reaped(j *journal) Config {
	return Config{Reap: func(service, check string) { j.report(service, check) }}
}

// dying is a TTL check whose service goes when it has been critical for a minute.
func dying(j *journal) Check {
	return Check{ID: "c", ServiceID: "web", Report: j.report, Definition: &catalog.CheckDefinition{
		TTL: catalog.Duration(time.Hour), DeregisterCriticalServiceAfter: catalog.Duration(time.Minute)}}
}

func TestReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports, reaps journal
		s := New(reaped(&reaps))
		defer s.Stop()
		add(t, s, dying(&reports))
		time.Sleep(time.Hour) // until the TTL is over nothing is known
		reaps.expect(t)
		time.Sleep(time.Minute - time.Nanosecond)
		reaps.expect(t)
		time.Sleep(time.Nanosecond)
		reaps.expect(t, "web: c")
		time.Sleep(time.Minute) // the service is still there
		reaps.expect(t, "web: c")
		s.Remove("c")
		time.Sleep(time.Hour)
		reaps.expect(t)
	})
}

func TestReapStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports, reaps journal
		s := New(reaped(&reaps))
		defer s.Stop()
		add(t, s, dying(&reports))
		s.SetTTL("c", "passing", "")
		time.Sleep(2 * time.Minute)
		if _, ok := s.CriticalSince("c"); ok {
			t.Error("a passing check is critical")
		}
		s.SetTTL("c", "critical", "")
		since := time.Now()
		time.Sleep(50 * time.Second)
		s.SetTTL("c", "critical", "still")
		if got, ok := s.CriticalSince("c"); !ok || !got.Equal(since) {
			t.Errorf("critical since %v, want %v", got, since)
		}
		s.SetTTL("c", "warning", "")
		s.SetTTL("c", "critical", "")
		time.Sleep(59 * time.Second)
		reaps.expect(t)
		time.Sleep(time.Second)
		reaps.expect(t, "web: c")
	})
}

func TestReapMayRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports journal
		var s *Scheduler
		n := 0
		s = New(Config{Reap: func(_, check string) { n++; s.Remove(check) }})
		defer s.Stop()
		add(t, s, dying(&reports))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n != 1 {
			t.Errorf("reaped %d times", n)
		}
	})
}

func TestReapOfRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reaps journal
		s := New(reaped(&reaps))
		defer s.Stop()
		d := &catalog.CheckDefinition{Interval: catalog.Duration(time.Minute), DeregisterCriticalServiceAfter: 1}
		run(t, s, Check{ID: "c", ServiceID: "web", Definition: d}, func(context.Context) result { return critical("down") })
		var since time.Time
		for ok := false; !ok; since, ok = s.CriticalSince("c") {
			reaps.expect(t)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Until(since.Add(time.Second - time.Nanosecond)))
		reaps.expect(t)
		time.Sleep(time.Nanosecond)
		reaps.expect(t, "web: c")
	})
}

func TestNoReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports, reaps journal
		s := New(reaped(&reaps))
		defer s.Stop()
		ofNode := dying(&reports)
		ofNode.ServiceID = ""
		add(t, s, ofNode)
		unset := dying(&reports)
		unset.ID, unset.Definition = "unset", &catalog.CheckDefinition{TTL: catalog.Duration(time.Hour)}
		add(t, s, unset)
		time.Sleep(24 * time.Hour)
		reaps.expect(t)
		if _, ok := s.CriticalSince("none"); ok {
			t.Error("a check that is not there is critical")
		}
	})
}
