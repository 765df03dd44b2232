package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/catalog"
	"lictor/pace"
)

// A probe is a prober of a test.
type probe func(ctx context.Context) result

func (p probe) probe(ctx context.Context) result { return p(ctx) }

// run has a Scheduler probe at intervals of one second.
func run(t *testing.T, s *Scheduler, c Check, p probe) {
	t.Helper()
	if c.Definition == nil {
		c.Definition = &catalog.CheckDefinition{Interval: catalog.Duration(time.Second)}
	}
	err := s.add(c, every(func(environment, *catalog.CheckDefinition) (prober, error) { return p, nil }))
	if err != nil {
		t.Fatal(err)
	}
}

// A journal keeps what is reported.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) report(status, output string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, status+": "+output)
}

// take returns what has been reported and forgets it.
func (j *journal) take() []string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := j.take(); !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

func TestRunsAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		n := 0
		run(t, s, Check{ID: "c", Report: j.report}, func(context.Context) result { n++; return passing(fmt.Sprint(n)) })
		time.Sleep(time.Second)
		j.expect(t, "passing: 1")
		time.Sleep(2 * time.Second)
		j.expect(t, "passing: 2", "passing: 3")
		s.Remove("c")
		time.Sleep(time.Hour)
		j.expect(t)
	})
}

func TestFirstRunsAreStaggered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		start := time.Now()
		var mu sync.Mutex
		tenths := map[time.Duration]int{}
		d := &catalog.CheckDefinition{Interval: catalog.Duration(10 * time.Second)}
		for i := range 1000 {
			run(t, s, Check{ID: fmt.Sprint(i), Definition: d}, func(context.Context) result {
				mu.Lock()
				defer mu.Unlock()
				tenths[time.Since(start)/time.Second]++
				return passing("")
			})
		}
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for i := range time.Duration(10) {
			total += tenths[i]
			if n := tenths[i]; n < 50 || n > 150 {
				t.Errorf("%d of 1000 checks ran in second %d, want about 100", n, i)
			}
		}
		if total != 1000 {
			t.Errorf("%d of 1000 checks ran in the first interval", total)
		}
	})
}

func TestShortIntervalIsRaised(t *testing.T) {
	if got := interval(&catalog.CheckDefinition{Interval: 1}); got != time.Second {
		t.Errorf("got %s", got)
	}
}

func TestNeverOverlapsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		running, runs := 0, 0
		run(t, s, Check{ID: "slow"}, func(ctx context.Context) result {
			running++
			runs++
			if running > 1 {
				t.Error("the check overlaps itself")
			}
			_ = pace.Rest(ctx, 5*time.Second)
			running--
			return passing("")
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if runs < 9 || runs > 11 {
			t.Errorf("%d runs in a minute, want one in six seconds", runs)
		}
	})
}

func TestConcurrentRunsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{MaxConcurrent: 3})
		defer s.Stop()
		var mu sync.Mutex
		running, most, runs := 0, 0, map[int]int{}
		for i := range 10 {
			run(t, s, Check{ID: fmt.Sprint(i)}, func(ctx context.Context) result {
				mu.Lock()
				running++
				runs[i]++
				most = max(most, running)
				mu.Unlock()
				_ = pace.Rest(ctx, time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return passing("")
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most != 3 {
			t.Errorf("%d checks ran at once, want 3", most)
		}
		for i := range 10 {
			if runs[i] < 14 {
				t.Errorf("check %d ran %d times in a minute, want a fair share", i, runs[i])
			}
		}
	})
}

func TestRemoveEndsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		ended := false
		run(t, s, Check{ID: "c", Report: j.report}, func(ctx context.Context) result {
			<-ctx.Done()
			ended = true
			return passing("too late")
		})
		time.Sleep(time.Second)
		s.Remove("c")
		synctest.Wait()
		if !ended {
			t.Error("the run goes on")
		}
		j.expect(t)
	})
}

func TestRemovedWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{MaxConcurrent: 1})
		defer s.Stop()
		free := make(chan struct{})
		run(t, s, Check{ID: "first"}, func(context.Context) result { <-free; return passing("") })
		time.Sleep(time.Second)
		var j journal
		run(t, s, Check{ID: "gone", Report: j.report}, func(context.Context) result { return passing("gone") })
		run(t, s, Check{ID: "stays", Report: j.report}, func(context.Context) result { return passing("stays") })
		time.Sleep(time.Second)
		j.expect(t)
		s.Remove("gone")
		close(free)
		j.expect(t, "passing: stays")
	})
}

func TestAddReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		run(t, s, Check{ID: "c", Report: j.report}, func(context.Context) result { return passing("old") })
		time.Sleep(time.Second)
		j.expect(t, "passing: old")
		run(t, s, Check{ID: "c", Report: j.report}, func(context.Context) result { return passing("new") })
		time.Sleep(time.Second)
		j.expect(t, "passing: new")
	})
}

func TestThresholdsHoldReportsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Stop()
		var j journal
		d := &catalog.CheckDefinition{Interval: catalog.Duration(time.Second), SuccessBeforePassing: 2, FailuresBeforeWarning: 2, FailuresBeforeCritical: 3}
		results := []result{passing("1"), passing("2"), critical("3"), critical("4"), critical("5"), passing("6"), passing("7")}
		n := 0
		run(t, s, Check{ID: "c", Definition: d, Report: j.report}, func(context.Context) result {
			n++
			return results[min(n, len(results))-1]
		})
		time.Sleep(7 * time.Second)
		j.expect(t, "passing: 2", "warning: 4", "critical: 5", "passing: 7")
	})
}

func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{MaxConcurrent: 1})
		var j journal
		over := 0
		for i := range 3 {
			run(t, s, Check{ID: fmt.Sprint(i), Report: j.report}, func(ctx context.Context) result {
				<-ctx.Done()
				time.Sleep(time.Minute)
				over++
				return passing("late")
			})
		}
		time.Sleep(time.Second)
		s.Stop()
		if over != 1 {
			t.Errorf("%d runs had ended when Stop returned, want the one that ran", over)
		}
		s.Stop()
		run(t, s, Check{ID: "late", Report: j.report}, func(context.Context) result { return passing("late") })
		time.Sleep(time.Hour)
		j.expect(t)
	})
}

func TestAddRefuses(t *testing.T) {
	s := New(Config{})
	defer s.Stop()
	if err := s.Add(Check{ID: "c", Definition: &catalog.CheckDefinition{}}); err == nil {
		t.Error("a check without a type is accepted")
	}
	if err := s.Add(Check{ID: "c", Definition: &catalog.CheckDefinition{AliasNode: "n"}}); err == nil {
		t.Error("an alias is accepted without a source")
	}
	wrong := errors.New("wrong")
	err := s.add(Check{ID: "c", Definition: &catalog.CheckDefinition{}}, func(*Scheduler, *entry) error { return wrong })
	if !errors.Is(err, wrong) || len(s.checks) != 0 {
		t.Errorf("got %v and %d checks", err, len(s.checks))
	}
}
