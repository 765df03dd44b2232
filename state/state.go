// Package state is a transactional in-memory store of typed tables with watches, over hashicorp/go-memdb, of which it
// is the only importer. It knows how a command is applied, how a reader learns of a change and how the whole is
// streamed out and in again; it knows nothing of Raft, of what the tables hold or of who may read them.
package state

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"
)

// A DB holds tables. Any number of readers see the state as it was when their Tx began; one writer at a time makes the
// next one. Its methods may be called from any goroutine.
type DB struct {
	tables []AnyTable
	schema *memdb.DBSchema
	live   atomic.Pointer[generation]
	// showing is held while a change becomes visible and wakes its watchers: who sees any of it finds that all watches
	// on the rest have fired.
	showing sync.RWMutex
}

// A generation is the store between two restores of a snapshot. Its abandoned channel is closed when a restore
// replaces it, so that who watches the old tables looks at the new ones.
type generation struct {
	mem       *memdb.MemDB
	abandoned chan struct{}
}

// Open makes an empty store of these tables. It fails if two tables share a name or a table's indexes are malformed.
func Open(tables ...AnyTable) (*DB, error) {
	db := &DB{tables: append([]AnyTable{indexes}, tables...)}
	db.schema = &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range db.tables {
		if db.schema.Tables[t.Name()] != nil {
			return nil, fmt.Errorf("two tables are called %q", t.Name())
		}
		db.schema.Tables[t.Name()] = t.schema()
	}
	g, err := db.generation()
	if err != nil {
		return nil, err
	}
	db.live.Store(g)
	return db, nil
}

func (db *DB) generation() (*generation, error) {
	mem, err := memdb.NewMemDB(db.schema)
	if err != nil {
		return nil, fmt.Errorf("build the tables: %w", err)
	}
	return &generation{mem: mem, abandoned: make(chan struct{})}, nil
}

// Read begins a read-only transaction on the state of this moment. It needs no end and holds up nobody.
func (db *DB) Read() *Tx {
	db.showing.RLock()
	defer db.showing.RUnlock()
	g := db.live.Load()
	return &Tx{txn: g.mem.Txn(false), watch: &WatchSet{abandoned: g.abandoned}}
}

// Write begins a transaction that makes the state of the given log index. It blocks while another one is open and must
// end with Commit or Abort.
func (db *DB) Write(index uint64) *Tx {
	return &Tx{db: db, txn: db.live.Load().mem.Txn(true), index: index, write: true}
}
