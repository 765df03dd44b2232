package raftstore

import (
	"errors"
	"path/filepath"
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
