package state

// A Tx is one transaction. A reading Tx remembers what it looked at: Watch tells when any of it has changed. A Tx is
// used by one goroutine.
type Tx struct {
	db     *DB
	index  uint64
	roots  []*node     // of a reading Tx
	watch  *WatchSet   // of a reading Tx
	edit   *edit       // of a writing Tx until its end
	live   *generation // of a writing Tx
	events []any       // facts that the command has stated
}

// Index is the log index that a writing Tx makes.
func (tx *Tx) Index() uint64 { return tx.index }

// Advance lets the same writing Tx carry the next command of a batch.
func (tx *Tx) Advance(index uint64) { tx.index = index }

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
	e := tx.writing()
	tx.flush()
	roots := e.roots()
	tx.db.showing.Lock()
	tx.live.roots.Store(&roots)
	for _, t := range e.replaced {
		t.fire()
	}
	tx.db.showing.Unlock()
	tx.end()
}

// Abort forgets the writes. It does nothing after Commit or on a reading Tx.
func (tx *Tx) Abort() {
	if tx.edit != nil {
		tx.end()
	}
}

// end gives the edit back: what is visible by now is changed by nobody.
func (tx *Tx) end() {
	tx.edit.reset()
	tx.edit = nil
	tx.db.writer.Unlock()
}

// Watch is the set of everything that a reading Tx has looked at so far; it is nil for a writing Tx.
func (tx *Tx) Watch() *WatchSet { return tx.watch }

// Unwatched reads the same state without being woken by what it looks at: for a query that has watched one index for
// all that it goes on to read.
func (tx *Tx) Unwatched() *Tx {
	if tx.edit != nil {
		return tx
	}
	return &Tx{db: tx.db, roots: tx.roots, index: tx.index}
}

// writing is the edit of a writing Tx that has not ended.
func (tx *Tx) writing() *edit {
	if tx.edit == nil {
		panic("state: a write in a Tx that only reads, or has ended")
	}
	return tx.edit
}

// root is an index of a table for a look-up that is over before the next write.
func (tx *Tx) root(slot int) *node {
	if tx.edit != nil {
		return tx.edit.trees[slot].root
	}
	return tx.roots[slot]
}

// still is an index of a table as it is now, whatever is written later.
func (tx *Tx) still(slot int) *node {
	if tx.edit != nil {
		return tx.edit.keep(slot)
	}
	return tx.roots[slot]
}
