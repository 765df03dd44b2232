package state

import "slices"

//go:generate go tool msgp -o index_gen.go -tests=false -io=false -unexported

// An indexRow remembers the log index at which what Name stands for has last changed: a table, or anything narrower
// that a domain chooses, such as one service.
type indexRow struct {
	Name  string
	Index uint64
}

var indexes = NewTable("index", func(r *indexRow) string { return Key(r.Name) })

// Touch moves the index called name to that of the Tx. Tables are touched by what changes them; domains touch names
// of their own, such as "service/web", so that a query can watch one row whatever the size of its answer.
func (tx *Tx) Touch(name string) {
	if !slices.Contains(tx.touched, name) {
		tx.touched = append(tx.touched, name)
	}
}

// Forget removes the index called name, for what exists no more. Its watchers wake.
func (tx *Tx) Forget(name string) {
	tx.flush()
	if r := indexes.Get(tx, Key(name)); r != nil {
		must(tx.txn.Delete(indexes.name, r))
	}
}

// Changed is the highest of the log indexes at which the named things have last changed; 0 if none of them ever did. A
// reading Tx watches them.
func (tx *Tx) Changed(names ...string) uint64 {
	var at uint64
	for _, n := range names {
		if slices.Contains(tx.touched, n) {
			return tx.index
		}
		if r := indexes.Get(tx, Key(n)); r != nil {
			at = max(at, r.Index)
		}
	}
	return at
}

// restoredIndex is the name of the index at which an older state was restored.
const restoredIndex = "restored"

// Floor is the log index at which an older state was last restored, 0 if none ever was. What clients have seen before has
// indexes up to there: an answer with a lower one would take them back.
func (tx *Tx) Floor() uint64 { return tx.Unwatched().Changed(restoredIndex) }

func (tx *Tx) flush() {
	for _, n := range tx.touched {
		must(tx.txn.Insert(indexes.name, &indexRow{n, tx.index}))
	}
	tx.touched = tx.touched[:0]
}
