package configentry

import "lictor/state"

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Put writes an entry. It answers whether it did: with CAS, only if the entry's ModifyIndex is Index, where 0 means
// that there is none. With Missing it writes only what does not exist.
type Put struct {
	Entry   Entry
	CAS     bool
	Index   uint64
	Missing bool
}

// Apply answers a bool. It fails, and has changed nothing, if the entry does not agree with others.
func (p *Put) Apply(tx *state.Tx) (any, error) {
	e := p.Entry
	old := Find(tx, e.Kind, e.Name)
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch {
	case old != nil && old.Name == e.Name && old.Text == e.Text: // whatever the index, as Consul does
		return !p.Missing, nil
	case p.CAS && at != p.Index, p.Missing && old != nil:
		return false, nil
	}
	if err := (&sight{tx: tx, put: &e}).agree(&e); err != nil {
		return nil, err
	}
	insert(tx, e)
	return true, nil
}

// insert writes an entry, whatever was there.
func insert(tx *state.Tx, e Entry) {
	e.CreateIndex, e.ModifyIndex = tx.Index(), tx.Index()
	if old := Find(tx, e.Kind, e.Name); old != nil {
		e.CreateIndex = old.CreateIndex
	}
	Entries.Insert(tx, &e)
	touch(tx, e.Kind)
}

// A Delete removes an entry. It answers whether it did: with CAS, only if the entry's ModifyIndex is Index. An entry that
// is not there is gone already.
type Delete struct {
	Kind, Name string
	CAS        bool
	Index      uint64
}

// Apply answers a bool. It fails, and has changed nothing, if other entries need this one.
func (d *Delete) Apply(tx *state.Tx) (any, error) {
	old := Find(tx, d.Kind, d.Name)
	if d.CAS && (old == nil || old.ModifyIndex != d.Index) {
		return false, nil
	}
	if old == nil {
		return true, nil
	}
	if err := (&sight{tx: tx, gone: old}).agree(old); err != nil {
		return nil, err
	}
	Entries.Delete(tx, old)
	touch(tx, old.Kind)
	return true, nil
}

// kindIndex with a kind is the index that moves when entries of the kind do.
const kindIndex = "config-entries/"

func touch(tx *state.Tx, kind string) { tx.Touch(kindIndex + kind) }
