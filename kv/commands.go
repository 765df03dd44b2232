package kv

import "lictor/state"

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Put writes a key. It answers whether it did: with CAS, only if the key's ModifyIndex is Index, where 0 means that
// the key does not exist.
type Put struct {
	Key   string
	Flags uint64
	Value []byte `msg:"Value,allownil"`
	CAS   bool
	Index uint64
	TTL   string `msg:"TTL,omitempty"` // how long the key lives unless it is written again; "" for ever
}

// Apply answers a bool.
func (p *Put) Apply(tx *state.Tx) (any, error) {
	if p.CAS && !matches(Entries.Get(tx, p.Key), p.Index) {
		return false, nil
	}
	Set(tx, &Entry{Key: p.Key, Flags: p.Flags, Value: p.Value, TTL: p.TTL})
	return true, nil
}

func matches(old *Entry, index uint64) bool {
	if old == nil {
		return index == 0
	}
	return old.ModifyIndex == index
}

// Set writes a key. A lock on it stays with its session, but a plain write resets how often it was acquired, as Consul
// does. Writing what is there already changes nothing. It returns the entry as it is then.
func Set(tx *state.Tx, e *Entry) *Entry {
	old := Entries.Get(tx, e.Key)
	if old != nil {
		e.Session = old.Session
	}
	return store(tx, old, e)
}

// store writes an entry as it stands over the old one, which is nil if there is none, and fills in its indexes.
func store(tx *state.Tx, old, e *Entry) *Entry {
	if len(e.Value) == 0 {
		e.Value = nil
	}
	if e.same(old) {
		return old
	}
	e.CreateIndex, e.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		e.CreateIndex = old.CreateIndex
	}
	Entries.Insert(tx, e)
	return e
}

// A Delete removes a key, or with Recurse all keys that begin with Key. It answers whether it did: with CAS, only if
// the key's ModifyIndex is Index or the key does not exist.
type Delete struct {
	Key     string
	Recurse bool
	CAS     bool
	Index   uint64
}

// Apply answers a bool.
func (d *Delete) Apply(tx *state.Tx) (any, error) {
	if d.Recurse {
		RemoveTree(tx, d.Key)
		return true, nil
	}
	old := Entries.Get(tx, d.Key)
	if d.CAS && old != nil && (d.Index == 0 || old.ModifyIndex != d.Index) {
		return false, nil
	}
	Remove(tx, d.Key)
	return true, nil
}

// Remove deletes a key, if it is there.
func Remove(tx *state.Tx, key string) {
	e := Entries.Get(tx, key)
	if e == nil {
		return
	}
	Entries.Delete(tx, e)
	Tombstones.Insert(tx, &Tombstone{key, tx.Index()})
}

// RemoveTree deletes all keys that begin with prefix.
func RemoveTree(tx *state.Tx, prefix string) {
	var gone []*Entry
	for e := range Entries.Prefix(tx, "id", prefix) {
		gone = append(gone, e)
	}
	for _, e := range gone {
		Remove(tx, e.Key)
	}
}

// A ReapTombstones forgets the deletions up to a log index, for which nobody waits any more.
type ReapTombstones struct {
	UpTo uint64
}

// Apply answers nothing.
func (r *ReapTombstones) Apply(tx *state.Tx) (any, error) {
	var gone []*Tombstone
	for t := range Tombstones.All(tx) {
		if t.Index <= r.UpTo {
			gone = append(gone, t)
		}
	}
	for _, t := range gone {
		Tombstones.Delete(tx, t)
	}
	if len(gone) > 0 {
		forgotten.Insert(tx, &Forgotten{r.UpTo})
	}
	return nil, nil
}
