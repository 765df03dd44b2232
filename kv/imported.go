package kv

import (
	"fmt"

	"lictor/consulsnap"
	"lictor/state"
)

// Import takes over a key with its value as Consul has saved it.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	e := &Entry{Key: f.String("Key"), Flags: f.Uint("Flags"), Session: f.String("Session"), LockIndex: f.Uint("LockIndex"),
		CreateIndex: f.Uint("CreateIndex"), ModifyIndex: f.Uint("ModifyIndex")}
	if v := f.String("Value"); v != "" {
		e.Value = []byte(v)
	}
	if e.Key == "" {
		return fmt.Errorf("%w: a key without a name", consulsnap.ErrDamaged)
	}
	Entries.Insert(tx, e)
	return nil
}

// ImportTombstone takes over the deletion of a key as Consul has saved it.
func ImportTombstone(tx *state.Tx, f consulsnap.Fields) error {
	t := &Tombstone{Key: f.String("Key"), Index: f.Uint("ModifyIndex")}
	if t.Key == "" {
		return fmt.Errorf("%w: a tombstone without a key", consulsnap.ErrDamaged)
	}
	Tombstones.Insert(tx, t)
	return nil
}
