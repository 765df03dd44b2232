package view_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// inBubble runs a test of an agent and its servers in fake time.
func inBubble(t *testing.T, c view.Config, do func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		defer s.stop() // would hang, and the bubble fail, if a goroutine were left
		s.put(t, "a", "1")
		do(t, s)
	})
}

// A plain read asks a server each time. What has not changed comes without a body, and is encoded once.
func TestRemoteRead(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		var bodies [3][]byte
		for i := range bodies {
			a, err := s.ask(t.Context(), "a", []view.Options{{}, stale, {ReadOptions: state.ReadOptions{Consistency: state.Consistent}}}[i])
			if err != nil || value(a) != "1" || a.Index() != 10 || !a.KnownLeader {
				t.Fatalf("%q at %d, %v", value(a), a.Index(), err)
			}
			bodies[i], _ = a.JSON()
			if a.Fresh() {
				t.Error("the result of a plain read claims to be fresh")
			}
		}
		if &bodies[0][0] != &bodies[1][0] || &bodies[0][0] != &bodies[2][0] {
			t.Error("encoded more than once")
		}
		if fetches, n := s.link.fetches.Load(), s.link.bodies.Load(); fetches != 3 || n != 1 {
			t.Errorf("%d questions, %d answers with a body", fetches, n)
		}
		s.put(t, "a", "2")
		if a, err := s.ask(t.Context(), "a", view.Options{}); value(a) != "2" || a.Index() != 11 {
			t.Errorf("after a write: %q, %v", value(a), err)
		}
		if want, err := s.bench.read(t.Context(), "a", 0, 0); err != nil {
			t.Error(err)
		} else if got, _ := s.ask(t.Context(), "a", view.Options{}); string(must(got.JSON())) != string(must(want.JSON())) {
			t.Errorf("got %s, want %s", must(got.JSON()), must(want.JSON()))
		}
		if a, err := s.ask(t.Context(), "none", view.Options{}); err != nil || string(must(a.JSON())) != "null" {
			t.Errorf("of nothing: %v", err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRemoteErrors(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		_, err := s.ask(t.Context(), "a", view.Options{Header: rpc.Header{Datacenter: "dc2"}})
		if rpc.CodeOf(err) != rpc.NoDatacenter {
			t.Errorf("another datacenter: %v", err)
		}
		_, err = view.Read(t.Context(), s.agent, rpc.Query[kv.Get, int]{Name: "Test.None"}, &view.Options{}, kv.Get{})
		if rpc.CodeOf(err) != rpc.NotImplemented {
			t.Errorf("an unknown query: %v", err)
		}
		s.link.sever()
		for _, opts := range []view.Options{{}, stale, cached, {MinIndex: 10}} {
			if a, err := s.ask(t.Context(), "a", opts); !errors.Is(err, errCut) {
				t.Errorf("without a server: %q, %v", value(a), err)
			}
		}
	})
}

// Reads at the same moment share a question, but only one that begins after they have come.
func TestReadersShareQuestions(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.link.slow = time.Millisecond
		var all sync.WaitGroup
		read := func(want string) {
			all.Go(func() {
				if a, err := s.ask(t.Context(), "a", view.Options{}); value(a) != want {
					t.Errorf("got %q, %v, want %q", value(a), err, want)
				}
			})
		}
		read("1")
		synctest.Wait()
		time.Sleep(1500 * time.Microsecond) // the answer is on its way back
		s.put(t, "a", "2")
		for range 100 {
			read("2")
		}
		all.Wait()
		if n := s.link.fetches.Load(); n != 2 {
			t.Errorf("%d questions", n)
		}
	})
}

// A reader that goes away ends its own wait and nobody else's; the last one ends the question.
func TestReadersOfAQuestionGoAway(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.link.slow = time.Hour
		var all sync.WaitGroup
		impatient := func(wait time.Duration) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				began := time.Now()
				if _, err := s.ask(ctx, "a", view.Options{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != wait {
					t.Errorf("ended after %v with %v", time.Since(began), err)
				}
			})
			synctest.Wait()
		}
		impatient(time.Second)
		impatient(3 * time.Second)
		impatient(2 * time.Second)
		all.Wait()
		s.link.slow = 0
		if a, err := s.ask(t.Context(), "a", view.Options{}); value(a) != "1" {
			t.Errorf("%v", err)
		}
	})
}

// A question that hangs does not hold up those who come later.
func TestQuestionHangs(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.link.slow = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() { s.ask(ctx, "a", view.Options{}) })
		synctest.Wait()
		s.link.slow = 0
		began := time.Now()
		if _, err := s.ask(t.Context(), "a", view.Options{}); err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		cancel()
		all.Wait()
	})
}

