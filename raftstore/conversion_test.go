package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

var errKilled = errors.New("killed")

// start opens a log with a backend, as the start of a server does.
func start(dir, backend string, reached func(string) error) (*storage, error) {
	c := quiet(dir)
	c.Backend, c.DisableLogCache, c.reached = backend, true, reached
	return openStorage(c)
}

// filled makes a log that has the entries 8 to 200.
func filled(t *testing.T, dir, backend string) *storage {
	t.Helper()
	s, err := start(dir, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := s.logs.StoreLogs(entries(1+i*50, 50, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.logs.DeleteRange(1, 7); err != nil {
		t.Fatal(err)
	}
	return s
}

// check compares a log with what filled has stored.
func check(t *testing.T, log raft.LogStore) {
	t.Helper()
	if err := same(log, 8, 200); err != nil {
		t.Fatal(err)
	}
	for i := uint64(8); i <= 200; i++ {
		var e raft.Log
		if err := log.GetLog(i, &e); err != nil || len(e.Data) != 1000 || e.Data[0] != byte(i) || e.Index != i || e.Term != 1 {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

// Whenever a conversion is cut short, the next start has the whole log, with the new backend and with the old one.
func TestConversion(t *testing.T) {
	for _, from := range []string{walBackend, boltBackend} {
		for _, next := range []string{walBackend, boltBackend} {
			for _, kill := range []string{"batch", "copied", "owned", "emptied", "never"} {
				t.Run(fmt.Sprint(from, " killed at ", kill, " then ", next), func(t *testing.T) {
					dir := t.TempDir()
					if err := filled(t, dir, from).close(); err != nil {
						t.Fatal(err)
					}
					s, err := start(dir, other(from), func(step string) error {
						if step == kill {
							return errKilled
						}
						return nil
					})
					if kill != "never" && !errors.Is(err, errKilled) {
						t.Fatal(err)
					}
					if s != nil {
						check(t, s.logs)
						if err := s.close(); err != nil {
							t.Fatal(err)
						}
					}
					for range 2 {
						s, err := start(dir, next, nil)
						if err != nil {
							t.Fatal(err)
						}
						check(t, s.logs)
						if err := s.close(); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := os.Stat(filepath.Join(dir, "wal")); (err == nil) != (next == walBackend) {
						t.Error("the old place is not empty")
					}
				})
			}
		}
	}
}

// A log of which nobody wrote down where it is, such as one from before there was a choice, is found.
func TestOwnerIsFound(t *testing.T) {
	for _, backend := range []string{walBackend, boltBackend} {
		dir := t.TempDir()
		s := filled(t, dir, backend)
		if err := s.stable.Set(ownerKey, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s, err := start(dir, other(backend), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(t, s.logs)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConversionRefuses(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir, boltBackend)
	if err := s.logs.DeleteRange(100, 110); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	_, err := start(dir, walBackend, nil)
	if err == nil || !strings.Contains(err.Error(), "the log lacks entry 110") || !strings.Contains(err.Error(), "raft_logstore.backend") {
		t.Errorf("a gap: %v", err)
	}
	dir = t.TempDir()
	s = filled(t, dir, boltBackend)
	if err := s.stable.Set(ownerKey, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.close(), os.Mkdir(filepath.Join(dir, "wal"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err = start(dir, walBackend, nil); err == nil || !strings.Contains(err.Error(), "both raft.db and") {
		t.Errorf("two logs: %v", err)
	}
}

// A whole server keeps its state when the backend changes, and back again.
func TestServerChangesBackend(t *testing.T) {
	dir := t.TempDir()
	var want []byte
	for i, backend := range []string{"wal", "boltdb", "wal"} {
		n := open(t, func(c *Config) { c.Dir, c.Backend = dir, backend })
		if i > 0 && !bytes.Equal(want, content(t, n)) {
			t.Errorf("%s: the state differs", backend)
		}
		for k := range 100 {
			put(t, n, fmt.Sprint(i, "/", k), "value")
		}
		want = content(t, n)
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	store := raft.NewInmemStore()
	c := newCache(store)
	if err := c.StoreLogs(entries(1, 600, 10)); err != nil {
		t.Fatal(err)
	}
	if c.next-c.first != cachedEntries {
		t.Errorf("%d entries", c.next-c.first)
	}
	if err := c.StoreLogs(entries(601, 20, 100<<10)); err != nil {
		t.Fatal(err)
	}
	if c.bytes > cachedBytes || c.next-c.first != 10 {
		t.Errorf("%d entries, %d bytes", c.next-c.first, c.bytes)
	}
	if err := c.StoreLog(&raft.Log{Index: 621, Data: make([]byte, 2*cachedBytes)}); err != nil || c.first != c.next {
		t.Error("one that is larger than the bound stays", err)
	}
	for _, i := range []uint64{1, 300, 600, 610, 620, 621} {
		var e raft.Log
		if err := c.GetLog(i, &e); err != nil || e.Index != i {
			t.Errorf("entry %d is %d: %v", i, e.Index, err)
		}
	}
	if err := c.DeleteRange(610, 621); err != nil {
		t.Fatal(err)
	}
	if err := c.GetLog(615, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("a deleted entry: %v", err)
	}
	if err := c.StoreLogs(entries(610, 1, 10)); err != nil {
		t.Fatal(err)
	}
	var e raft.Log
	if err := c.GetLog(610, &e); err != nil || len(e.Data) != 10 {
		t.Errorf("a rewritten entry: %v", err)
	}
}
