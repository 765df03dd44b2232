//go:build crash

package crash

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// again starts a server if its process has ended.
func (s *server) again(t *testing.T) {
	t.Helper()
	select {
	case <-s.exited:
		t.Logf("%s has ended: %s", s.name, s.log)
		s.start(t)
	default:
	}
}

// TestLeaderWithFullDisk fills the disk of the leader under load: another server has to take over, the one with the full
// disk has to say what is wrong, and to catch up when there is room again.
func TestLeaderWithFullDisk(t *testing.T) {
	all := newTrio(t, smallDisk(t, "24m"), smallDisk(t, "24m"), smallDisk(t, "24m"))
	l := depose(t, all, func(s *server) string { return s.dir }, func(s *server) { s.again(t) })
	t.Logf("%d writes in %d keys", l.sent, len(l.pages))
}

// depose runs a trio under load, fills a directory that belongs to the leader, sees another server take over, makes room and
// repairs, and then looks for all that was acknowledged.
func depose(t *testing.T, all trio, where func(*server) string, repair func(*server)) *ledger {
	t.Helper()
	all.start(t)
	l := &ledger{all: all}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.write(ctx); close(ended) }() // ends with ctx
	time.Sleep(time.Second)

	victim := all.leader(t)
	filling, stop := context.WithCancel(ctx)
	filled := make(chan struct{})
	go func() { fillUp(filling, t, where(victim)); close(filled) }() // ends with filling
	others := all.without(victim)
	begin := time.Now()
	for !others[0].leads() && !others[1].leads() {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("nobody takes over from a leader whose disk fails: %s", victim.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(begin)
	a := <-l.next()
	t.Logf("another server leads %s after the disk of %s began to fail, and takes a write after %s", took.Round(time.Millisecond), victim.name,
		a.end.Sub(begin).Round(time.Millisecond))
	time.Sleep(3 * time.Second)
	l.verify(t, others)
	stop()
	<-filled
	makeRoom(t, where(victim))
	repair(victim)
	time.Sleep(time.Second)
	cancel()
	<-ended
	l.verify(t, all)
	victim.kill()
	reports(t, victim)
	return l
}

const noSpace = "no space left on device"

// reports checks that a server that has ended has told its administrator what was wrong.
func reports(t *testing.T, s *server) {
	t.Helper()
	if !strings.Contains(s.said(), noSpace) {
		t.Errorf("the log of %s does not say what is wrong: %s", s.name, s.said())
	}
}

// TestAllDisksFull fills all disks: no write may be acknowledged that is not there afterwards, and when there is room again,
// writes are.
func TestAllDisksFull(t *testing.T) {
	all := newTrio(t, smallDisk(t, "24m"), smallDisk(t, "24m"), smallDisk(t, "24m"))
	all.start(t)
	l := &ledger{all: all}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.write(ctx); close(ended) }() // ends with ctx
	time.Sleep(time.Second)

	filling, stop := context.WithCancel(ctx)
	filled := make(chan struct{}, len(all))
	for _, s := range all {
		go func() { fillUp(filling, t, s.dir); filled <- struct{}{} }() // ends with filling
	}
	time.Sleep(6 * time.Second)
	if status, body, err := all[0].call("PUT", "/v1/kv/large", strings.Repeat("x", 500<<10)); err == nil && status == http.StatusOK {
		t.Errorf("a write of 500 kB on full disks is acknowledged: %s", body)
	}
	stop()
	for range all {
		<-filled
	}
	for _, s := range all {
		makeRoom(t, s.dir)
		s.again(t)
	}
	begin := time.Now()
	select {
	case <-l.next():
		t.Logf("a write is accepted %s after there is room again", time.Since(begin).Round(time.Millisecond))
	case <-time.After(30 * time.Second):
		for _, s := range all {
			t.Logf("%s: %s", s.name, s.log)
		}
		t.Error("no write is accepted within 30 s, though there is room again")
	}
	cancel()
	<-ended
	l.verify(t, all)
	reported := 0
	for _, s := range all {
		s.kill()
		if strings.Contains(s.said(), noSpace) {
			reported++
		}
	}
	if reported == 0 {
		t.Error("no log says what is wrong")
	}
}
