package view_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

type bench struct {
	log   *state.Local
	views *view.Views
	evals atomic.Int64 // of the query
}

func start(t testing.TB, c view.Config) *bench {
	t.Helper()
	log, err := state.NewLocal(10, kv.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{log: log}
	c.Log, c.Datacenter = log, "dc1"
	b.views = view.New(c)
	s := &kv.Service{Log: log}
	view.Handle(b.views, kv.GetQuery, func(tx *state.Tx, az acl.Authorizer, q *kv.Get) ([]*kv.Entry, uint64, error) {
		b.evals.Add(1)
		return s.Get(tx, az, q)
	})
	view.Handle(b.views, kv.ListQuery, s.List)
	return b
}

func (b *bench) put(t testing.TB, key, value string) {
	t.Helper()
	if _, err := b.log.Apply(context.Background(), &kv.Put{Key: key, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) read(ctx context.Context, key string, index uint64, wait time.Duration) (view.Answer[[]*kv.Entry], error) {
	return view.Read(ctx, b.views, kv.GetQuery, &view.Options{MinIndex: index, Wait: wait}, kv.Get{Key: key})
}

func TestReadersShareOneEvaluation(t *testing.T) {
	b := start(t, view.Config{})
	defer b.views.Stop()
	b.put(t, "a", "1")
	for range 100 {
		if _, err := b.read(t.Context(), "a", 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.evals.Load(); n != 1 {
		t.Errorf("%d evaluations of one state", n)
	}
	b.put(t, "a", "2")
	answer, err := b.read(t.Context(), "a", 0, 0)
	if err != nil || string(answer.Value()[0].Value) != "2" {
		t.Errorf("after a write: %v, %v", answer.Value(), err)
	}
	if n := b.evals.Load(); n != 2 {
		t.Errorf("%d evaluations of two states", n)
	}
}

func TestWaitersAreWokenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		b.put(t, "a", "1")
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				answer, err := b.read(t.Context(), "a", 10, time.Minute)
				if err != nil || answer.Index() != 11 {
					t.Errorf("woken with index %d, %v", answer.Index(), err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		b.put(t, "a", "2")
		all.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("woken after %s", took)
		}
		if n := b.evals.Load(); n != 2 {
			t.Errorf("%d evaluations of two states", n)
		}
		b.views.Stop()
	})
}

func TestWaitEndsWithWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		defer b.views.Stop()
		b.put(t, "a", "1")
		began := time.Now()
		answer, err := b.read(t.Context(), "a", 10, 16*time.Second)
		if err != nil || answer.Index() != 10 {
			t.Errorf("index %d, %v", answer.Index(), err)
		}
		if took := time.Since(began); took < 16*time.Second || took > 17*time.Second {
			t.Errorf("waited %s, want 16s and at most a sixteenth more", took)
		}
		began = time.Now()
		if _, err := b.read(t.Context(), "a", 99, time.Hour); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Minute+40*time.Second {
			t.Errorf("waited %s, want at most 10m and a sixteenth", took)
		}
	})
}

// A missing key looks at the node above it, which other writes change: its waiters sleep on.
func TestUnchangedAnswerWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		defer b.views.Stop()
		b.put(t, "dir/x", "1")
		began := time.Now()
		go func() {
			for i := range 5 {
				time.Sleep(time.Second)
				b.put(t, fmt.Sprintf("dir/%d", i), "1")
			}
		}()
		if _, err := b.read(t.Context(), "dir/missing", 10, time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Minute {
			t.Errorf("woken after %s by other keys", took)
		}
	})
}

func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		b.put(t, "a", "1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := b.read(ctx, "a", 10, time.Minute)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		b.views.Stop() // would hang, and the bubble fail, if the watching goroutine were left
	})
}

func TestStopEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		b.put(t, "a", "1")
		done := make(chan error)
		go func() {
			_, err := b.read(t.Context(), "a", 10, time.Minute)
			done <- err
		}()
		synctest.Wait()
		b.views.Stop()
		if err := <-done; !errors.Is(err, state.ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}

// What a token may not see any more ends the waits that it began.
func TestErrorReachesAllWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := state.NewLocal(10, kv.Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		views := view.New(view.Config{Log: log})
		fail := false
		broken := errors.New("broken")
		query := rpc.Query[kv.Get, int]{Name: "Test.Fail"}
		view.Handle(views, query, func(tx *state.Tx, _ acl.Authorizer, q *kv.Get) (int, uint64, error) {
			kv.Entries.Get(tx, q.Key)
			if fail {
				return 0, 0, broken
			}
			return 1, 5, nil
		})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := view.Read(t.Context(), views, query, &view.Options{MinIndex: 5}, kv.Get{Key: "a"})
				if !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		fail = true
		if _, err := log.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		fail = false
		if _, err := view.Read(t.Context(), views, query, &view.Options{}, kv.Get{Key: "a"}); err != nil {
			t.Errorf("after the failure: %v", err)
		}
		views.Stop()
	})
}

func TestViewsAreBounded(t *testing.T) {
	b := start(t, view.Config{MaxEntries: 100, MaxBytes: 10 << 10})
	defer b.views.Stop()
	for i := range 10000 {
		answer, err := b.read(t.Context(), fmt.Sprint(i), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := answer.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := b.views.Size(); n > 101 {
		t.Errorf("%d results are kept", n)
	}
	large := string(make([]byte, 4<<10))
	for i := range 20 {
		key := fmt.Sprint("large", i)
		b.put(t, key, large)
		answer, err := b.read(t.Context(), key, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := answer.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	if _, bytes := b.views.Size(); bytes > 10<<10 {
		t.Errorf("%d bytes are kept", bytes)
	}
}

func TestLongArgumentsCount(t *testing.T) {
	b := start(t, view.Config{MaxBytes: 64 << 10})
	defer b.views.Stop()
	for i := range 1000 {
		if _, err := b.read(t.Context(), fmt.Sprintf("%d%01000d", i, 0), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if results, bytes := b.views.Size(); bytes > 66<<10 || results > 70 {
		t.Errorf("%d results of %d bytes are kept", results, bytes)
	}
}

func TestOtherDatacenter(t *testing.T) {
	b := start(t, view.Config{})
	defer b.views.Stop()
	_, err := view.Read(t.Context(), b.views, kv.GetQuery, &view.Options{Header: rpc.Header{Datacenter: "dc2"}}, kv.Get{Key: "a"})
	if rpc.CodeOf(err) != rpc.NoDatacenter {
		t.Errorf("got %v", err)
	}
}

func BenchmarkHit(b *testing.B) {
	v := start(b, view.Config{})
	defer v.views.Stop()
	v.put(b, "a", "1")
	b.ReportAllocs()
	for b.Loop() {
		answer, err := v.read(b.Context(), "a", 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := answer.JSON(); err != nil {
			b.Fatal(err)
		}
	}
}
