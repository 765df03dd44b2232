//go:build crash

package crash

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// failover is how long no write may be accepted after a leader was killed, in the median; what takes longer than slowFailover
// is told one by one.
const failover, slowFailover = 700 * time.Millisecond, 2 * time.Second

// TestNoAcknowledgedWriteIsLostWithTheLeader kills CRASH_LEADERS leaders (200) of three servers under load, one after the
// other, starts each again, and looks for every acknowledged write at every server.
func TestNoAcknowledgedWriteIsLostWithTheLeader(t *testing.T) {
	seed := number(t, "CRASH_SEED", rand.Uint64())
	t.Logf("CRASH_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	all := newTrio(t)
	all.start(t)
	l := &ledger{all: all}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.write(ctx); close(ended) }() // ends with ctx
	var times []time.Duration
	for round := range int(number(t, "CRASH_LEADERS", 200)) {
		time.Sleep(time.Duration(100+random.IntN(500)) * time.Millisecond)
		leader := all.leader(t)
		leader.kill()
		killed := time.Now()
		times = append(times, l.wait(t, round, leader, killed))
		leader.start(t)
		if _, err := leader.ready(time.Now()); err != nil {
			t.Fatalf("round %d: %s does not come back: %v", round, leader.name, err)
		}
		if round%20 == 19 {
			l.verify(t, all)
		}
		if t.Failed() {
			t.Fatalf("round %d has failed with CRASH_SEED=%d", round, seed)
		}
	}
	cancel()
	<-ended
	l.verify(t, all)
	slices.Sort(times)
	median := times[len(times)/2]
	t.Logf("%d leaders killed, %d writes in %d keys; kill to next accepted write: median %s, nine in ten %s, longest %s", len(times), l.sent,
		len(l.pages), median.Round(time.Millisecond), times[len(times)*9/10].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	if median > failover {
		t.Errorf("the next write is accepted after %s, more than %s", median, failover)
	}
}

// wait waits for the next accepted write and tells how long after the kill it came.
func (l *ledger) wait(t *testing.T, round int, leader *server, killed time.Time) time.Duration {
	t.Helper()
	select {
	case a := <-l.next():
		took := a.end.Sub(killed)
		if took > slowFailover {
			t.Logf("round %d: the next write is accepted %s after %s was killed", round, took.Round(time.Millisecond), leader.name)
			l.tell(t)
		}
		return took
	case <-time.After(30 * time.Second):
		l.tell(t)
		t.Fatalf("round %d: no write is accepted for 30 s after %s was killed", round, leader.name)
		return 0
	}
}

// tell prints what the servers have logged; CRASH_LOG=DEBUG lets them log more than what is wrong.
func (l *ledger) tell(t *testing.T) {
	t.Helper()
	for _, s := range l.all {
		t.Logf("%s: %s", s.name, s.log)
	}
}
