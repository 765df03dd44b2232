package view_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// blocking waits for what comes after the first write.
func blocking(wait time.Duration) view.Options { return view.Options{MinIndex: 10, Wait: wait} }

// later calls do when so much time has passed.
func later(after time.Duration, do func()) { time.AfterFunc(after, do) }

// took fails unless about so much time has passed.
func took(t *testing.T, began time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(began); d < least || d > most {
		t.Errorf("took %v, want %v to %v", d, least, most)
	}
}

func TestRemoteWaitersShareOneStream(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if a, err := s.ask(t.Context(), "a", blocking(time.Minute)); value(a) != "2" || a.Index() != 11 || !a.KnownLeader {
					t.Errorf("woken with %q at %d, %v", value(a), a.Index(), err)
				}
			})
		}
		synctest.Wait()
		if n := s.link.streams.Load(); n != 1 {
			t.Errorf("%d streams", n)
		}
		began := time.Now()
		s.put(t, "a", "2")
		all.Wait()
		took(t, began, 0, 0)
		if n := s.link.bodies.Load(); n != 2 {
			t.Errorf("%d answers with a body", n)
		}
	})
}

func TestRemoteWaitEnds(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		began := time.Now()
		a, err := s.ask(t.Context(), "a", blocking(16*time.Second))
		if err != nil || value(a) != "1" || a.Index() != 10 {
			t.Errorf("%q at %d, %v", value(a), a.Index(), err)
		}
		took(t, began, 16*time.Second, 17*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.ask(ctx, "a", blocking(time.Minute)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that goes away: %v", err)
		}

		later(6*time.Second, s.link.sever)
		if a, err = s.ask(t.Context(), "a", blocking(10*time.Second)); err != nil || a.LastContact < 3*time.Second {
			t.Errorf("without a server at the end: %v, last contact %v", err, a.LastContact)
		}
	})
}

// That the servers are out of reach for a while does not end a blocking read, and what changes meanwhile does.
func TestBriefLoss(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		began := time.Now()
		later(10*time.Second, s.link.sever)
		later(12*time.Second, func() { s.put(t, "a", "2") })
		later(15*time.Second, func() { s.link.mend(1) })
		a, err := s.ask(t.Context(), "a", blocking(time.Minute))
		if value(a) != "2" || a.Index() != 11 {
			t.Errorf("%q at %d, %v", value(a), a.Index(), err)
		}
		took(t, began, 15*time.Second, 18*time.Second)
	})
}

func TestLongLoss(t *testing.T) {
	inBubble(t, view.Config{HoldTimeout: 5 * time.Second}, func(t *testing.T, s *site) {
		began := time.Now()
		later(10*time.Second, s.link.sever)
		if a, err := s.ask(t.Context(), "a", blocking(time.Minute)); !errors.Is(err, errCut) {
			t.Errorf("%q, %v", value(a), err)
		}
		took(t, began, 15*time.Second, 15*time.Second)
		s.link.mend(0)
		if a, err := s.ask(t.Context(), "a", blocking(time.Second)); value(a) != "1" {
			t.Errorf("after it: %v", err)
		}
	})
}

// leaderless is a log whose leader may be lost.
type leaderless struct {
	*state.Local
	lost func() time.Duration // for how long
}

func (l *leaderless) Fresh(_ context.Context, opts state.ReadOptions) (state.ReadMeta, error) {
	if lost := l.lost(); lost > 0 {
		if opts.Consistency == state.Stale && (opts.MaxStale == 0 || lost <= opts.MaxStale) {
			return state.ReadMeta{LastContact: lost}, nil
		}
		return state.ReadMeta{}, state.ErrNoLeader
	}
	return state.ReadMeta{KnownLeader: true}, nil
}

