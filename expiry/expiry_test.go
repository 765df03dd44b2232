package expiry_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"lictor/expiry"
)

// run starts a queue and returns what ends, with when it did.
func run(t *testing.T, w expiry.Work) (*expiry.Queue, *[]string) {
	var ended []string
	begin := time.Now()
	end := w.End
	w.End = func(ctx context.Context, items []expiry.Item) error {
		if end != nil {
			if err := end(ctx, items); err != nil {
				return err
			}
		}
		for _, i := range items {
			ended = append(ended, fmt.Sprintf("%s/%d at %v", i.Name, i.Version, time.Since(begin)))
		}
		return nil
	}
	if w.Load == nil {
		w.Load = func() {}
	}
	if w.Due == nil {
		w.Due = func(expiry.Item) bool { return true }
	}
	q := expiry.New(w)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); q.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return q, &ended
}

func item(name string) expiry.Item { return expiry.Item{Name: name} }

func in(d time.Duration) time.Time { return time.Now().Add(d) }

func check(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	synctest.Wait()
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("ended %q, not %q", *got, want)
	}
}

func TestDeadlinesInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, ended := run(t, expiry.Work{})
		q.Set(item("b"), in(2*time.Second))
		q.Set(item("a"), in(time.Second))
		q.Set(item("c"), in(3*time.Second))
		q.Set(item("c"), in(30*time.Second))                     // later
		q.Set(expiry.Item{Name: "b", Version: 2}, in(time.Hour)) // another life
		q.Set(expiry.Item{Name: "b", Version: 2}, in(5*time.Second))
		q.Add(item("a"), in(time.Hour))                            // has one already
		q.Add(expiry.Item{Name: "c", Version: 1}, in(time.Minute)) // has one of another life
		time.Sleep(2 * time.Minute)
		check(t, ended, "a/0 at 1s", "b/2 at 5s", "c/1 at 1m0s")
	})
}

// What is not due after all keeps the deadline that it is given meanwhile, or is forgotten.
func TestNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *expiry.Queue
		asked := 0
		q, ended := run(t, expiry.Work{Due: func(i expiry.Item) bool {
			asked++
			if asked == 1 {
				q.Set(i, in(time.Second))
			}
			return i.Name == "b" || asked == 2
		}})
		q.Set(item("a"), in(time.Second))
		time.Sleep(10 * time.Second)
		check(t, ended, "a/0 at 2s")
		q.Set(item("c"), in(time.Second))
		time.Sleep(10 * time.Second)
		check(t, ended, "a/0 at 2s")
	})
}

// While something is being ended nobody can give it more time, and what could not be ended is tried again.
func TestAttemptsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *expiry.Queue
		attempts := 0
		q, ended := run(t, expiry.Work{End: func(context.Context, []expiry.Item) error {
			attempts++
			if q.Extend(item("a"), in(time.Hour)) {
				t.Error("an item that is being ended was given more time")
			}
			if attempts < 3 {
				return errors.New("no leader")
			}
			return nil
		}})
		q.Set(item("a"), in(time.Second))
		if !q.Extend(item("a"), in(2*time.Second)) {
			t.Error("an item could not be given more time")
		}
		time.Sleep(time.Minute)
		check(t, ended, "a/0 at 4s")
	})
}

func TestManyAtOnceAndLaterLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *expiry.Queue
		loads, most := 0, 0
		w := expiry.Work{
			Load: func() { loads++ },
			End:  func(_ context.Context, items []expiry.Item) error { most = max(most, len(items)); return nil },
		}
		q, ended := run(t, w)
		for i := range 2 * expiry.MaxBatch {
			q.Set(item(fmt.Sprint(i)), in(time.Second))
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if len(*ended) != 2*expiry.MaxBatch || most != expiry.MaxBatch {
			t.Errorf("%d ended, at most %d at once", len(*ended), most)
		}
		if loads != 4 {
			t.Errorf("looked for new ones %d times in 35 seconds", loads)
		}
	})
}

// A queue that does not run takes nothing, and begins anew without what it held.
func TestBeginsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		q := expiry.New(expiry.Work{Load: func() {}, Due: func(expiry.Item) bool { return true },
			End: func(context.Context, []expiry.Item) error { ended++; return nil }})
		q.Set(item("early"), in(time.Second))
		if !q.Extend(item("early"), in(time.Second)) {
			t.Error("a queue that does not run says that an item is being ended")
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			q.Run(ctx)
			cancel()
			q.Set(item("late"), in(time.Second))
		}
		if ended != 0 {
			t.Errorf("%d ended", ended)
		}
	})
}
