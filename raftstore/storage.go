package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	walmetrics "github.com/hashicorp/raft-wal/metrics"
	"github.com/hashicorp/raft-wal/segment"
	"go.etcd.io/bbolt"

	"lictor/durable"
)

// storage is where Raft keeps what must survive.
//
//	<Dir>/raft.db     BoltDB: term, vote, the owner of the log, and the log itself if the backend is "boltdb"
//	<Dir>/wal/        the log if the backend is "wal"
//	<Dir>/snapshots/  the newest snapshots
type storage struct {
	logs      raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	disk      *disk          // the logs, watched
	witness   *witness       // the logs, too; logs is this one
	sealed    *sealedLog     // the log as it is on disk; nil without Dir
	closers   []func() error // called last to first
}

// lockTimeout bounds the wait for another process that has the files open.
const lockTimeout = 3 * time.Second

// retainedSnapshots is how many snapshots stay on disk.
const retainedSnapshots = 2

func openStorage(c *Config) (*storage, error) {
	if c.Dir == "" {
		m := c.memory
		if m == nil {
			m = newMemory()
		}
		s := &storage{stable: m.InmemStore, snapshots: described{m.snapshots}}
		s.watch(m.InmemStore, c)
		return s, nil
	}
	s := &storage{}
	if err := s.open(c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// memory is a storage that outlives nothing but, in tests, a Node.
type memory struct {
	*raft.InmemStore
	snapshots *raft.InmemSnapshotStore
}

func newMemory() *memory { return &memory{raft.NewInmemStore(), raft.NewInmemSnapshotStore()} }

func (s *storage) open(c *Config) error {
	if err := makeDir(c.Dir); err != nil {
		return err
	}
	if err := checkStable(c); err != nil {
		return err
	}
	bolt, err := s.openBolt(c)
	if err != nil {
		return err
	}
	s.stable = bolt
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(c.Dir, retainedSnapshots, c.RaftLog.Named("snapshot"))
	if err != nil {
		return fmt.Errorf("open the snapshots in %s: %w", c.Dir, err)
	}
	sealing, err := openSealing(c, bolt)
	if err != nil {
		return fmt.Errorf("read whether there is encryption: %w", err)
	}
	s.snapshots = described{sealedSnapshots{snapshots, sealing}}
	stores := &stores{bolt: bolt, snapshots: s.snapshots, walDir: filepath.Join(c.Dir, "wal"), log: c.Log, reached: c.reached}
	stores.openWAL = func() (raft.LogStore, func() error, error) { return openWAL(c, stores.walDir) }
	backend := cmp.Or(c.Backend, walBackend)
	owner, err := stores.owner()
	if err != nil {
		return err
	}
	if err := checkLog(c, owner, bolt, stores.walDir); err != nil {
		return err
	}
	if c.asFound {
		backend = cmp.Or(owner, backend)
	}
	logs, closer, err := stores.openAs(backend)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer)
	s.sealed = &sealedLog{LogStore: logs, sealing: sealing}
	if err := s.sealed.mend(); err != nil {
		return fmt.Errorf("look at the end of the log: %w", err)
	}
	if err := sealing.check(logs, s.snapshots); err != nil {
		return err
	}
	logs = s.sealed
	if err := s.align(c, logs); err != nil {
		return err
	}
	if !c.DisableLogCache {
		logs = newCache(logs)
	}
	s.watch(logs, c)
	return nil
}

// watch makes a log the one that Raft uses.
func (s *storage) watch(logs raft.LogStore, c *Config) {
	s.disk = &disk{LogStore: logs, reached: c.reached, made: time.Now()}
	s.witness = newWitness(s.disk)
	s.logs = s.witness
}

// align drops a log that ends before the newest snapshot, which has all of it. A crash while a snapshot from outside is
// restored leaves such a log. Raft goes on behind the snapshot, and a write-ahead log takes no entries with a gap.
func (s *storage) align(c *Config, logs raft.LogStore) error {
	have, err := s.snapshots.List()
	if err != nil || len(have) == 0 {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil || last == 0 || last >= have[0].Index {
		return err
	}
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	c.Log.Warn("the log ends before the newest snapshot, which is used instead", "last", last, "snapshot", have[0].Index)
	return logs.DeleteRange(first, last)
}

// openBolt opens raft.db and reports its figures until it is closed.
func (s *storage) openBolt(c *Config) (*boltdb.BoltStore, error) {
	path := filepath.Join(c.Dir, "raft.db")
	_, missing := os.Stat(path)
	open := func() (*boltdb.BoltStore, error) {
		bolt, err := boltdb.New(boltdb.Options{
			Path: path, BoltOptions: &bbolt.Options{NoFreelistSync: c.NoFreelistSync, Timeout: lockTimeout},
		})
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		return bolt, nil
	}
	bolt, err := open()
	if err != nil {
		return nil, err
	}
	if due, err := isSet(bolt, compactKey); err != nil || due {
		if err := errors.Join(err, bolt.Close()); err != nil {
			return nil, err
		}
		if err := compact(path); err != nil {
			return nil, err
		}
		if bolt, err = open(); err != nil {
			return nil, err
		}
	}
	s.closers = append(s.closers, bolt.Close)
	if missing != nil {
		if err := durable.SyncDir(c.Dir); err != nil {
			return nil, err
		}
	}
	if c.Backend == boltBackend {
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { bolt.RunMetrics(ctx, 0) })
		s.closers = append(s.closers, func() error { cancel(); running.Wait(); return nil })
	}
	return bolt, nil
}

// openWAL opens the write-ahead log in dir.
func openWAL(c *Config, dir string) (raft.LogStore, func() error, error) {
	log, err := openRenewed(c.Log, func() (raft.LogStore, func() error, error) { return openFiles(c, dir) })
	if err != nil {
		return nil, nil, err
	}
	return log, log.Close, nil
}

// openFiles opens the files of the log, after whatever a crash left behind at their end has been put in order.
func openFiles(c *Config, dir string) (raft.LogStore, func() error, error) {
	if err := makeDir(dir); err != nil {
		return nil, nil, err
	}
	size := c.SegmentSize
	if size == 0 {
		size = wal.DefaultSegmentSize
	}
	meta := &metadb.BoltMetaDB{} // the log leaves it open
	tail := &tail{dir: dir, meta: meta, size: size, log: c.Log}
	if err := tail.mend(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the log in %s: %w", dir, err), meta.Close())
	}
	files := &frugal{FS: walfs.New(), reached: c.reached}
	log, err := wal.Open(dir, wal.WithSegmentSize(size), wal.WithSegmentFiler(segment.NewFiler(dir, files)), wal.WithMetaStore(meta), wal.WithLogger(c.RaftLog.Named("wal")),
		wal.WithMetricsCollector(walmetrics.NewGoMetricsCollector([]string{"raft", "wal"}, nil, nil)))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the log in %s: %w", dir, err), meta.Close())
	}
	files.open.Store(true)
	return log, func() error { return errors.Join(log.Close(), meta.Close()) }, nil
}

func (s *storage) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// makeDir makes a directory that is still there after a loss of power.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}
