//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// A run is everything that happens in one test.
type run struct {
	t      *testing.T
	dir    string
	begin  time.Time
	agents []*agent // the client agent is the last

	mu      sync.Mutex // guards what follows
	counts  map[string]int
	writes  []write
	samples []sample
	faults  []string
	leading time.Duration // when the newest leader was seen
	term    uint64        // the newest that a server knew of
	events  *os.File
}

func (r *run) since() time.Duration { return time.Since(r.begin) }

func (r *run) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

func (r *run) wrote(w write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, w)
}

// led is when the newest leader was seen. While there is none, it is now.
func (r *run) led() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leading < 0 {
		return r.since()
	}
	return r.leading
}

func (r *run) lead(at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leading = at
}

// elections looks for leaders that come without a kill, as on a machine that has stood still for a moment.
func (r *run) elections(ctx context.Context) {
	for ; ctx.Err() == nil; sleep(ctx, 500*time.Millisecond) {
		for _, a := range r.agents {
			if term := a.term(); a.server && r.newer(term) {
				r.note(fmt.Sprintf("term %d, of which %s knows", term, a.name))
			}
		}
	}
}

// newer takes note of a term. Its leader may have come as late as now.
func (r *run) newer(term uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if term <= r.term {
		return false
	}
	r.term = term
	r.counts["terms"]++
	if r.leading >= 0 {
		r.leading = r.since()
	}
	return true
}

// note leaves a line in events.log.
func (r *run) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.events, "%s %9s %s\n", time.Now().Format("15:04:05.000"), r.since().Round(time.Millisecond), text)
}

// fault notes a violation, which ends the run at the next minute.
func (r *run) fault(text string) {
	r.note("FAULT " + text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, text)
}

// duration is a time that a variable of the environment gives.
func duration(t *testing.T, variable string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}

