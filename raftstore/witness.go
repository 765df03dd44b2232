package raftstore

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// A witness is a raft.LogStore that notes, as entries pass by, what Raft knows and does not tell: which index the newest
// configuration has, which a safe change of it has to name, and which entries never reach the state machine, for whose
// application nobody can wait.
type witness struct {
	raft.LogStore
	newest  atomic.Pointer[membership] // never nil after newWitness
	started atomic.Bool                // Raft has read what there was when it started
	stored  progress                   // since the start

	mu     sync.Mutex  // guards what follows
	before *membership // what newest was before, for the case that its entry is taken back; Raft has one in doubt at most
	silent []uint64    // indexes of entries that the state machine does not see, ascending
}

func newWitness(store raft.LogStore) *witness {
	w := &witness{LogStore: store}
	w.newest.Store(&membership{})
	return w
}

// IsMonotonic tells what the store is: Raft asks for it.
func (w *witness) IsMonotonic() bool {
	m, ok := w.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// GetLog reads an entry. Raft reads all of them when it starts, which is how configurations from before are noted.
func (w *witness) GetLog(index uint64, into *raft.Log) error {
	err := w.LogStore.GetLog(index, into)
	if err == nil && into.Type == raft.LogConfiguration && !w.started.Load() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.follow(into)
	}
	return err
}

// StoreLog stores one entry.
func (w *witness) StoreLog(entry *raft.Log) error { return w.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries. Raft takes a configuration as soon as it is stored, committed or not.
func (w *witness) StoreLogs(entries []*raft.Log) error {
	if err := w.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Type {
		case raft.LogCommand:
		case raft.LogConfiguration:
			w.mu.Lock()
			w.takeBack(e.Index)
			w.follow(e)
			w.mu.Unlock()
		default:
			w.mu.Lock()
			w.silent = append(w.silent, e.Index)
			w.mu.Unlock()
		}
	}
	w.stored.set(entries[len(entries)-1].Index)
	return nil
}

// DeleteRange deletes entries: the oldest, which a snapshot has, or the newest, which another leader does not have.
func (w *witness) DeleteRange(from, to uint64) error {
	first, err := w.LogStore.FirstIndex()
	if err != nil {
		return err
	}
	if err := w.LogStore.DeleteRange(from, to); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = slices.DeleteFunc(w.silent, func(i uint64) bool { return from <= i && i <= to })
	if from > first {
		w.takeBack(from)
		w.stored.set(from - 1)
	}
	return nil
}

// follow notes a configuration behind the newest one. It needs mu.
func (w *witness) follow(entry *raft.Log) {
	if newest := w.newest.Load(); entry.Index > newest.index {
		w.before = newest
		w.newest.Store(newMembership(entry.Index, raft.DecodeConfiguration(entry.Data)))
	}
}

// takeBack forgets a configuration that has this index or a later one. It needs mu.
func (w *witness) takeBack(from uint64) {
	if w.newest.Load().index >= from && w.before != nil {
		w.newest.Store(w.before)
		w.before = nil
	}
}

// replace notes the configuration of a snapshot that takes the place of the log.
func (w *witness) replace(index uint64, c raft.Configuration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = nil
	w.newest.Store(newMembership(index, c))
}

// seen is the newest entry up to an index that the state machine gets to see.
func (w *witness) seen(index uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.silent) - 1; i >= 0 && w.silent[i] >= index; i-- {
		if w.silent[i] == index {
			index--
		}
	}
	return index
}
