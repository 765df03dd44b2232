package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"go.etcd.io/bbolt"
)

// storage is where Raft keeps what must survive.
type storage struct {
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	closers   []func() error // called last to first
}

// lockTimeout bounds the wait for another process that has the files open.
const lockTimeout = 3 * time.Second

// retainedSnapshots is how many snapshots stay on disk.
const retainedSnapshots = 2

// cachedLogs is how many of the newest entries stay in memory, for followers that are close behind.
const cachedLogs = 512

func openStorage(c *Config) (*storage, error) {
	if c.Dir == "" {
		mem := raft.NewInmemStore()
		return &storage{logs: mem, stable: mem, snapshots: raft.NewInmemSnapshotStore()}, nil
	}
	s := &storage{}
	if err := s.open(c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *storage) open(c *Config) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	bolt, err := boltdb.New(boltdb.Options{
		Path:        filepath.Join(c.Dir, "raft.db"),
		BoltOptions: &bbolt.Options{NoFreelistSync: c.NoFreelistSync, Timeout: lockTimeout},
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Join(c.Dir, "raft.db"), err)
	}
	s.closers = append(s.closers, bolt.Close)
	s.stable = bolt
	if s.snapshots, err = raft.NewFileSnapshotStoreWithLogger(c.Dir, retainedSnapshots, c.RaftLog.Named("snapshot")); err != nil {
		return fmt.Errorf("open the snapshots in %s: %w", c.Dir, err)
	}
	logs, err := s.openLogs(c, bolt)
	if err != nil {
		return err
	}
	s.logs, err = raft.NewLogCache(cachedLogs, logs)
	return err
}

func (s *storage) openLogs(c *Config, bolt *boltdb.BoltStore) (raft.LogStore, error) {
	if c.Backend == "boltdb" {
		return bolt, nil
	}
	dir := filepath.Join(c.Dir, "wal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	size := c.SegmentSize
	if size == 0 {
		size = 64 << 20
	}
	meta := &metadb.BoltMetaDB{} // the log opens it and leaves it open
	s.closers = append(s.closers, meta.Close)
	log, err := wal.Open(dir, wal.WithSegmentSize(size), wal.WithMetaStore(meta), wal.WithLogger(c.RaftLog.Named("wal")))
	if err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, err)
	}
	s.closers = append(s.closers, log.Close)
	return log, nil
}

func (s *storage) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}
