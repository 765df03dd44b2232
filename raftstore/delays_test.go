package raftstore

import (
	"testing"
	"time"

	"lictor/catalog"
	"lictor/kv"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
)

// A transaction that is undone begins no lock delay.
func TestNoDelayOfWhatWasUndone(t *testing.T) {
	delays := new(session.Delays)
	n := open(t, func(c *Config) { c.Delays = delays })
	defer n.Stop()
	apply := func(cmd state.Command) error { _, err := n.Apply(t.Context(), cmd); return err }
	s := session.Session{ID: "0f5c8b3c-0000-4000-8000-000000000001", Node: "n", LockDelay: 15 * time.Second, Behavior: "release"}
	for _, cmd := range []state.Command{
		&catalog.Register{Node: "n", Address: "127.0.0.1", Datacenter: "dc1"},
		&session.Create{Session: s},
		&session.Lock{Key: "k", Session: s.ID, Seen: 1 << 40},
	} {
		if err := apply(cmd); err != nil {
			t.Fatal(err)
		}
	}
	if e := kv.Entries.Get(n.DB().Read(), "k"); e == nil || e.Session != s.ID {
		t.Fatalf("not locked: %v", e)
	}
	err := apply(&txn.Apply{Ops: txn.Ops{
		{Session: &txn.SessionOp{Verb: "delete", Session: s}},
		{KV: &txn.KVOp{Verb: "check-not-exists", Key: "k"}},
	}})
	if err == nil {
		t.Fatal("the transaction was carried out")
	}
	if e := kv.Entries.Get(n.DB().Read(), "k"); e.Session != s.ID {
		t.Error("the lock is gone")
	}
	if delays.Active("k") {
		t.Error("a lock delay has begun although nobody lost the lock")
	}
}
