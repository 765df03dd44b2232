//go:build crash

package crash

import (
	"context"
	"testing"
	"time"
)

// TestOnlyServerWhoseDiskIsFull fills the disk of a server that is alone: it acknowledges nothing that it does not keep, and
// goes on when there is room.
func TestOnlyServerWhoseDiskIsFull(t *testing.T) {
	s := newServer(t)
	s.dir = smallDisk(t, "24m")
	alone(t, s, s.dir, func() { s.again(t) })
}

// TestOnlyServerWhoseFsyncFails lets the fsync of a server that is alone fail, and then starts it with what really is on its
// disk: nobody else has what it loses.
func TestOnlyServerWhoseFsyncFails(t *testing.T) {
	b := newBrokenDisk(t)
	s := newServer(t)
	s.dir = b.dir
	alone(t, s, b.below, func() {
		s.kill()
		system(t, "umount", b.dir)
		b.mount(t)
		s.start(t)
	})
}

// alone runs a server under load, fills a directory, makes room and repairs, and then looks for all that was acknowledged.
func alone(t *testing.T, s *server, where string, repair func()) {
	t.Helper()
	s.start(t)
	t.Cleanup(s.kill)
	if _, err := s.ready(time.Now()); err != nil {
		t.Fatal(err)
	}
	l := &ledger{all: trio{s}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { l.write(ctx); close(ended) }() // ends with ctx
	time.Sleep(time.Second)
	filling, stop := context.WithCancel(ctx)
	filled := make(chan struct{})
	go func() { fillUp(filling, t, where); close(filled) }() // ends with filling
	time.Sleep(4 * time.Second)
	stop()
	<-filled
	makeRoom(t, where)
	repair()
	begin := time.Now()
	if _, err := s.ready(begin); err != nil {
		t.Fatalf("%v: %s", err, s.log)
	}
	t.Logf("a write is accepted %s after there is room again", time.Since(begin).Round(time.Millisecond))
	cancel()
	<-ended
	l.verify(t, l.all)
	s.kill()
	reports(t, s)
	t.Logf("%d writes in %d keys", l.sent, len(l.pages))
}
