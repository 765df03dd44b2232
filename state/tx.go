package state

import "github.com/hashicorp/go-memdb"

// A Tx is one transaction. A reading Tx remembers what it looked at: Watch tells when any of it has changed. A Tx is
// used by one goroutine.
type Tx struct {
	db      *DB // of a writing Tx
	txn     *memdb.Txn
	index   uint64
	write   bool
	watch   *WatchSet // of a reading Tx
	touched []string  // names whose index moves at Commit, of a writing Tx
	events  []any     // facts that the command has stated
}

// Index is the log index that a writing Tx makes.
func (tx *Tx) Index() uint64 { return tx.index }

// Advance lets the same writing Tx carry the next command of a batch.
func (tx *Tx) Advance(index uint64) {
	tx.flush()
	tx.index = index
}

// Emit states a fact, such as the end of a node, to whoever acts on it in the same transaction.
func (tx *Tx) Emit(event any) { tx.events = append(tx.events, event) }

// Events takes the facts that were stated since it was last called.
func (tx *Tx) Events() []any {
	events := tx.events
	tx.events = nil
	return events
}

// Commit makes the writes visible and wakes all who watch what was written.
func (tx *Tx) Commit() {
	tx.flush()
	tx.db.showing.Lock()
	defer tx.db.showing.Unlock()
	tx.txn.Commit()
}

// Abort forgets the writes. It does nothing after Commit or on a reading Tx.
func (tx *Tx) Abort() { tx.txn.Abort() }

// Watch is the set of everything that a reading Tx has looked at so far; it is nil for a writing Tx.
func (tx *Tx) Watch() *WatchSet { return tx.watch }

// Unwatched reads the same state without being woken by what it looks at: for a query that has watched one index for
// all that it goes on to read.
func (tx *Tx) Unwatched() *Tx { return &Tx{txn: tx.txn, index: tx.index} }
