package lock

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Contenders take and release a lock at random for some minutes; there are never more holders than allowed, and each has its
// turn. Sessions of mutexes also die at random: their lock delay keeps the next holder away until the last one knows.
// Semaphores have no such delay.
func TestNeverTooManyHolders(t *testing.T) {
	for seed := range uint64(3) {
		both(t, func(t *testing.T, c Config) {
			a := c.Agent.(*fakeAgent)
			var holders, turns atomic.Int64
			var running sync.WaitGroup
			end := time.Now().Add(10 * time.Minute)
			for i := range uint64(5) {
				dice := rand.New(rand.NewPCG(seed, i))
				running.Go(func() {
					for time.Now().Before(end) {
						h, err := Acquire(t.Context(), c)
						if err != nil {
							continue // its session was killed
						}
						if n := holders.Add(1); n > int64(c.Limit) {
							t.Errorf("%d holders", n)
						}
						turns.Add(1)
						select {
						case <-h.Lost():
						case <-time.After(time.Duration(dice.IntN(5000)) * time.Millisecond):
						}
						holders.Add(-1)
						_ = h.Release(t.Context())
						time.Sleep(time.Duration(dice.IntN(1000)) * time.Millisecond)
					}
				})
			}
			for c.Limit == 1 && time.Now().Before(end) {
				time.Sleep(time.Minute)
				a.do(a.killOne)
			}
			running.Wait()
			if n := turns.Load(); n < 60 {
				t.Errorf("%d turns", n)
			}
			if synctest.Wait(); len(a.keys)+len(a.sessions) > 0 {
				t.Errorf("left: %v %v", a.keys, a.sessions)
			}
		})
	}
}

// killOne ends any one session.
func (a *fakeAgent) killOne() {
	for id := range a.sessions {
		a.kill(id)
		return
	}
}
