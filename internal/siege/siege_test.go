//go:build siege

package siege

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// bearable is how much longer users may wait under an attack, in the 99th percentile, and how much larger the server may be
// after it, in MiB.
const (
	bearable = 2.0
	grown    = 64
)

// TestSiege measures each attack that SIEGE_RUN matches ("attack port", all), in SIEGE_ROUNDS rounds (3) of SIEGE_TIME (4s)
// calm and as much attack. It fails where users wait too long, or the server grows.
func TestSiege(t *testing.T) {
	if _, err := os.Stat(lictor()); err != nil {
		t.Fatalf("build the server first: %v", err)
	}
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("SIEGE_ROUNDS"), "3"))
	if err != nil {
		t.Fatalf("SIEGE_ROUNDS: %v", err)
	}
	phase, err := time.ParseDuration(cmp.Or(os.Getenv("SIEGE_TIME"), "4s"))
	if err != nil {
		t.Fatalf("SIEGE_TIME: %v", err)
	}
	chosen, err := regexp.Compile(os.Getenv("SIEGE_RUN"))
	if err != nil {
		t.Fatalf("SIEGE_RUN: %v", err)
	}
	ofServer, ofClient := secured(t)
	ofServer["server"], ofServer["bootstrap"] = true, true
	server := start(t, "server", ofServer)
	ofClient["retry_join"] = []string{server.address("serf_lan")}
	s := &siege{t, phase, server, users(server, start(t, "client", ofClient))}
	for _, a := range plan(server) {
		if chosen.MatchString(a.Name + " " + a.Port) {
			s.measure(a, rounds)
		}
	}
}

type siege struct {
	*testing.T
	phase  time.Duration
	server *agent
	users  map[string]func() error
}

// measure prints what an attack does to the users and to the server.
func (s *siege) measure(a *attack, rounds int) {
	calm, under, later := newTimes(), newTimes(), newTimes()
	before, during := s.server.use(), use{}
	var spent, idle time.Duration
	for range rounds {
		from := s.server.use().cpu
		s.use(calm)
		idle += s.server.use().cpu - from
		stop := s.attack(a)
		from = s.server.use().cpu
		s.use(under)
		now := s.server.use()
		stop()
		spent += now.cpu - from
		during.memory, during.files = max(during.memory, now.memory), max(during.files, now.files)
	}
	s.use(later) // what the attack has left may go
	after := s.server.use()
	whole := time.Duration(rounds) * s.phase
	factor := func(users ...string) float64 {
		return float64(under.quantile(.99, users...)) / float64(max(calm.quantile(.99, users...), 1))
	}
	name := a.Name + " " + a.Port + "/" + a.Network
	line := fmt.Sprintf("%-27s", name)
	for _, share := range []float64{.5, .9, .99} {
		line += fmt.Sprintf("p%.0f %.2f -> %.2f ms, ", 100*share, ms(calm.quantile(share)), ms(under.quantile(share)))
	}
	line += fmt.Sprintf("which is x%.2f (", factor())
	for _, user := range slices.Sorted(maps.Keys(s.users)) {
		line += fmt.Sprintf("%s x%.2f ", user, factor(user))
	}
	s.Logf("%s), CPU %3.0f%% -> %3.0f%%, memory %.0f, %.0f, %.0f MiB, files %d, %d, %d", line, percent(idle, whole), percent(spent, whole),
		before.memory, during.memory, after.memory, before.files, during.files, after.files)
	for when, t := range map[string]*times{"in calm": calm, "under attack": under, "after it": later} {
		if len(t.failed) > 0 {
			s.Errorf("%s: %d requests failed %s, the first: %v", name, len(t.failed), when, t.failed[0])
		}
	}
	if f := factor(); f > bearable {
		s.Errorf("%s: the 99th percentile is %.2f times that of calm", name, f)
	}
	if after.memory > before.memory+grown {
		s.Errorf("%s: the server has grown from %.0f to %.0f MiB", name, before.memory, after.memory)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percent(part, whole time.Duration) float64 { return 100 * float64(part) / float64(whole) }

func (s *siege) use(into *times) {
	ctx, cancel := context.WithTimeout(s.Context(), s.phase)
	defer cancel()
	into.use(ctx, s.users)
}

// attack starts the attacker, which the function that is returned stops.
func (s *siege) attack(a *attack) (stop func()) {
	s.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command("nice", "-n", "19", os.Args[0], "-test.run=^TestAttacker$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "SIEGE_ATTACK="+string(text), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // until it is under way
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
