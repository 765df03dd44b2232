// Package state is a transactional in-memory store of typed tables with watches. It knows how a command is applied, how a
// reader learns of a change and how the whole is streamed out and in again; it knows nothing of Raft, of what the tables
// hold or of who may read them.
package state

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// A DB holds tables. Any number of readers see the state as it was when their Tx began; one writer at a time makes the
// next one. Its methods may be called from any goroutine.
type DB struct {
	tables []AnyTable
	slots  []int // where the trees of a table begin among the roots, by the table's number; -1 if it is not here
	trees  int
	live   atomic.Pointer[generation]
	owners atomic.Uint64 // see edit
	writer sync.Mutex    // held by a writing Tx, and while a restore replaces the state
	edit   *edit         // what writing transactions use, one after the other
	// showing is held while a change becomes visible and wakes its watchers: who sees any of it finds that all watches
	// on the rest have fired.
	showing sync.RWMutex
}

// A generation is the store between two restores of a snapshot. Its abandoned channel is closed when a restore
// replaces it, so that who watches the old tables looks at the new ones.
type generation struct {
	roots     atomic.Pointer[[]*node] // of all trees; what it points to is never changed
	abandoned chan struct{}
}

// Open makes an empty store of these tables. It fails if two tables share a name or two indexes of a table do.
func Open(tables ...AnyTable) (*DB, error) {
	db := &DB{tables: append([]AnyTable{indexes}, tables...)}
	for _, t := range db.tables {
		for t.identity() >= len(db.slots) {
			db.slots = append(db.slots, -1)
		}
		if db.slots[t.identity()] >= 0 {
			return nil, fmt.Errorf("two tables are called %q", t.Name())
		}
		names := t.indexNames()
		for i, n := range names {
			if n == "" || slices.Contains(names[:i], n) {
				return nil, fmt.Errorf("table %s: an index is called %q, which is no name or that of another one", t.Name(), n)
			}
		}
		db.slots[t.identity()] = db.trees
		db.trees += len(names)
	}
	db.edit = newEdit(&db.owners)
	db.live.Store(newGeneration(db.empty()))
	return db, nil
}

// empty returns trees without any rows.
func (db *DB) empty() []*node {
	roots := make([]*node, db.trees)
	for i := range roots {
		roots[i] = &node{}
	}
	return roots
}

func newGeneration(roots []*node) *generation {
	g := &generation{abandoned: make(chan struct{})}
	g.roots.Store(&roots)
	return g
}

// Untouched tells whether nothing has been written or restored yet.
func (db *DB) Untouched() bool {
	for _, root := range *db.live.Load().roots.Load() {
		if root.leaf != nil || len(root.edges) > 0 {
			return false
		}
	}
	return true
}

// Read begins a read-only transaction on the state of this moment. It needs no end and holds up nobody.
func (db *DB) Read() *Tx {
	db.showing.RLock()
	defer db.showing.RUnlock()
	g := db.live.Load()
	return &Tx{db: db, roots: *g.roots.Load(), watch: &WatchSet{abandoned: g.abandoned}}
}

// Write begins a transaction that makes the state of the given log index. It blocks while another one is open and must
// end with Commit or Abort.
func (db *DB) Write(index uint64) *Tx {
	db.writer.Lock()
	g := db.live.Load()
	db.edit.start(*g.roots.Load())
	return &Tx{db: db, live: g, index: index, edit: db.edit}
}