// newRun makes a run whose directory, below SOAK_DIR, is kept if the test fails.
func newRun(t *testing.T) *run {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("SOAK_DIR"), "lictor-soak-")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("history, logs and data are in %s", dir)
	events, err := os.Create(filepath.Join(dir, "events.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = events.Close()
		if t.Failed() {
			t.Logf("history, logs and data are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &run{t: t, dir: dir, begin: time.Now(), counts: map[string]int{}, events: events, agents: newAgents(t, dir)}
}

// TestSoak runs for SOAK_TIME (1h), and kills a leader every SOAK_KILL (1m).
func TestSoak(t *testing.T) {
	length, pace := duration(t, "SOAK_TIME", time.Hour), duration(t, "SOAK_KILL", time.Minute)
	r := newRun(t)
	for _, a := range r.agents {
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
	}
	if r.settle(t.Context(), time.Minute) < 0 {
		t.Fatal("the cluster takes no write")
	}
	r.begin = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var busy sync.WaitGroup
	r.load(ctx, &busy)
	busy.Go(func() { r.harm(ctx, pace) })
	busy.Go(func() { r.elections(ctx) })
	r.watch(ctx)
	cancel()
	r.finish(&busy)
}

// load starts all clients. They end with ctx.
func (r *run) load(ctx context.Context, busy *sync.WaitGroup) {
	for i := range kept {
		busy.Go(func() { r.keep(ctx, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	for range left {
		busy.Go(func() { r.leave(ctx) })
	}
	for i := range mutexes + semaphores {
		n, c := contenders, contender{run: r, lock: fmt.Sprintf("locks/%02d", i)}
		if i >= mutexes {
			n, c.limit = contenders+1, limit
		}
		for j := range n {
			c := c
			c.name, c.agent = fmt.Sprintf("%s/%d", c.lock, j), r.agents[len(r.agents)-1]
			if j == 0 {
				c.agent = r.agents[i%len(r.agents)]
			}
			c.random = rand.New(rand.NewPCG(uint64(i), uint64(j)))
			busy.Go(func() {
				sleep(ctx, c.about(3*time.Second))
				c.contend(ctx)
			})
		}
	}
}

// settle waits until the client agent's writes are taken, and tells how long that took; -1 if it took too long.
func (r *run) settle(ctx context.Context, most time.Duration) time.Duration {
	client := r.agents[len(r.agents)-1].client
	for begin := time.Now(); time.Since(begin) < most && ctx.Err() == nil; sleep(ctx, 20*time.Millisecond) {
		if _, err := client.KV().Put(&api.KVPair{Key: "settled"}, nil); err == nil {
			return time.Since(begin)
		}
	}
	return -1
}

// harm kills the leader and starts it again, over and over until ctx ends. A run that ends meanwhile is not blamed for it.
func (r *run) harm(ctx context.Context, pace time.Duration) {
	for sleep(ctx, pace/2); ctx.Err() == nil; sleep(ctx, pace) {
		for _, a := range r.agents {
			if !a.leads() {
				continue
			}
			r.lead(-1)
			a.kill()
			gap := r.settle(ctx, 30*time.Second)
			r.lead(r.since())
			r.note(fmt.Sprintf("killed %s, writes were taken again after %s", a.name, gap.Round(time.Millisecond)))
			if gap < 0 && ctx.Err() == nil {
				r.fault("no write is taken half a minute after the leader was killed")
			}
			r.count("leaders killed")
			r.mu.Lock()
			r.counts["longest gap of writes, ms"] = max(r.counts["longest gap of writes, ms"], int(gap.Milliseconds()))
			r.mu.Unlock()
			sleep(ctx, 5*time.Second)
			if err := a.start(); err != nil {
				r.fault(err.Error())
			}
			break
		}
	}
}

// watch judges and reports every minute until ctx ends or something is wrong.
func (r *run) watch(ctx context.Context) {
	own := cpu()
	for last := r.since(); ctx.Err() == nil; {
		if sleep(ctx, time.Minute); ctx.Err() != nil {
			return // clients are going
		}
		now := r.since()
		report := r.measure(now - last)
		used := cpu()
		report = append(report, fmt.Sprintf("harness: %.2f of a core", (used-own)/(now-last).Seconds()))
		own, last = used, now
		r.t.Logf("%s\n%s", now.Round(time.Second), strings.Join(append(report, r.summary()), "\n"))
		if r.wrong() {
			return
		}
	}
}

// measure samples all processes.
func (r *run) measure(passed time.Duration) (report []string) {
	for _, a := range r.agents {
		values, part, age := a.usage(passed)
		if a.lost() {
			r.fault(a.name + " has ended by itself: see its log")
		}
		name := a.name
		if a.leads() {
			name += " leading" // which takes more, and is compared with its like
		}
		text := fmt.Sprintf("%s: %.2f of a core", name, part)
		for _, m := range measures {
			text += fmt.Sprintf(", %.0f %s", values[m.name], m.name)
		}
		report = append(report, text+fmt.Sprintf(", age %s", age.Round(time.Second)))
		r.mu.Lock()
		r.samples = append(r.samples, sample{Process: name, At: r.since(), Age: age, Values: values})
		r.mu.Unlock()
	}
	return report
}

// cpu is the time of the processor that this process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func (r *run) summary() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, what := range sorted(r.counts) {
		parts = append(parts, fmt.Sprintf("%s %d", what, r.counts[what]))
	}
	return strings.Join(parts, ", ")
}

// wrong tells whether there are faults so far.
func (r *run) wrong() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.faults) > 0 || len(judge(r.writes)) > 0
}

// finish ends everything and judges it.
func (r *run) finish(busy *sync.WaitGroup) {
	for _, a := range r.agents {
		if a.lost() {
			r.fault(a.name + " has ended by itself: see its log")
		}
		a.kill() // what still waits ends with it
	}
	busy.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	trends, grown := growth(r.samples, min(20*time.Minute, r.since()/3))
	r.t.Logf("figures after warming up:\n%s", strings.Join(trends, "\n"))
	r.t.Logf("%s: %d sessions kept, %d writes judged, %d faults", r.since().Round(time.Second), kept, len(r.writes), len(r.faults))
	faults := append(append(r.faults, judge(r.writes)...), grown...)
	for _, text := range faults[:min(20, len(faults))] {
		r.t.Error(text)
	}
	if len(faults) > 20 {
		r.t.Errorf("and %d more: see events.log", len(faults)-20)
	}
	if r.counts["writes"] < 100 {
		r.t.Errorf("%d writes prove nothing", r.counts["writes"])
	}
	for name, what := range map[string]any{"writes.json": r.writes, "samples.json": r.samples} {
		text, err := json.Marshal(what)
		if err != nil {
			r.t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
			r.t.Error(err)
		}
	}
}
