package raftstore

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
)

// A log that cannot begin its next file takes entries again as soon as it can.
func TestNoRoomForTheNextFile(t *testing.T) {
	full, room := errors.New("no space left on device"), true
	c := quiet(t.TempDir())
	c.reached = func(step string) error {
		if step == "create" && !room {
			return full
		}
		return nil
	}
	log, closer, err := openWAL(c, c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	last, failed := 0, 0
	for round := range 60 {
		room = round%20 < 10
		if err := log.StoreLogs(entries(last+1, 3, 3000)); err == nil {
			last += 3
		} else if failed++; room || !errors.Is(err, full) {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if failed < 4 {
		t.Errorf("%d writes failed", failed)
	}
	var e raft.Log
	if err := log.GetLog(uint64(last), &e); !room && err == nil {
		t.Errorf("entry %d is read from a log that is not open", last)
	}
	if err := closer(); err != nil {
		t.Fatal(err)
	}
	holds(t, c.Dir, last)
}

// A follower drops entries that its leader does not have. What is before them is read again after a restart.
func TestDroppedEntries(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // in the first file, and behind it
		log, closer, err := openWAL(quiet(dir), dir)
		if err != nil {
			t.Fatal(err)
		}
		last, err := log.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := log.StoreLogs(entries(int(last)+1, 20, 100)); err != nil {
			t.Fatal(err)
		}
		if err := log.DeleteRange(last+15, last+20); err != nil {
			t.Fatal(err)
		}
		if err := closer(); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, int(last)+14)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(names) != 3 {
		t.Errorf("files %v %v", names, err)
	}
}

// After a sync that has failed, nothing is acknowledged in the same file: the log begins a new one without what was to be
// synced, and a later start finds all that was acknowledged and nothing else.
func TestNoSyncIsBelievedAfterOneThatFailed(t *testing.T) {
	dir := t.TempDir()
	fails := false
	s, err := start(dir, walBackend, func(step string) error {
		if step == "sync" && fails {
			fails = false
			return syscall.EIO
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.logs.StoreLogs(entries(1, 3, 100)); err != nil {
		t.Fatal(err)
	}
	before := newest(t, filepath.Join(dir, "wal"))
	fails = true
	if err := s.logs.StoreLogs(entries(4, 5, 100)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a sync that fails: %v", err)
	}
	if last, err := s.logs.LastIndex(); err != nil || last != 3 {
		t.Fatalf("the log ends with %d: %v", last, err)
	}
	if err := s.logs.StoreLogs(entries(4, 2, 50)); err != nil {
		t.Fatal(err)
	}
	if after := newest(t, filepath.Join(dir, "wal")); after == before {
		t.Error("the file whose sync failed is written to")
	}
	for range 2 {
		if err := same(s.logs, 1, 5); err != nil {
			t.Fatal(err)
		}
		for i, size := range []int{100, 100, 100, 50, 50} {
			var e raft.Log
			if err := s.logs.GetLog(uint64(i+1), &e); err != nil || len(e.Data) != size {
				t.Fatalf("entry %d has %d bytes: %v", i+1, len(e.Data), err)
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if s, err = start(dir, walBackend, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
