package kv

import "lictor/state"

// Acquire writes e, whose Session is the one that wants the lock on its key. It tells whether that session holds the
// lock now; if another one does, nothing has changed. LockIndex counts how often the lock changed hands: the holder may
// acquire it again and stays at the same count.
func Acquire(tx *state.Tx, e *Entry) bool {
	old := Entries.Get(tx, e.Key)
	switch {
	case old == nil:
		e.LockIndex = 1
	case old.Session == "":
		e.LockIndex = old.LockIndex + 1
	case old.Session == e.Session:
		e.LockIndex = old.LockIndex
	default:
		return false
	}
	*e = *store(tx, old, e)
	return true
}

// Release writes e without a lock if its Session is the one that holds the lock on its key, and tells whether it is.
func Release(tx *state.Tx, e *Entry) bool {
	old := Entries.Get(tx, e.Key)
	if old == nil || old.Session == "" || old.Session != e.Session {
		return false
	}
	e.Session, e.LockIndex = "", old.LockIndex
	*e = *store(tx, old, e)
	return true
}

// HeldBy lists the keys whose locks a session holds, in their order.
func HeldBy(tx *state.Tx, session string) []string {
	var keys []string
	for e := range Entries.Each(tx, "session", state.Key(session)) {
		keys = append(keys, e.Key)
	}
	return keys
}

// Unlock takes the lock off a key, whoever holds it. Its value stays.
func Unlock(tx *state.Tx, key string) {
	if old := Entries.Get(tx, key); old != nil && old.Session != "" {
		free := *old
		free.Session = ""
		store(tx, old, &free)
	}
}

// ChangedAt is the log index at which a key was last written, locked, unlocked or deleted; 0 if nothing is known of it.
func ChangedAt(tx *state.Tx, key string) uint64 {
	if e := Entries.Get(tx, key); e != nil {
		return e.ModifyIndex
	}
	if t := Tombstones.Get(tx, key); t != nil {
		return t.Index
	}
	return 0
}
