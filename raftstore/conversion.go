package raftstore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
)

// The backends of the log, as the configuration names them.
const (
	walBackend  = "wal"
	boltBackend = "boltdb"
)

// stores are the two places where the log may be. Which of them has it is written down in raft.db under ownerKey: the
// owner. To switch the backend is to convert the log, from the owner to the other place:
//
//  1. Empty the other place: it is not the owner, so what is there is the rest of a conversion that was cut short.
//  2. Copy all entries there; each batch is durable when its write returns.
//  3. Compare the two.
//  4. Write down the other place as the owner, in one transaction of BoltDB. This is the moment of the conversion.
//  5. Empty the old place.
//
// A crash before 4 leaves the old owner untouched, and the next start begins again at 1, or, if the backend is the old
// one again, goes on with the old owner. A crash after 4 leaves the new owner complete, and the next start, which finds
// a place that is not the owner and not empty, finishes 5. No start ever reads a log that is not the owner's.
type stores struct {
	bolt      *boltdb.BoltStore
	snapshots raft.SnapshotStore
	walDir    string
	openWAL   func() (raft.LogStore, func() error, error)
	log       *slog.Logger
	reached   func(step string) error // of tests: fails where a crash is to be played; may be nil
}

var ownerKey = []byte("LogStoreOwner")

// openAs opens the log with this backend and converts it first, if the other one has it.
func (s *stores) openAs(backend string) (raft.LogStore, func() error, error) {
	owner, err := s.owner()
	if err != nil {
		return nil, nil, err
	}
	switch owner {
	case backend:
	case "":
		if err := s.bolt.Set(ownerKey, []byte(backend)); err != nil {
			return nil, nil, fmt.Errorf("write down where the log is: %w", err)
		}
	case walBackend, boltBackend:
		s.log.Info("converting the log", "from", owner, "to", backend)
		if err := s.convert(owner, backend); err != nil {
			return nil, nil, fmt.Errorf("convert the log from raft_logstore.backend %q to %q (set it back to %q to start without): %w",
				owner, backend, owner, err)
		}
	default:
		return nil, nil, fmt.Errorf("the log is kept by %q, which this version does not know", owner)
	}
	if err := s.empty(other(backend)); err != nil {
		return nil, nil, err
	}
	if err := s.at("emptied"); err != nil {
		return nil, nil, err
	}
	return s.place(backend)
}

func other(backend string) string {
	if backend == walBackend {
		return boltBackend
	}
	return walBackend
}

// owner is the backend that has the log; "" if there is no log yet. A directory without the mark has at most one log.
func (s *stores) owner() (string, error) {
	mark, err := s.bolt.Get(ownerKey)
	if len(mark) > 0 {
		return string(mark), nil
	}
	if err != nil && !errors.Is(err, boltdb.ErrKeyNotFound) {
		return "", fmt.Errorf("read where the log is: %w", err)
	}
	inBolt, err := s.bolt.LastIndex()
	if err != nil {
		return "", fmt.Errorf("read the log in raft.db: %w", err)
	}
	_, err = os.Stat(s.walDir)
	inWAL := err == nil
	switch {
	case inBolt > 0 && inWAL:
		return "", fmt.Errorf("both raft.db and %s hold a log, and nothing tells which one counts: move one of them away", s.walDir)
	case inBolt > 0:
		return boltBackend, nil
	case inWAL:
		return walBackend, nil
	}
	return "", nil
}

// place opens one of the two places.
func (s *stores) place(backend string) (raft.LogStore, func() error, error) {
	if backend == walBackend {
		return s.openWAL()
	}
	return s.bolt, func() error { return nil }, nil
}

// empty removes the log from one of the two places, which is closed.
func (s *stores) empty(backend string) error {
	if backend == walBackend {
		if err := os.RemoveAll(s.walDir); err != nil {
			return fmt.Errorf("remove what is left of a log: %w", err)
		}
		return nil
	}
	first, err := s.bolt.FirstIndex()
	if err != nil || first == 0 {
		return err
	}
	last, err := s.bolt.LastIndex()
	if err != nil {
		return err
	}
	return s.bolt.DeleteRange(first, last)
}

// convert is the steps 1 to 4.
func (s *stores) convert(from, to string) (err error) {
	if err := s.empty(to); err != nil {
		return err
	}
	source, closeSource, err := s.place(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	target, closeTarget, err := s.place(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTarget()) }()
	if err := s.copyLog(source, target); err != nil {
		return err
	}
	if err := s.at("copied"); err != nil {
		return err
	}
	if err := s.bolt.Set(ownerKey, []byte(to)); err != nil {
		return err
	}
	return s.at("owned")
}

func (s *stores) at(step string) error {
	if s.reached == nil {
		return nil
	}
	return s.reached(step)
}

// copyBatch is how many bytes of entries are copied in one write.
const copyBatch = 4 << 20

func (s *stores) copyLog(source, target raft.LogStore) error {
	first, last, err := s.extent(source)
	if err != nil || last == 0 {
		return err
	}
	var batch []*raft.Log
	size := 0
	for i := first; i <= last; i++ {
		entry := new(raft.Log)
		if err := source.GetLog(i, entry); err != nil {
			return fmt.Errorf("read entry %d: %w", i, err)
		}
		batch = append(batch, entry)
		if size += len(entry.Data) + 64; size < copyBatch && i < last {
			continue
		}
		if err := target.StoreLogs(batch); err != nil {
			return fmt.Errorf("write the entries up to %d: %w", i, err)
		}
		if err := s.at("batch"); err != nil {
			return err
		}
		batch, size = nil, 0
	}
	return same(target, first, last)
}

// same checks that a copy has arrived.
func same(target raft.LogStore, first, last uint64) error {
	f, err := target.FirstIndex()
	if err != nil {
		return err
	}
	l, err := target.LastIndex()
	if err != nil {
		return err
	}
	if f != first || l != last {
		return fmt.Errorf("the copy has the entries %d to %d instead of %d to %d", f, l, first, last)
	}
	return nil
}

// extent is what has to be copied: all entries, or, where a restored snapshot has left a gap, those behind the last gap,
// provided that a snapshot has what was before them.
func (s *stores) extent(source raft.LogStore) (first, last uint64, err error) {
	if first, err = source.FirstIndex(); err != nil {
		return 0, 0, err
	}
	if last, err = source.LastIndex(); err != nil || last == 0 {
		return 0, 0, err
	}
	for i := last; i > first; i-- {
		if err := source.GetLog(i-1, new(raft.Log)); errors.Is(err, raft.ErrLogNotFound) {
			return i, last, s.covered(i - 1)
		} else if err != nil {
			return 0, 0, fmt.Errorf("read entry %d: %w", i-1, err)
		}
	}
	return first, last, nil
}

// covered checks that a snapshot holds the state up to an entry.
func (s *stores) covered(index uint64) error {
	have, err := s.snapshots.List()
	if err != nil {
		return err
	}
	if len(have) == 0 || have[0].Index < index {
		return fmt.Errorf("the log lacks entry %d, and no snapshot covers it", index)
	}
	return nil
}