// A server without a leader sends away those who follow it, after some time; they ask it still, if they take what is stale.
func TestServerLosesLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, view.Config{})
		defer s.stop()
		s.put(t, "a", "1")
		var since time.Time
		var mu sync.Mutex
		s.views.Log = &leaderless{s.log, func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if since.IsZero() {
				return 0
			}
			return time.Since(since)
		}}
		lose := func(at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			since = at
		}
		s.ask(t.Context(), "a", cached)
		lose(time.Now())
		time.Sleep(30 * time.Second)
		if n := s.link.streams.Load(); n != 0 {
			t.Errorf("%d streams", n)
		}
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "1" || a.LastContact < 20*time.Second || a.KnownLeader {
			t.Errorf("%q, %v, last contact %v", value(a), err, a.LastContact)
		}
		began := time.Now()
		if a, err := s.ask(t.Context(), "a", blocking(time.Minute)); rpc.CodeOf(err) != rpc.NoLeader {
			t.Errorf("default: %q, %v", value(a), err)
		}
		patient := blocking(time.Minute)
		patient.Consistency = state.Stale
		if a, err := s.ask(t.Context(), "a", patient); value(a) != "1" || a.KnownLeader {
			t.Errorf("stale: %q, %v", value(a), err)
		}
		took(t, began, time.Minute, 66*time.Second)
		lose(time.Time{})
		time.Sleep(5 * time.Second)
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "1" || a.LastContact != 0 || !a.KnownLeader {
			t.Errorf("%q, %v, last contact %v", value(a), err, a.LastContact)
		}
	})
}

// What is cached is asked for once, by however many, and from then on known.
func TestCached(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.link.slow = time.Second
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if a, err := s.ask(t.Context(), "a", cached); value(a) != "1" || !a.Fresh() {
					t.Errorf("%q, %v", value(a), err)
				}
			})
		}
		all.Wait()
		began := time.Now()
		old, _ := s.ask(t.Context(), "a", cached)
		took(t, began, 0, 0)
		s.put(t, "a", "2")
		time.Sleep(time.Second)
		synctest.Wait()
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "2" || !a.Fresh() || old.Fresh() {
			t.Errorf("%q, %v, fresh %v, before %v", value(a), err, a.Fresh(), old.Fresh())
		}
		if fetches, follows := s.link.fetches.Load(), s.link.follows.Load(); fetches != 0 || follows != 1 {
			t.Errorf("%d fetches, %d follows", fetches, follows)
		}
		later(10*time.Second, func() { s.put(t, "a", "3") })
		if a, err := s.ask(t.Context(), "a", view.Options{Cached: true, MinIndex: 11}); value(a) != "3" || s.link.fetches.Load() != 0 {
			t.Errorf("blocking: %q, %v, %d fetches", value(a), err, s.link.fetches.Load())
		}
	})
}

// While the servers are away, what is cached is what was last heard, for as long as the reader allows.
func TestCachedWhileServersAreAway(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		held, _ := s.ask(t.Context(), "a", cached)
		time.Sleep(time.Minute)
		s.link.sever()
		synctest.Wait()
		s.put(t, "a", "2")
		for range 100 {
			time.Sleep(time.Minute)
			a, err := s.ask(t.Context(), "a", cached)
			if value(a) != "1" || !a.Fresh() || a.Result != held.Result {
				t.Fatalf("%q, %v, fresh %v", value(a), err, a.Fresh())
			}
		}
		began := time.Now()
		limited := cached
		limited.MaxStale = 101 * time.Minute
		if a, err := s.ask(t.Context(), "a", limited); err != nil || a.LastContact.Round(time.Second) != 100*time.Minute {
			t.Errorf("last contact %v, %v", a.LastContact, err)
		}
		limited.MaxStale = 99 * time.Minute
		if a, err := s.ask(t.Context(), "a", limited); !errors.Is(err, errCut) {
			t.Errorf("too old: %q, %v", value(a), err)
		}
		if _, err := s.ask(t.Context(), "new", cached); !errors.Is(err, errCut) {
			t.Errorf("never heard of: %v", err)
		}
		took(t, began, 0, 0)
		s.link.mend(1)
		time.Sleep(5 * time.Second)
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "2" || a.LastContact != 0 || held.Fresh() {
			t.Errorf("afterwards: %q, %v, last contact %v", value(a), err, a.LastContact)
		}
	})
}

