package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/hashicorp/raft-wal/metadb"
)

// The parts of a server's storage (see storage) tell one story together: raft.db what the server has promised, the log what
// it has acknowledged, the snapshots what the log no longer has. A server that was robbed of one of them would go on in
// silence with what is left: vote twice in a term, lead without what it has acknowledged, or never find a leader. No crash
// takes a part away, so one that is missing has been removed by somebody, and the server does not start.

// missing is the error of a server that lacks a part which it has had.
func missing(c *Config, part, because string) error {
	return fmt.Errorf("%s is missing, but %s: the parts of %s only make sense together. Put it back as it was, if it was moved. "+
		"If not, and other servers of the cluster are well, remove all of %s: this server then joins anew and gets everything from them. "+
		"If there are no others, remove all of %s, too, start, and restore a snapshot that was saved",
		part, because, c.Dir, c.Dir, c.Dir)
}

// checkStable refuses to make a new raft.db beside what belongs to an old one. It comes before raft.db is opened, which
// would make it.
func checkStable(c *Config) error {
	path := filepath.Join(c.Dir, "raft.db")
	if there, err := exists(path); there || err != nil {
		return err
	}
	if there, err := exists(filepath.Join(c.Dir, "wal", metadb.FileName)); err != nil {
		return err
	} else if there {
		return missing(c, path, "there is a log in "+filepath.Join(c.Dir, "wal"))
	}
	snapshots := filepath.Join(c.Dir, "snapshots")
	entries, err := os.ReadDir(snapshots)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), ".tmp") { // which is not complete
			return missing(c, path, "there are snapshots in "+snapshots)
		}
	}
	return nil
}

// checkLog refuses to make a new write-ahead log beside a raft.db that belongs to an old one.
func checkLog(c *Config, owner string, stable raft.StableStore, dir string) error {
	if owner != walBackend {
		return nil
	}
	if there, err := exists(filepath.Join(dir, metadb.FileName)); there || err != nil {
		return err
	}
	term, err := currentTerm(stable)
	if err != nil || term == 0 { // nothing has happened yet
		return err
	}
	return missing(c, "the log in "+dir, fmt.Sprintf("%s tells that this server has taken part up to term %d", filepath.Join(c.Dir, "raft.db"), term))
}

// checkTogether refuses a log that goes on from snapshots which are not there, or which raft.db knows nothing of.
func (s *storage) checkTogether(c *Config) error {
	if c.Dir == "" {
		return nil
	}
	first, err := s.logs.FirstIndex()
	if err != nil {
		return err
	}
	term, err := currentTerm(s.stable)
	if err != nil {
		return err
	}
	if first > 0 && term == 0 {
		return missing(c, "the content of "+filepath.Join(c.Dir, "raft.db"), "there is a log")
	}
	have, err := s.snapshots.List()
	if err != nil {
		return err
	}
	if first > 1 && (len(have) == 0 || have[0].Index < first-1) {
		return missing(c, "what "+filepath.Join(c.Dir, "snapshots")+" had", fmt.Sprintf("the log begins at entry %d and goes on from there", first))
	}
	return nil
}

// currentTerm is the term that a server has been part of; 0 if none.
func currentTerm(stable raft.StableStore) (uint64, error) {
	term, err := stable.GetUint64([]byte("CurrentTerm"))
	if errors.Is(err, boltdb.ErrKeyNotFound) {
		return 0, nil
	}
	return term, err
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
