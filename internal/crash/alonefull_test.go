//go:build crash

package crash

import (
	"context"
	"testing"
	"time"
)

// TestOnlyServerWhoseDiskIsFull fills the disk of a server that is alone: it acknowledges nothing that it does not keep, and
// goes on when there is room. What a failing fsync leaves is for TestLeaderWhoseFsyncFails: the file system of a broken disk
// may lose its own records of what it had kept, from which a server that is alone has nobody to recover it.
func TestOnlyServerWhoseDiskIsFull(t *testing.T) {
	s := newServer(t)
	s.dir = smallDisk(t, "24m")
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
	go func() { fillUp(filling, t, s.dir); close(filled) }() // ends with filling
	time.Sleep(4 * time.Second)
	stop()
	<-filled
	makeRoom(t, s.dir)
	s.again(t)
	begin := time.Now()
	if _, err := s.ready(begin); err != nil {
		t.Fatal(err)
	}
	t.Logf("a write is accepted %s after there is room again", time.Since(begin).Round(time.Millisecond))
	cancel()
	<-ended
	l.verify(t, l.all)
	s.kill()
	reports(t, s)
	t.Logf("%d writes in %d keys", l.sent, len(l.pages))
}