// What was only asked for is what is known when no server can be followed.
func TestCachedAfterPlainRead(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		s.ask(t.Context(), "a", view.Options{})
		s.link.sever()
		time.Sleep(time.Minute)
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "1" || a.LastContact.Round(time.Second) != time.Minute {
			t.Errorf("%q, %v, last contact %v", value(a), err, a.LastContact)
		}
	})
}

func TestIdleStreamEnds(t *testing.T) {
	inBubble(t, view.Config{FollowIdle: time.Minute}, func(t *testing.T, s *site) {
		s.ask(t.Context(), "a", cached)
		for range 10 {
			time.Sleep(50 * time.Second)
			s.ask(t.Context(), "a", cached)
		}
		s.ask(t.Context(), "a", view.Options{MinIndex: 10, Wait: 10 * time.Minute})
		if n := s.link.follows.Load(); n != 1 || s.link.streams.Load() != 1 {
			t.Errorf("%d streams, followed %d times", s.link.streams.Load(), n)
		}
		time.Sleep(2*time.Minute + time.Second)
		if n := s.link.streams.Load(); n != 0 {
			t.Errorf("%d streams that nobody reads", n)
		}
		s.put(t, "a", "2")
		if a, err := s.ask(t.Context(), "a", cached); value(a) != "2" {
			t.Errorf("%q, %v", value(a), err)
		}
	})
}

