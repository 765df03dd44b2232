package state

//go:generate go tool msgp -o index_gen.go -tests=false -io=false -unexported

// An indexRow remembers the log index at which what Name stands for has last changed: a table, or anything narrower
// that a domain chooses, such as one service.
type indexRow struct {
	Name  string
	Index uint64
}

var indexes = NewTable("index", func(r *indexRow) string { return r.Name })

// Touch moves the index called name to that of the Tx. Tables are touched by what changes them; domains touch names
// of their own, such as "service/web", so that a query can watch one row whatever the size of its answer.
func (tx *Tx) Touch(name string) {
	tx.writing().touched[name] = tx.index
}

// Forget removes the index called name, for what exists no more. Its watchers wake.
func (tx *Tx) Forget(name string) {
	delete(tx.writing().touched, name)
	tx.edit.delete(indexes.slot(tx), name)
}

// Changed is the highest of the log indexes at which the named things have last changed; 0 if none of them ever did. A
// reading Tx watches them.
func (tx *Tx) Changed(names ...string) uint64 {
	var at uint64
	for _, n := range names {
		if tx.edit != nil {
			at = max(at, tx.edit.touched[n])
		}
		if r := indexes.Get(tx, n); r != nil {
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

// flush writes the indexes that the commands of a batch have moved, each once.
func (tx *Tx) flush() {
	for name, at := range tx.edit.touched {
		indexes.put(tx, &indexRow{name, at})
	}
}
