package state

import (
	"context"
	"sync"
)

// Local is a Log without Raft, for tests: every command is applied at once and nothing is durable. Commands travel
// through their encoding, as they do in a real log.
type Local struct {
	db    *DB
	mu    sync.Mutex // guards index
	index uint64
}

// NewLocal makes a Log of an empty store with these tables. Its first command gets the index first (at least 1).
func NewLocal(first uint64, tables ...AnyTable) (*Local, error) {
	db, err := Open(tables...)
	if err != nil {
		return nil, err
	}
	return &Local{db: db, index: max(first, 1) - 1}, nil
}

// Apply applies the command at the next index.
func (l *Local) Apply(ctx context.Context, cmd Command) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	tx := l.db.Write(l.index)
	defer tx.Abort() // of a command that panics
	result, err := cmd.Apply(tx)
	if _, ok := cmd.(Isolated); ok && err != nil {
		return result, err
	}
	tx.Commit()
	return result, err
}

// Fresh is satisfied at once.
func (l *Local) Fresh(context.Context, ReadOptions) (ReadMeta, error) {
	return ReadMeta{KnownLeader: true}, nil
}

// DB is the store.
func (l *Local) DB() *DB { return l.db }
