package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// A renewed is a write-ahead log that is opened anew when it has a full file at its end and could not begin the next one,
// as on a full disk. raft-wal tries that once, and would refuse every write from then on, even with room on the disk again.
// All that is in the full file is durable, so that opening it loses nothing.
//
// It is opened anew as well when a sync of the file at its end has failed. What was to be made durable then is dropped, which
// begins a new file, so that nothing is acknowledged any more that a later sync of the old file would have to vouch for.
type renewed struct {
	open func() (raft.LogStore, func() error, error)
	log  *slog.Logger

	mu    sync.RWMutex  // guards what follows; is held for writing while the log is opened
	store raft.LogStore // nil if the last attempt to open it failed
	close func() error
}

func openRenewed(log *slog.Logger, open func() (raft.LogStore, func() error, error)) (*renewed, error) {
	r := &renewed{open: open, log: log}
	var err error
	r.store, r.close, err = open()
	return r, err
}

var errNotOpen = errors.New("the log is not open: its disk failed")

// use calls do with the log.
func (r *renewed) use(do func(raft.LogStore) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.store == nil {
		return errNotOpen
	}
	return do(r.store)
}

// IsMonotonic tells Raft that there are no gaps.
func (r *renewed) IsMonotonic() bool { return true }

// FirstIndex is the index of the first entry, or 0.
func (r *renewed) FirstIndex() (index uint64, err error) {
	err = r.use(func(s raft.LogStore) error { index, err = s.FirstIndex(); return err })
	return index, err
}

// LastIndex is the index of the last entry, or 0.
func (r *renewed) LastIndex() (index uint64, err error) {
	err = r.use(func(s raft.LogStore) error { index, err = s.LastIndex(); return err })
	return index, err
}

// GetLog reads an entry.
func (r *renewed) GetLog(index uint64, into *raft.Log) error {
	return r.use(func(s raft.LogStore) error { return s.GetLog(index, into) })
}

// DeleteRange deletes entries.
func (r *renewed) DeleteRange(from, to uint64) error {
	return r.use(func(s raft.LogStore) error { return s.DeleteRange(from, to) })
}

// StoreLog stores an entry.
func (r *renewed) StoreLog(entry *raft.Log) error { return r.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries.
func (r *renewed) StoreLogs(entries []*raft.Log) error {
	store := func(s raft.LogStore) error { return s.StoreLogs(entries) }
	err := r.use(store)
	if !errors.Is(err, types.ErrSealed) && !errors.Is(err, errNotOpen) && !errors.Is(err, errUnsynced) {
		return err
	}
	if err := r.renew(); err != nil {
		return fmt.Errorf("begin a new file of the log: %w", err)
	}
	if err := r.use(func(s raft.LogStore) error { return dropFrom(s, entries[0].Index) }); err != nil {
		return fmt.Errorf("drop what could not be synced: %w", err)
	}
	return r.use(store)
}

// dropFrom deletes the entries from an index on, which were written in part or whole by an attempt that failed.
func dropFrom(s raft.LogStore, index uint64) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil || last < index {
		return err
	}
	return s.DeleteRange(max(first, index), last)
}

// renew opens the log anew.
func (r *renewed) renew() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store != nil {
		if err := r.close(); err != nil {
			r.log.Warn("could not close the log", "error", err)
		}
		r.store = nil
	}
	store, closer, err := r.open()
	if err != nil {
		return err
	}
	r.store, r.close = store, closer
	r.log.Info("the log has begun a new file after its disk failed")
	return nil
}

func (r *renewed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		return nil
	}
	r.store = nil
	return r.close()
}
