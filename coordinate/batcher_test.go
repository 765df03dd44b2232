package coordinate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/state"
)

// counted is a log that counts the entries of each write, and refuses them while it has an error.
type counted struct {
	*state.Local
	mu     sync.Mutex // guards what follows
	writes []int
	err    error
}

func (c *counted) Apply(ctx context.Context, cmd state.Command) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.writes = append(c.writes, len(cmd.(*BatchUpdate).Entries))
	return c.Local.Apply(ctx, cmd)
}

// written is how many places each write had.
func (c *counted) written() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

func (c *counted) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// batching runs a story with a Batcher of small batches: 4 places a write, 3 writes a period of 5 seconds.
func batching(t *testing.T, story func(s *Service, log *counted, errs chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, local := newStore(t)
		log, errs := &counted{Local: local}, make(chan error, 100)
		known := func(_ *state.Tx, node string) bool { return node != "unknown" }
		b := NewBatcher(log, Batching{Size: 4, MaxBatches: 3}, known, func(err error) { errs <- err })
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		story(&Service{Log: log, Batcher: b}, log, errs)
		cancel()
		running.Wait()
	})
}

func report(t *testing.T, s *Service, node string, height float64) {
	t.Helper()
	if _, err := s.Update(context.Background(), acl.AllowAll(), &Update{Node: node, Coord: at(height, 0)}); err != nil {
		t.Fatal(err)
	}
}

func heights(log *counted) map[string]float64 {
	found := map[string]float64{}
	for e := range entries.All(log.DB().Read()) {
		found[e.Node] = e.Coord.Height
	}
	return found
}

func TestUpdatesAreWrittenTogether(t *testing.T) {
	batching(t, func(s *Service, log *counted, errs chan error) {
		for i := range 6 {
			report(t, s, fmt.Sprint("n", i), 1)
		}
		report(t, s, "n2", 2)
		report(t, s, "unknown", 1)
		time.Sleep(4900 * time.Millisecond)
		if len(log.written()) != 0 {
			t.Errorf("written before the period was over: %v", log.written())
		}
		time.Sleep(200 * time.Millisecond)
		if got := heights(log); len(got) != 6 || got["n2"] != 2 || fmt.Sprint(log.written()) != "[4 2]" {
			t.Errorf("%v in writes of %v", got, log.written())
		}
		report(t, s, "n1", 1) // nothing new
		time.Sleep(time.Minute)
		if len(log.written()) != 2 || len(errs) != 0 {
			t.Errorf("%v, %d errors", log.written(), len(errs))
		}
	})
}

func TestTooManyUpdatesAreDropped(t *testing.T) {
	batching(t, func(s *Service, log *counted, errs chan error) {
		for i := range 20 {
			report(t, s, fmt.Sprint("n", i), 1)
		}
		report(t, s, "n0", 2) // has its place already
		time.Sleep(6 * time.Second)
		if got := heights(log); len(got) != 12 || got["n0"] != 2 || fmt.Sprint(log.written()) != "[4 4 4]" {
			t.Errorf("%v in writes of %v", got, log.written())
		}
		if err := <-errs; err.Error() != "8 coordinates were dropped: more came in 5s than 12" {
			t.Error(err)
		}
		for i := range 20 {
			report(t, s, fmt.Sprint("n", 19-i), 1)
		}
		time.Sleep(6 * time.Second)
		if got := heights(log); len(got) != 20 {
			t.Errorf("%d places", len(got))
		}
	})
}

func TestFailingWritesAreReported(t *testing.T) {
	batching(t, func(s *Service, log *counted, errs chan error) {
		log.fail(state.ErrNoLeader)
		for i := range 9 {
			report(t, s, fmt.Sprint("n", i), 1)
		}
		if err := <-errs; !errors.Is(err, state.ErrNoLeader) || err.Error() != "write the coordinates of 9 nodes: No cluster leader" {
			t.Error(err)
		}
		log.fail(nil)
		report(t, s, "n1", 1)
		time.Sleep(6 * time.Second)
		if got := heights(log); len(got) != 1 || len(errs) != 0 {
			t.Errorf("%v, %d errors", got, len(errs))
		}
	})
}

func TestInterval(t *testing.T) {
	p := DefaultPacing()
	for _, c := range []struct {
		p       Pacing
		members int
		want    time.Duration
	}{
		{p, 0, 15 * time.Second}, {p, 960, 15 * time.Second}, {p, 1920, 30 * time.Second}, {p, 64_000, 1000 * time.Second},
		{Pacing{Rate: 0, Min: time.Second}, 1000, time.Second}, {Pacing{Rate: -1, Min: time.Second}, 1000, time.Second},
		{Pacing{Rate: 1e-300}, 1, math.MaxInt64}, {Pacing{Rate: math.NaN(), Min: time.Second}, 1, time.Second},
	} {
		if got := c.p.Interval(c.members); got != c.want {
			t.Errorf("%+v, %d: %v, want %v", c.p, c.members, got, c.want)
		}
	}
}
