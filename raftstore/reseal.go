package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"lictor/atrest"
)

// Sealed tells how much is under which key. The keys of the maps are ids of keys, "" for plaintext.
type Sealed struct {
	Entries   map[string]int // of the log
	Snapshots map[string]int
	// Remains says that raft.db still has, in pages that are free, what was deleted from it: a start writes it anew.
	Remains bool
}

// Sealed looks at all that is kept.
func (n *Node) Sealed() (*Sealed, error) {
	u := &Sealed{Entries: map[string]int{}, Snapshots: map[string]int{}}
	s := n.store.sealed
	if s == nil {
		return u, nil
	}
	err := s.look(s.LogStore, n.store.snapshots, func(entry uint64, _ string, id atrest.ID, sealed bool) error {
		into, name := u.Entries, ""
		if entry == 0 {
			into = u.Snapshots
		}
		if sealed {
			name = id.String()
		}
		into[name]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	u.Remains, err = s.remains()
	return u, err
}

// small is the size of a raft.db that has never had a log.
const small = 256 << 10

// remains tells whether raft.db may have what was deleted from it.
func (s *sealing) remains() (bool, error) {
	due, err := isSet(s.stable, compactKey)
	if err != nil || !due {
		return false, err
	}
	info, err := os.Stat(filepath.Join(s.dir, "raft.db"))
	if err != nil {
		return false, err
	}
	return info.Size() > small, nil
}

// Stale tells whether anything is not under the one key, or plaintext if that is "".
func (u *Sealed) Stale(key string) bool {
	for _, m := range []map[string]int{u.Entries, u.Snapshots} {
		for id := range m {
			if id != key {
				return true
			}
		}
	}
	return false
}

// resealPause is the pause between attempts to take a snapshot.
const resealPause = 200 * time.Millisecond

// Reseal sees to it that nothing that was written before is left: it begins a new file of the log, takes as many snapshots
// as are kept, and deletes what they have from the log. Followers that are behind get a snapshot then. It ends with ctx.
func (n *Node) Reseal(ctx context.Context) error {
	s := n.store.sealed
	if s == nil {
		return errors.New("nothing is kept on disk")
	}
	current := ""
	if id, ok := n.AtRest.Keys().Writes(); ok {
		current = id.String()
		if err := s.mark(); err != nil {
			return err
		}
	}
	now, err := n.Sealed()
	if err != nil {
		return err
	}
	if !now.Stale(current) {
		return nil
	}
	upTo, err := s.cut()
	if err != nil {
		return fmt.Errorf("begin a new file of the log: %w", err)
	}
	for taken := 0; taken < retainedSnapshots; {
		index, err := n.snapshotNow()
		if err == nil && index >= upTo {
			taken++
			continue
		}
		if err == nil {
			err = fmt.Errorf("entry %d of the log is not committed yet", index+1)
		}
		select {
		case <-time.After(resealPause):
		case <-ctx.Done():
			return fmt.Errorf("take a snapshot of all up to entry %d: %w", upTo, err)
		}
	}
	if upTo == 0 {
		return nil
	}
	if err := s.stable.Set(compactKey, markSet); err != nil {
		return err
	}
	if err := n.store.logs.DeleteRange(1, upTo); err != nil {
		return fmt.Errorf("delete the log up to entry %d: %w", upTo, err)
	}
	return s.unmark(n)
}

// unmark lets starts forget that there was encryption, once there is none.
func (s *sealing) unmark(n *Node) error {
	if _, ok := s.ring.Keys().Writes(); ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u, err := n.Sealed(); err != nil || u.Stale("") {
		return err
	}
	if err := s.stable.Set(sealedKey, nil); err != nil {
		return err
	}
	s.marked.Store(false)
	return nil
}

// snapshotNow takes a snapshot and tells its index.
func (n *Node) snapshotNow() (uint64, error) {
	var future raft.SnapshotFuture
	if err := n.ask(func() raft.Future { future = n.raft.Snapshot(); return future }); err != nil {
		return 0, err
	}
	have, err := n.store.snapshots.List()
	if err != nil || len(have) == 0 {
		return 0, err
	}
	return have[0].Index, nil
}
