//go:build crash

package crash

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firstWrite is how long a server may take from its start to the first write that it accepts, in the median.
const firstWrite = 800 * time.Millisecond

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestNoAcknowledgedWriteIsLost runs CRASH_ROUNDS rounds (50) from CRASH_SEED (random), encrypted with the file of keys
// CRASH_KEYS if there is one.
func TestNoAcknowledgedWriteIsLost(t *testing.T) {
	if _, err := os.Stat(lictor()); err != nil {
		t.Fatalf("build the server first: %v", err)
	}
	seed := number(t, "CRASH_SEED", rand.Uint64())
	t.Logf("CRASH_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s, clients := newServer(t), newClients()
	s.keys = os.Getenv("CRASH_KEYS")
	data := filepath.Join(s.dir, "data")
	var times []time.Duration
	writes := 0
	for round := range int(number(t, "CRASH_ROUNDS", 50)) {
		begin := time.Now()
		s.start(t)
		t.Cleanup(s.kill)
		took, err := s.ready(begin)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		times = append(times, took)
		check(t, held(t, s), clients)
		if t.Failed() {
			t.Fatalf("round %d has failed with CRASH_SEED=%d", round, seed)
		}
		writes += run(t, random, s, clients)
		what := "left alone"
		if random.IntN(2) == 0 {
			what = tear(t, random, data, clients)
		}
		t.Logf("round %d: first write after %s, log %s", round, took.Round(time.Millisecond), what)
		if round%5 == 4 {
			onCopy(t, random, s)
		}
	}
	slices.Sort(times)
	median := times[len(times)/2]
	t.Logf("%d rounds, %d writes; start to first write: median %s, longest %s", len(times), writes,
		median.Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	if median > firstWrite {
		t.Errorf("the first write takes %s, more than %s", median, firstWrite)
	}
}

// run loads the server, kills it at a random moment, and returns how many writes were sent.
func run(t *testing.T, random *rand.Rand, s *server, clients []*client) int {
	t.Helper()
	before := sum(clients)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kill := time.AfterFunc(time.Duration(20+random.IntN(1200))*time.Millisecond, s.kill)
	defer kill.Stop()
	load(ctx, t, s, clients)
	<-s.exited
	return sum(clients) - before
}

func sum(clients []*client) int {
	n := 0
	for _, c := range clients {
		for _, i := range c.items {
			n += i.last
		}
	}
	return n
}

// onCopy damages a copy of the data anywhere, starts a server on it, and checks that it refuses what it can tell and
// otherwise has all that was before the damage.
func onCopy(t *testing.T, random *rand.Rand, s *server) {
	t.Helper()
	other := newServer(t)
	other.keys = s.keys
	data := filepath.Join(other.dir, "data")
	if err := os.CopyFS(data, os.DirFS(filepath.Join(s.dir, "data"))); err != nil {
		t.Fatal(err)
	}
	other.ports = s.ports // the address is part of the state
	damage, ok := smash(t, random, data)
	if !ok {
		return
	}
	other.start(t)
	defer other.kill()
	_, err := other.ready(time.Now())
	switch {
	case damage.detected && err == nil:
		t.Errorf("a copy, %s: it starts all the same", damage.what)
	case damage.detected && !strings.Contains(err.Error(), "is damaged at byte"):
		t.Errorf("a copy, %s: it does not say why it does not start: %v", damage.what, err)
	case err != nil && strings.Contains(err.Error(), "is damaged: it ends with entry"): // cut to before a snapshot
	case !damage.detected && err != nil:
		t.Errorf("a copy, %s: %v", damage.what, err)
	case !damage.detected:
		found := held(t, other)
		for i, n := range damage.least {
			if !strings.HasPrefix(i, "del/") && found[i] < n {
				t.Errorf("a copy, %s: %s is at %d, and at least %d was before the damage", damage.what, i, found[i], n)
			}
		}
	}
	t.Logf("a copy, %s: as it should be: %t", damage.what, !t.Failed())
}
