package kv_test

import (
	"testing"

	"lictor/kv"
)

func TestLocks(t *testing.T) {
	log := newLog(t)
	index := uint64(100)
	step := func(name, session string, do func(e *kv.Entry) bool, want bool, holder string, lockIndex uint64) {
		t.Helper()
		if got := do(&kv.Entry{Key: "k", Session: session, Value: []byte(name)}); got != want {
			t.Errorf("%s: answered %v", name, got)
		}
		if e, _ := get(t, log, "k"); e != nil && (e.Session != holder || e.LockIndex != lockIndex) {
			t.Errorf("%s: held by %q at %d, want %q at %d", name, e.Session, e.LockIndex, holder, lockIndex)
		}
	}
	acquire := func(e *kv.Entry) bool {
		index++
		tx := log.DB().Write(index)
		defer tx.Commit()
		return kv.Acquire(tx, e)
	}
	release := func(e *kv.Entry) bool {
		index++
		tx := log.DB().Write(index)
		defer tx.Commit()
		return kv.Release(tx, e)
	}
	step("release of a missing key", "a", release, false, "", 0)
	step("first", "a", acquire, true, "a", 1)
	step("by another", "b", acquire, false, "a", 1)
	step("again", "a", acquire, true, "a", 1)
	step("release by another", "b", release, false, "a", 1)
	step("release", "a", release, true, "", 1)
	step("release again", "a", release, false, "", 1)
	step("second", "b", acquire, true, "b", 2)

	tx := log.DB().Write(index + 1)
	if keys := kv.HeldBy(tx, "b"); len(keys) != 1 || keys[0] != "k" || len(kv.HeldBy(tx, "a")) != 0 {
		t.Errorf("b holds %v", keys)
	}
	kv.Unlock(tx, "k")
	kv.Unlock(tx, "missing")
	if at := kv.ChangedAt(tx, "k"); at != index+1 {
		t.Errorf("changed at %d after it was unlocked at %d", at, index+1)
	}
	kv.Remove(tx, "k")
	if at := kv.ChangedAt(tx, "k"); at != index+1 || kv.ChangedAt(tx, "missing") != 0 {
		t.Errorf("changed at %d after it was deleted at %d", at, index+1)
	}
	tx.Commit()
}
