package raftstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server from which a part of its storage was taken does not start, says which part and what to do, and leaves what there
// is as it is: with the part back in its place it goes on.
func TestMissingParts(t *testing.T) {
	for _, c := range []struct{ name, backend, part, says string }{
		{"the log", walBackend, "wal", "the log in "},
		{"what is known of the log", walBackend, "wal/wal-meta.db", "the log in "},
		{"raft.db", walBackend, "raft.db", "raft.db is missing, but there is a log"},
		{"raft.db with the log", boltBackend, "raft.db", "raft.db is missing, but there are snapshots"},
		{"the snapshots", walBackend, "snapshots", "snapshots had is missing, but the log begins at"},
		{"the snapshots of BoltDB", boltBackend, "snapshots", "snapshots had is missing, but the log begins at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			configure := func(conf *Config) { conf.Dir, conf.Backend, conf.TrailingLogs = dir, c.backend, 1 }
			n := open(t, configure)
			for range 5 {
				put(t, n, "a", "1")
			}
			if err := n.raft.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
			put(t, n, "a", "2")
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			part, away := filepath.Join(dir, c.part), filepath.Join(t.TempDir(), "away")
			if err := os.Rename(part, away); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first refusal must not pave the way
				conf := quiet(dir)
				conf.Backend = c.backend
				if n, err := Open(*conf); err == nil {
					n.Stop()
					t.Fatal("a server without a part of its storage starts")
				} else if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "remove all of "+dir) {
					t.Fatalf("the error does not help: %v", err)
				}
			}
			if err := os.RemoveAll(part); err != nil { // an empty directory, if anything
				t.Fatal(err)
			}
			if err := os.Rename(away, part); err != nil {
				t.Fatal(err)
			}
			n = open(t, configure)
			if got := value(n, "a"); got != "2" {
				t.Errorf("the state is lost: %q", got)
			}
			if err := n.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
