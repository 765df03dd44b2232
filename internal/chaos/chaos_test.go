//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

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

func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("CHAOS_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CHAOS_SEED: %v", err)
	}
	return seed
}

// workDir is a directory below $CHAOS_DIR, or for temporary files, that is kept if the test fails.
func workDir(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("CHAOS_DIR"), "lictor-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("history, logs and data are in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestChaos lets eight clients read and write for CHAOS_TIME (5m) while servers are harmed, as CHAOS_SEED (random) wills,
// and examines what they saw.
func TestChaos(t *testing.T) {
	seed := seedOf(t)
	t.Logf("CHAOS_SEED=%d", seed)
	dir := workDir(t, fmt.Sprintf("chaos-%d", seed))
	c := newCluster(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), duration(t, "CHAOS_TIME", 5*time.Minute))
	defer cancel()
	l := &load{c: c, begin: time.Now()}
	deeds := make(chan []deed, 1)
	go func() { deeds <- harm(ctx, c, rand.New(rand.NewPCG(seed, 0)), l.since) }() // ends with ctx
	locks := &siege{load: l, t: t}
	besieged := make(chan struct{})
	go func() { locks.run(ctx, seed); close(besieged) }() // ends with ctx
	h := l.run(ctx, seed)
	done := <-deeds
	healed := time.Now()
	if err := c.ready(20 * time.Second); err != nil {
		t.Errorf("all harm is undone, and yet %v", err)
	}
	t.Logf("writes at every agent %s after the last harm was undone", time.Since(healed).Round(time.Millisecond))
	<-besieged
	h = append(h, l.last(h)...).sorted()
	report(t, dir, h, done)
	reportLocks(t, dir, locks)
	for _, d := range done {
		if d.Error != "" {
			t.Errorf("%s: %s", d.What, d.Error)
		}
	}
	for _, text := range append(c.ended(), c.suspicious()...) {
		t.Error(text)
	}
}

// report examines a history and leaves what is needed to understand a fault.
func report(t *testing.T, dir string, h history, deeds []deed) {
	t.Helper()
	begin := time.Now()
	faults, excused := examine(h, pausesOf(deeds))
	t.Logf("%d keys, checked in %s; default reads of %d of them were true only before a pause of the leader", len(h.byKey()),
		time.Since(begin).Round(time.Millisecond), excused)
	t.Log(summary(h, deeds))
	for i, f := range faults {
		t.Error(f)
		if f.info == nil {
			continue
		}
		if err := porcupine.VisualizePath(model, *f.info, filepath.Join(dir, fmt.Sprintf("fault-%d.html", i))); err != nil {
			t.Error(err)
		}
	}
	done, open := count(h, done), count(h, open)
	if done < 10*(open+1) {
		t.Errorf("of %d operations %d were done: too few to prove anything", len(h), done)
	}
	text, err := json.MarshalIndent(deeds, "", "  ")
	if err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nemesis.json"), text, 0o600); err != nil {
		t.Error(err)
	}
	if err := h.save(filepath.Join(dir, "history.json")); err != nil {
		t.Error(err)
	}
}

// reportLocks examines what became of locks.
func reportLocks(t *testing.T, dir string, s *siege) {
	t.Helper()
	begin := time.Now()
	faults := examineLocks(s.ops)
	numbers := map[string]int{}
	for _, o := range s.ops {
		numbers[fmt.Sprintf("%s %t", o.Kind, o.Granted)]++
	}
	t.Logf("locks: %v, checked in %s; lictor lock was stopped %d times and has lost its lock %d times", numbers,
		time.Since(begin).Round(time.Millisecond), s.stops, s.lost)
	for i, f := range faults {
		t.Error(f)
		if f.info == nil {
			continue
		}
		if err := porcupine.VisualizePath(lockModel, *f.info, filepath.Join(dir, fmt.Sprintf("lock-fault-%d.html", i))); err != nil {
			t.Error(err)
		}
	}
	if numbers["put true"] < 50 {
		t.Error("too few writes under locks to prove anything")
	}
	if err := saveLocks(filepath.Join(dir, "locks.json"), s.ops); err != nil {
		t.Error(err)
	}
}

func count(h history, outcome string) (n int) {
	for _, o := range h {
		if o.Outcome == outcome {
			n++
		}
	}
	return n
}

var particulars = regexp.MustCompile(`"http[^"]*"|\[?[0-9a-f]*[.:][0-9a-f.:]+\]?:\d+`)

// generalized is an error without what differs from one to the next.
func generalized(note string) string {
	return particulars.ReplaceAllString(strings.TrimSpace(note), "…")
}

// summary is what happened, in numbers.
func summary(h history, deeds []deed) string {
	numbers := map[string]int{}
	for _, o := range h {
		name := strings.TrimSpace(o.Kind+" "+o.Mode) + " " + o.Outcome
		numbers[name]++
		if o.Outcome != done {
			numbers[name+": "+generalized(o.Note)]++
		}
	}
	for _, d := range deeds {
		numbers["harm: "+strings.Fields(d.What)[0]]++
	}
	var lines []string
	for name, n := range numbers {
		lines = append(lines, fmt.Sprintf("%6d %s", n, name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[7:], b[7:]) })
	return fmt.Sprintf("%d operations, %d times harm:\n%s", len(h), len(deeds), strings.Join(lines, "\n"))
}