// Names that are made up do not keep out those that are asked for again.
func TestMadeUpNames(t *testing.T) {
	inBubble(t, view.Config{MaxFollowed: 50}, func(t *testing.T, s *site) {
		for i := range 1000 {
			for _, name := range []string{"a", fmt.Sprint("made-up-", i)} {
				if _, err := s.ask(t.Context(), name, cached); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := s.link.streams.Load(); n > 50 {
			t.Errorf("%d streams", n)
		}
		s.link.sever()
		for name, want := range map[string]string{"a": "1", "made-up-5": ""} {
			if a, err := s.ask(t.Context(), name, cached); value(a) != want {
				t.Errorf("%s: %q, %v", name, value(a), err)
			}
		}
		s.link.mend(0)
		if a, err := s.ask(t.Context(), "new", cached); err != nil || !a.Fresh() {
			t.Errorf("%v, fresh %v", err, a.Fresh())
		}
	})
}

// What a reader may not see any more is taken away from all who read it.
func TestRefusalEndsFollowing(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		refused := rpc.Errorf(rpc.PermissionDenied, "refused")
		var mu sync.Mutex
		refuse := false
		query := rpc.Query[kv.Get, string]{Name: "Test.Refuse"}
		view.Handle(s.views, query, func(tx *state.Tx, _ acl.Authorizer, q *kv.Get) (string, uint64, error) {
			kv.Entries.Get(tx, q.Key)
			mu.Lock()
			defer mu.Unlock()
			if refuse {
				return "", 0, refused
			}
			return "secret", 5, nil
		})
		view.Handle(s.agent, query, nil)
		read := func(opts view.Options) error {
			_, err := view.Read(t.Context(), s.agent, query, &opts, kv.Get{Key: "a"})
			return err
		}
		var all sync.WaitGroup
		for _, opts := range []view.Options{{MinIndex: 5}, {MinIndex: 5, Cached: true}} {
			all.Go(func() {
				if err := read(opts); rpc.CodeOf(err) != rpc.PermissionDenied {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		refuse = true
		mu.Unlock()
		s.put(t, "a", "2")
		all.Wait()
		if err := read(cached); rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Errorf("then %v", err)
		}
		mu.Lock()
		refuse = false
		mu.Unlock()
		if err := read(cached); err != nil {
			t.Errorf("in the end %v", err)
		}
	})
}

func TestRemoteRestore(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		var old bytes.Buffer
		s.log.DB().Snapshot().WriteTo(&old)
		s.put(t, "a", "2")
		later(time.Second, func() {
			if err := s.log.DB().Restore(&old); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		a, err := s.ask(t.Context(), "a", view.Options{MinIndex: 11})
		if value(a) != "1" || a.Index() != 12 {
			t.Errorf("%q at %d, %v", value(a), a.Index(), err)
		}
		took(t, began, time.Second, time.Second)
	})
}

// A stream gives a slow reader the newest, not all that there was.
func TestStreamSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		defer b.views.Stop()
		b.put(t, "a", "0")
		ctx, cancel := context.WithCancel(t.Context())
		args := must(rpc.Append(nil, &kv.Get{Key: "a"}))
		first := must(b.views.Answer(ctx, rpc.Header{}, &view.Ask{Query: kv.GetQuery.Name, Args: args}))
		var got []uint64
		var bodies int
		done := make(chan error)
		go func() {
			done <- b.views.Stream(ctx, rpc.Header{}, &view.Ask{Query: kv.GetQuery.Name, Args: args, Have: first.Tag}, func(p *view.Packed) error {
				got = append(got, p.Index)
				if !p.Unchanged {
					bodies++
				}
				time.Sleep(time.Second)
				return nil
			})
		}()
		synctest.Wait()
		for i := range 100 {
			b.put(t, "a", fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if len(got) != 2 || got[0] != 10 || got[1] != 110 || bodies != 1 {
			t.Errorf("sent %v, %d with a body", got, bodies)
		}
	})
}

func TestServeRefuses(t *testing.T) {
	b := start(t, view.Config{})
	defer b.views.Stop()
	for what, q := range map[string]*view.Ask{"unknown": {Query: "Test.None"}, "malformed": {Query: kv.GetQuery.Name, Args: []byte{0xc1}}} {
		_, err := b.views.Answer(t.Context(), rpc.Header{}, q)
		if code := rpc.CodeOf(err); code != rpc.NotImplemented && code != rpc.Invalid {
			t.Errorf("%s: %v", what, err)
		}
		if err2 := b.views.Stream(t.Context(), rpc.Header{}, q, nil); rpc.CodeOf(err2) != rpc.CodeOf(err) {
			t.Errorf("%s: %v", what, err2)
		}
	}
}

// Whatever happens to the way to the servers: who loops over blocking reads sees indexes that only grow, values that
// never go back, and the last one in the end.
func TestAgentKeepsUp(t *testing.T) {
	for seed := range uint64(30) {
		inBubble(t, view.Config{FollowIdle: 10 * time.Second}, func(t *testing.T, s *site) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			s.link.slow = time.Duration(rnd.IntN(20)) * time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			for i := range 6 {
				opts := []view.Options{{}, stale, cached}[i%3]
				all.Go(func() { loop(ctx, t, s, opts) })
			}
			away := false
			for i := range 300 {
				s.put(t, "a", fmt.Sprintf("1%06d", i))
				time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
				switch n := rnd.IntN(20); {
				case n < 3 && !away:
					s.link.sever()
					away = true
				case n < 6 && away:
					s.link.mend(rnd.IntN(2))
					away = false
				case n == 6 && !away:
					s.link.turn(rnd.IntN(2))
				}
			}
			if away {
				s.link.mend(0)
			}
			time.Sleep(10 * time.Second)
			s.put(t, "a", "last")
			all.Wait()
		})
	}
}

// loop reads until it has seen the last value.
func loop(ctx context.Context, t *testing.T, s *site, opts view.Options) {
	seen := ""
	for seen != "last" {
		a, err := s.ask(ctx, "a", opts)
		if err != nil {
			if !errors.Is(err, errCut) {
				t.Errorf("ends with %v", err)
				return
			}
			time.Sleep(time.Second)
			continue
		}
		if a.Index() < opts.MinIndex || value(a) < seen {
			t.Errorf("goes back from %q at %d to %q at %d", seen, opts.MinIndex, value(a), a.Index())
			return
		}
		if a.Index() == opts.MinIndex && value(a) != seen {
			t.Errorf("at %d is %q, and was %q", opts.MinIndex, value(a), seen)
		}
		seen, opts.MinIndex = value(a), a.Index()
	}
}