func TestRemoteStop(t *testing.T) {
	for name, opts := range map[string]view.Options{"plain": {}, "cached": cached, "blocking": {MinIndex: 10}, "blocking and cached": {Cached: true, MinIndex: 10}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, view.Config{}, func(t *testing.T, s *site) {
				if opts.MinIndex == 0 {
					s.link.slow = time.Hour
				}
				done := make(chan error)
				for range 3 {
					go func() { _, err := s.ask(t.Context(), "a", opts); done <- err }()
				}
				synctest.Wait()
				s.agent.Stop()
				for range 3 {
					if err := <-done; !errors.Is(err, state.ErrStopped) {
						t.Errorf("got %v", err)
					}
				}
				if _, err := s.ask(t.Context(), "a", opts); !errors.Is(err, state.ErrStopped) {
					t.Errorf("after Stop: %v", err)
				}
			})
		})
	}
}

// Each token has a result of its own, and sees what it may.
func TestRemoteTokens(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.views.Resolve = func(_ context.Context, token string) (acl.Authorizer, error) {
			if token == "good" {
				return acl.AllowAll(), nil
			}
			return nil, rpc.Errorf(rpc.PermissionDenied, "token not found")
		}
		for range 2 {
			for token, may := range map[string]bool{"good": true, "bad": false, "": false} {
				for _, c := range []bool{false, true} {
					a, err := s.ask(t.Context(), "a", view.Options{Header: rpc.Header{Token: token}, Cached: c})
					if (value(a) == "1") != may || (rpc.CodeOf(err) == rpc.PermissionDenied) == may && err != nil {
						t.Errorf("token %q: %q, %v", token, value(a), err)
					}
				}
			}
		}
	})
}

// An answer from a server that is behind does not take an index back, nor does what is followed change to it.
func TestIndexesNeverGoBack(t *testing.T) {
	behind, err := state.NewLocal(10, kv.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		old := view.New(view.Config{Log: behind, Datacenter: "dc1"})
		defer old.Stop()
		view.Handle(old, kv.GetQuery, (&kv.Service{}).Get)
		behind.Apply(t.Context(), &kv.Put{Key: "a", Value: []byte("0")})
		s.link.servers = append(s.link.servers, old)
		s.put(t, "b", "1")
		s.put(t, "a", "2")
		s.ask(t.Context(), "a", view.Options{})
		s.link.turn(2)
		for range 3 {
			if a, err := s.ask(t.Context(), "a", stale); value(a) != "2" || a.Index() != 12 {
				t.Errorf("behind: %q at %d, %v", value(a), a.Index(), err)
			}
		}
		time.Sleep(time.Minute) // nobody is behind for so long: the state was restored
		if a, err := s.ask(t.Context(), "a", stale); value(a) != "0" || a.Index() != 13 {
			t.Errorf("restored: %q at %d, %v", value(a), a.Index(), err)
		}
		s.link.turn(0)
		if a, err := s.ask(t.Context(), "a", view.Options{}); value(a) != "2" || a.Index() != 14 {
			t.Errorf("at the first server again: %q at %d, %v", value(a), a.Index(), err)
		}
		s.link.turn(2) // what is fresh is right whatever its index
		if a, err := s.ask(t.Context(), "a", view.Options{}); value(a) != "0" || a.Index() != 15 {
			t.Errorf("restored: %q at %d, %v", value(a), a.Index(), err)
		}
	})
}

// Servers that give the same answer under different indexes wake nobody in vain.
func TestSameAnswerOfAnotherServer(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.ask(t.Context(), "none", view.Options{})
		s.put(t, "b", "1") // moves the index of what is not there
		a, _ := s.ask(t.Context(), "none", view.Options{})
		for i := range 4 {
			s.link.turn(i % 2)
			if b, err := s.ask(t.Context(), "none", stale); err != nil || b.Index() != a.Index() {
				t.Errorf("index %d, then %d, %v", a.Index(), b.Index(), err)
			}
		}
	})
}

func TestRemoteIsBounded(t *testing.T) {
	inBubble(t, view.Config{MaxEntries: 100, MaxBytes: 100 << 10, MaxFollowed: 20}, func(t *testing.T, s *site) {
		s.put(t, "large", string(make([]byte, 4<<10)))
		for i := range 1000 {
			for _, c := range []bool{false, true} {
				a, err := view.Read(t.Context(), s.agent, kv.ListQuery, &view.Options{Cached: c, Header: rpc.Header{Token: fmt.Sprint(i)}}, kv.List{Prefix: "large"})
				if err != nil || len(a.Value().Entries) != 1 {
					t.Fatal(err)
				}
				must(a.JSON())
			}
			if n, bytes := s.agent.Size(); n > 101 || bytes > 120<<10 {
				t.Fatalf("%d results of %d bytes are kept", n, bytes)
			}
		}
		synctest.Wait()
		if n := s.link.streams.Load(); n > 20 {
			t.Errorf("%d results are followed", n)
		}
	})
}

func BenchmarkRemoteUnchanged(b *testing.B) {
	s := newSite(b, view.Config{})
	defer s.stop()
	s.put(b, "a", "1")
	for b.Loop() {
		if _, err := s.ask(b.Context(), "a", view.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	s := newSite(b, view.Config{})
	defer s.stop()
	s.put(b, "a", "1")
	for b.Loop() {
		if _, err := s.ask(b.Context(), "a", cached); err != nil {
			b.Fatal(err)
		}
	}
}
