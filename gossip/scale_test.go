//go:build sim

package gossip

import (
	"context"
	"flag"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

var simMembers = flag.Int("members", 1000, "members of the pool in TestScale")

// joinPause is the time between two joins while the pool grows.
const joinPause = 50 * time.Millisecond

// crowd is many pools and when each of them heard what.
type crowd struct {
	*sim
	mu    sync.Mutex             // guards what follows
	heard map[string][]time.Time // by event and member, of those that were asked for
	asked time.Time
}

// follow notes when a pool hears of the members that the story is about.
func (c *crowd) follow(p *Pool) {
	for e := range p.Events() {
		if e.Member.Name == p.cfg.memberName() {
			continue
		}
		key := e.Type.String() + " " + e.Member.Name
		c.mu.Lock()
		if times, ok := c.heard[key]; ok {
			c.heard[key] = append(times, time.Now())
		}
		c.mu.Unlock()
	}
}

// ask begins to note who hears of an event and when.
func (c *crowd) ask(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard[key], c.asked = nil, time.Now()
}

// times are when members have heard of an event, in order.
func (c *crowd) times(key string) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	times := slices.Clone(c.heard[key])
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// spread waits until all of so many have heard, and returns how long after ask the first, the middle and the last had.
func (c *crowd) spread(key string, n int, limit time.Duration) (first, middle, last time.Duration) {
	c.t.Helper()
	c.until(limit, key, func() bool { return len(c.times(key)) >= n })
	times := c.times(key)
	return times[0].Sub(c.asked), times[n/2].Sub(c.asked), times[n-1].Sub(c.asked)
}

// To grow, the pool makes do with a twelfth of the news; what that leaves out is settled by exchanges of all that two
// members know. It saves most of the work, which grows with the square of the members.
//
// TestScale lets a thousand members hear of a join and of a death, and prints how long it took beside what the theory of
// SWIM and Lifeguard expects.
func TestScale(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(150))
	wall := time.Now()
	var heap runtime.MemStats
	n := *simMembers
	simulate(t, func(s *sim) {
		c := &crowd{sim: s, heard: map[string][]time.Time{}}
		begin := func(i int) *Pool {
			p := s.start(i, func(cfg *Config) { cfg.Tuning.RetransmitMult = 1 })
			go c.follow(p)
			return p
		}
		start := time.Now()
		for i := range n {
			p := begin(i)
			if i > 0 {
				s.join(p, i/2)
			}
			time.Sleep(joinPause)
		}
		s.until(10*time.Minute, "all know all", all(s.pools, func(p *Pool) bool { return p.NumMembers() == n }))
		t.Logf("%d members, one joining %v after the other, know each other %.1f s after the last",
			n, joinPause, time.Since(start).Seconds()-(joinPause*time.Duration(n)).Seconds())
		time.Sleep(2 * time.Minute) // what is under way has been said
		runtime.GC()
		runtime.ReadMemStats(&heap)

		tuning := DefaultTuning(LAN)
		tune := func(p *Pool) { newsOf(p.serf.Load().Memberlist()).RetransmitMult = tuning.RetransmitMult }
		for _, p := range s.pools {
			tune(p)
		}
		rounds := math.Log(float64(n)) / math.Log(float64(tuning.GossipNodes+1))
		newcomer := simConfig(n).NodeName
		c.ask("join " + newcomer)
		p := begin(n)
		tune(p)
		if joined, err := p.Join(context.Background(), []string{simAddr(n / 2).String()}); joined != 1 {
			t.Fatal(err)
		}
		first, middle, last := c.spread("join "+newcomer, n, time.Minute)
		t.Logf("a join: known to the first after %.2f s, to half after %.2f s, to all after %.2f s; theory: log%d n = %.1f rounds of %v, %.2f s",
			first.Seconds(), middle.Seconds(), last.Seconds(), tuning.GossipNodes+1, rounds, tuning.GossipInterval,
			rounds*tuning.GossipInterval.Seconds())

		victim := simConfig(n / 3).NodeName
		c.ask("fail " + victim)
		s.net.Vanish(simHost(n / 3))
		first, middle, last = c.spread("fail "+victim, n, 5*time.Minute)
		probe := tuning.ProbeInterval.Seconds() * math.E / (math.E - 1)
		suspicion := float64(tuning.SuspicionMult) * math.Max(1, math.Log10(float64(n))) * tuning.ProbeInterval.Seconds()
		t.Logf("a death: known to the first after %.2f s, to half after %.2f s, to all after %.2f s; theory: probe %.2f s + answer %.2f s + suspicion %.2f s + news %.2f s = %.2f s",
			first.Seconds(), middle.Seconds(), last.Seconds(), probe, tuning.ProbeInterval.Seconds(), suspicion,
			rounds*tuning.GossipInterval.Seconds(),
			probe+tuning.ProbeInterval.Seconds()+suspicion+rounds*tuning.GossipInterval.Seconds())
		if got := len(c.times("fail " + victim)); got != n {
			t.Errorf("%d members heard of the death, not %d", got, n)
		}
	})
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	t.Logf("heap %d MiB (%d KiB a member), at most %d MiB resident; %.0f s of wall time, %.0f s of CPU; pid %d",
		heap.HeapAlloc>>20, int(heap.HeapAlloc>>10)/n, use.Maxrss>>10, time.Since(wall).Seconds(), cpu().Seconds(), os.Getpid())
}
