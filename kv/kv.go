// Package kv keeps keys and values: types, tables, commands and queries. It knows when a key is locked and by which
// session, not what a session is.
package kv

import (
	"bytes"

	"lictor/state"
)

//go:generate go tool msgp -o kv_gen.go -tests=false -io=false

// An Entry is a key with its value, as clients see it and as it is stored. Value is nil if it is empty.
type Entry struct {
	LockIndex   uint64 // how often the lock has been acquired
	Key         string
	Flags       uint64 // the client's own
	Value       []byte `msg:"Value,allownil"`
	Session     string `json:",omitempty"`                     // holder of the lock
	TTL         string `json:",omitempty" msg:"TTL,omitempty"` // how long the key lives after a write; "" for ever
	CreateIndex uint64
	ModifyIndex uint64
}

// same tells whether writing e over old would change nothing. A write with a TTL always counts: it begins anew.
func (e *Entry) same(old *Entry) bool {
	return old != nil && e.TTL == "" && old.TTL == "" && old.Key == e.Key && old.Flags == e.Flags && old.Session == e.Session &&
		old.LockIndex == e.LockIndex && bytes.Equal(old.Value, e.Value)
}

// A Tombstone remembers that a key, or what was below a prefix, was deleted at Index, so that the index of a query that
// saw it moves.
type Tombstone struct {
	Key   string
	Index uint64
}

// The tables.
var (
	Entries = state.NewTable("kvs", func(e *Entry) string { return e.Key },
		state.Index[Entry]{Name: "session", Keys: state.One(func(e *Entry) string {
			if e.Session == "" {
				return ""
			}
			return state.Key(e.Session)
		})},
		state.Index[Entry]{Name: "ttl", Keys: state.One(func(e *Entry) string {
			if e.TTL == "" {
				return ""
			}
			return mortal
		})})
	Tombstones = state.NewTable("tombstones", func(t *Tombstone) string { return t.Key })
	forgotten  = state.NewTable("forgotten-tombstones", func(*Forgotten) string { return state.Key("kv") })
)

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{Entries, Tombstones, forgotten} }

// A Forgotten says up to which log index deletions have no tombstones any more.
type Forgotten struct{ Index uint64 }

// ForgottenUpTo is the log index after which all deletions have tombstones; 0 if none was forgotten. It is not watched.
func ForgottenUpTo(tx *state.Tx) uint64 {
	if f := forgotten.Get(tx.Unwatched(), state.Key("kv")); f != nil {
		return f.Index
	}
	return 0
}
