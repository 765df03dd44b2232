package lock

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lictor/cmd/lictor/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func isLost(h *Held) bool {
	synctest.Wait()
	return h.IsLost()
}

func take(t *testing.T, c Config) *Held {
	t.Helper()
	h, err := Acquire(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func release(t *testing.T, h *Held) {
	t.Helper()
	if err := h.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

// both runs a test for mutexes and for semaphores.
func both(t *testing.T, test func(t *testing.T, c Config)) {
	for name, limit := range map[string]int{"mutex": 1, "semaphore": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, Config{Agent: newFakeAgent(), Prefix: "p", Limit: limit, Session: "test"}) })
		})
	}
}

func TestNothingIsLeftAfterRelease(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		a := c.Agent.(*fakeAgent)
		h := take(t, c)
		flags := uint64(mutexFlags)
		if c.Limit > 1 {
			flags = semaphoreFlags
		}
		if p := a.keys["p/.lock"]; p.Flags != flags {
			t.Errorf("the key is %+v", p)
		}
		if s := a.sessions[h.session]; s.Name != "test" || s.TTL != "15s" {
			t.Errorf("the session is %+v", s)
		}
		if isLost(h) {
			t.Error("lost at once")
		}
		release(t, h)
		if !isLost(h) || len(a.keys)+len(a.sessions) > 0 {
			t.Errorf("left: %v %v", a.keys, a.sessions)
		}
	})
}

func TestAsManyAsAllowed(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		var held []*Held
		for range c.Limit {
			held = append(held, take(t, c))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if _, err := Acquire(short, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("one too many: %v after %s", err, time.Since(begun))
		}
		got := make(chan *Held)
		go func() { got <- take(t, c) }()
		synctest.Wait()
		begun = time.Now()
		release(t, held[0])
		held[0] = <-got
		if time.Since(begun) != 0 {
			t.Errorf("the next one had to wait for %s", time.Since(begun))
		}
		for _, h := range held {
			release(t, h)
		}
		if a := c.Agent.(*fakeAgent); len(a.keys)+len(a.sessions) > 0 {
			t.Errorf("left: %v %v", a.keys, a.sessions)
		}
	})
}

func TestSessionIsRenewed(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		h := take(t, c)
		time.Sleep(time.Hour)
		if isLost(h) {
			t.Error("lost")
		}
		if n := c.Agent.(*fakeAgent).renewals; n < 400 {
			t.Errorf("%d renewals", n)
		}
		release(t, h)
	})
}

func TestLoss(t *testing.T) {
	for name, harm := range map[string]func(*fakeAgent, *Held){
		"session destroyed": func(a *fakeAgent, h *Held) { a.kill(h.session) },
		"key deleted":       func(a *fakeAgent, _ *Held) { delete(a.keys, "p/.lock") },
		"key overwritten":   func(a *fakeAgent, _ *Held) { a.keys["p/.lock"] = pair{Key: "p/.lock", ModifyIndex: a.index} },
		"agent refuses":     func(a *fakeAgent, _ *Held) { a.failing = &client.Status{Code: http.StatusForbidden} },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, c Config) {
				c.Retries = 3
				a := c.Agent.(*fakeAgent)
				h := take(t, c)
				synctest.Wait()
				a.do(func() { harm(a, h) })
				if !isLost(h) {
					t.Error("not noticed at once")
				}
				a.do(func() { a.failing = nil })
				if err := h.Release(t.Context()); err != nil && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
				if len(a.sessions) > 0 {
					t.Errorf("left: %v", a.sessions)
				}
			})
		})
	}
}

func TestShortFailuresAreBorne(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		c.Retries = 3
		a := c.Agent.(*fakeAgent)
		h := take(t, c)
		synctest.Wait()
		away := &client.Status{Code: http.StatusInternalServerError, Text: "No cluster leader"}
		a.do(func() { a.failing = away })
		time.Sleep(2500 * time.Millisecond)
		a.do(func() { a.failing = nil })
		time.Sleep(time.Minute)
		if isLost(h) {
			t.Error("lost after 2.5 s")
		}
		a.do(func() { a.failing = away })
		time.Sleep(3500 * time.Millisecond)
		if !isLost(h) {
			t.Error("not lost after 3.5 s")
		}
		if err := h.Release(t.Context()); err == nil {
			t.Error("a release that failed was not reported")
		}
	})
}

// A holder cut off from all agents gives up before its session can have expired.
func TestUnrenewedLockIsLostInTime(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		c.Retries = 1000
		a := c.Agent.(*fakeAgent)
		h := take(t, c)
		a.do(func() { a.failing = errors.New("cut off") })
		begun := time.Now()
		<-h.Lost()
		if d := time.Since(begun); d > sessionTTL || d < sessionTTL-renewInterval {
			t.Errorf("lost after %s", d)
		}
		a.do(func() { a.failing = nil })
		release(t, h)
	})
}

func TestLockDelayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeAgent()
		c := Config{Agent: a, Prefix: "p", Limit: 1}
		first := take(t, c)
		a.do(func() { a.kill(first.session) })
		begun := time.Now()
		second := take(t, c)
		if d := time.Since(begun); d < 15*time.Second || d > 16*time.Second {
			t.Errorf("got after %s", d)
		}
		release(t, first)
		if isLost(second) {
			t.Error("the release of a lost lock has taken it from its holder")
		}
		release(t, second)
	})
}

func TestSessionThatEndsWhileWaiting(t *testing.T) {
	both(t, func(t *testing.T, c Config) {
		a := c.Agent.(*fakeAgent)
		var held []*Held
		for range c.Limit {
			held = append(held, take(t, c))
		}
		got := make(chan error)
		go func() {
			_, err := Acquire(t.Context(), c)
			got <- err
		}()
		synctest.Wait()
		a.do(func() {
			for id := range a.sessions {
				if id != held[0].session && id != held[len(held)-1].session {
					a.kill(id)
				}
			}
		})
		if err := <-got; !errors.Is(err, ErrSession) {
			t.Error(err)
		}
		for _, h := range held {
			release(t, h)
		}
	})
}

func TestConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeAgent()
		mutex := Config{Agent: a, Prefix: "p", Limit: 1}
		pairOf := Config{Agent: a, Prefix: "p", Limit: 2}
		three := Config{Agent: a, Prefix: "p", Limit: 3}

		h := take(t, mutex)
		if _, err := Acquire(t.Context(), pairOf); !errors.Is(err, ErrConflict) {
			t.Errorf("semaphore on a mutex: %v", err)
		}
		release(t, h)
		h = take(t, pairOf)
		if _, err := Acquire(t.Context(), mutex); !errors.Is(err, ErrConflict) {
			t.Errorf("mutex on a semaphore: %v", err)
		}
		if _, err := Acquire(t.Context(), three); !errors.Is(err, ErrLimit) {
			t.Errorf("other limit: %v", err)
		}
		release(t, h)
		if len(a.sessions) > 0 {
			t.Errorf("left: %v", a.sessions)
		}
	})
}

// The roster is what other clients read: it is pinned.
func TestRosterAsOthersReadIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeAgent()
		// A holder that has died without taking its name off.
		a.keys["p/.lock"] = pair{Key: "p/.lock", Flags: semaphoreFlags, ModifyIndex: 1, Value: []byte(`{"Limit":2,"Holders":{"dead":true}}`)}
		h := take(t, Config{Agent: a, Prefix: "p/", Limit: 2})
		if got, want := string(a.keys["p/.lock"].Value), `{"Limit":2,"Holders":{"`+h.session+`":true}}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if p := a.keys["p/"+h.session]; p.Session != h.session || p.Flags != semaphoreFlags {
			t.Errorf("contender %+v", p)
		}
		if s := a.sessions[h.session]; s.Behavior != "delete" {
			t.Errorf("session %+v", s)
		}
		release(t, h)
	})
}

func TestNoSession(t *testing.T) {
	a := newFakeAgent()
	a.failing = errors.New("no agent")
	if _, err := Acquire(t.Context(), Config{Agent: a, Prefix: "p", Limit: 1}); !errors.Is(err, a.failing) {
		t.Error(err)
	}
}
