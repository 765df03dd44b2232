package raftstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/atrest"
	"lictor/state"
)

// secret makes a line of a file of keys.
func secret() string {
	key := make([]byte, atrest.KeySize)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key) + "\n"
}

// ringOf puts keys of these lines in force.
func ringOf(t testing.TB, plain bool, lines ...string) *atrest.Ring {
	t.Helper()
	ring := new(atrest.Ring)
	use(t, ring, plain, lines...)
	return ring
}

func use(t testing.TB, ring *atrest.Ring, plain bool, lines ...string) {
	t.Helper()
	if len(lines) == 0 {
		ring.Use(nil)
		return
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := atrest.Load(path, plain)
	if err != nil {
		t.Fatal(err)
	}
	ring.Use(keys)
}

// filesWith tells which files of a directory have a text in them.
func filesWith(t testing.TB, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

const plaintext = "a value that nobody is to see"

func TestNothingIsPlaintextOnDisk(t *testing.T) {
	for _, backend := range []string{walBackend, boltBackend} {
		t.Run(backend, func(t *testing.T) {
			dir, ring := t.TempDir(), ringOf(t, false, secret())
			change := func(c *Config) { c.Dir, c.Backend, c.AtRest = dir, backend, ring }
			n := open(t, change)
			for i := range 50 {
				put(t, n, fmt.Sprint("key/", i), plaintext)
			}
			s := &Service{Node: n}
			var archive bytes.Buffer
			save := func() {
				archive.Reset()
				if err := s.Save(context.Background(), acl.AllowAll(), state.ReadOptions{}, &archive, func(uint64, state.ReadMeta) {}); err != nil {
					t.Fatal(err)
				}
			}
			save()
			if index, err := VerifyArchive(bytes.NewReader(archive.Bytes())); err != nil || index == 0 {
				t.Fatalf("the archive is of %d, %v", index, err)
			}
			if _, err := s.Restore(context.Background(), acl.AllowAll(), bytes.NewReader(archive.Bytes())); err != nil {
				t.Fatal(err)
			}
			put(t, n, "last", plaintext)
			if found := filesWith(t, dir, "nobody is to see"); found != nil {
				t.Errorf("it is in %v", found)
			}
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			change2 := func(c *Config) { change(c); c.Backend = other(backend) }
			for _, how := range []func(*Config){change, change2, change} {
				n = open(t, how)
				if value(n, "key/7") != plaintext || value(n, "last") != plaintext {
					t.Error("what was written is not there after a start")
				}
				if err := n.Stop(); err != nil {
					t.Fatal(err)
				}
				if found := filesWith(t, dir, "nobody is to see"); found != nil {
					t.Errorf("it is in %v", found)
				}
			}
		})
	}
}

// whole reseals, and then again after a start if raft.db has remains.
func whole(t *testing.T, n *Node, change func(*Config)) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Reseal(ctx); err != nil {
		t.Fatal(err)
	}
	u, err := n.Sealed()
	if err != nil {
		t.Fatal(err)
	}
	key := ""
	if id, ok := n.AtRest.Keys().Writes(); ok {
		key = id.String()
	}
	if u.Stale(key) {
		t.Fatalf("something is left: %+v", u)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = open(t, change)
	if u, err := n.Sealed(); err != nil || u.Remains {
		t.Errorf("after a start: %+v, %v", u, err)
	}
	return n
}

// It is turned on over plaintext, the key is replaced, and it is turned off again. Nothing of before is left each time.
func TestOnRotatedAndOff(t *testing.T) {
	for _, backend := range []string{walBackend, boltBackend} {
		t.Run(backend, func(t *testing.T) {
			dir, ring := t.TempDir(), new(atrest.Ring)
			change := func(c *Config) { c.Dir, c.Backend, c.AtRest = dir, backend, ring }
			n := open(t, change)
			for i := range 300 {
				put(t, n, fmt.Sprint("key/", i), plaintext+strings.Repeat(".", 1000))
			}
			if filesWith(t, dir, "nobody is to see") == nil {
				t.Fatal("the test finds nothing")
			}
			first, second := secret(), secret()
			use(t, ring, false, first)
			put(t, n, "new", plaintext)
			n = whole(t, n, change)
			if found := filesWith(t, dir, "nobody is to see"); found != nil {
				t.Errorf("after it was turned on: it is in %v", found)
			}
			old := ring.Keys().IDs()[0]
			use(t, ring, false, second, first)
			put(t, n, "newer", plaintext)
			n = whole(t, n, change)
			if found := filesWith(t, dir, string(old[:])); found != nil {
				t.Errorf("after the key was replaced: the old one is in %v", found)
			}
			use(t, ring, true, second)
			put(t, n, "newest", plaintext)
			n = whole(t, n, change)
			defer n.Stop()
			use(t, ring, true)
			for _, key := range []string{"key/7", "new", "newer", "newest"} {
				if !strings.HasPrefix(value(n, key), plaintext) {
					t.Errorf("%s is lost", key)
				}
			}
			put(t, n, "last", plaintext)
		})
	}
}

func TestStartWithoutTheKey(t *testing.T) {
	for _, backend := range []string{walBackend, boltBackend} {
		t.Run(backend, func(t *testing.T) {
			dir, good := t.TempDir(), ringOf(t, false, secret())
			n := open(t, func(c *Config) { c.Dir, c.Backend, c.AtRest = dir, backend, good })
			put(t, n, "key", plaintext)
			if _, _, err := n.newest(); err != nil {
				t.Fatal(err)
			}
			put(t, n, "key", plaintext)
			if err := n.Stop(); err != nil {
				t.Fatal(err)
			}
			id := good.Keys().IDs()[0].String()
			for _, ring := range []*atrest.Ring{nil, new(atrest.Ring), ringOf(t, false, secret()), ringOf(t, true, secret())} {
				for _, b := range []string{walBackend, boltBackend} {
					c := quiet(dir)
					c.Backend, c.AtRest = b, ring
					s, err := openStorage(c)
					if err == nil {
						s.close()
						t.Fatal("it starts without the key")
					}
					if !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "encryption_at_rest.key_file") || ring.Keys() != nil && !strings.Contains(err.Error(), ring.Keys().Path()) {
						t.Errorf("the error does not say enough: %v", err)
					}
				}
			}
			n = open(t, func(c *Config) { c.Dir, c.Backend, c.AtRest = dir, backend, good })
			defer n.Stop()
			if value(n, "key") != plaintext {
				t.Error("what was written is lost")
			}
		})
	}
}

// An entry opens at its own place alone.
func TestEntriesStayInPlace(t *testing.T) {
	c := quiet(t.TempDir())
	c.AtRest, c.DisableLogCache = ringOf(t, false, secret()), true
	s, err := openStorage(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	all := entries(1, 3, 100)
	all[1].Extensions = []byte("extension")
	all[2].Type, all[2].Data = raft.LogNoop, nil
	if err := s.logs.StoreLogs(all); err != nil {
		t.Fatal(err)
	}
	for i, want := range entries(1, 2, 100) {
		var got raft.Log
		if err := s.logs.GetLog(want.Index, &got); err != nil || !bytes.Equal(got.Data, want.Data) || string(got.Extensions) != strings.Repeat("extension", i) {
			t.Errorf("entry %d: %q, %v", want.Index, got.Data, err)
		}
	}
	var noop, first raft.Log
	if err := s.logs.GetLog(3, &noop); err != nil || noop.Data != nil || noop.Type != raft.LogNoop {
		t.Errorf("%+v, %v", noop, err)
	}
	if err := s.sealed.LogStore.GetLog(1, &first); err != nil {
		t.Fatal(err)
	}
	for i, moved := range []raft.Log{
		{Index: 4, Term: 1, Type: raft.LogCommand, Data: first.Data},
		{Index: 5, Term: 2, Type: raft.LogCommand, Data: first.Data},
		{Index: 6, Term: 1, Type: raft.LogConfiguration, Data: first.Data},
		{Index: 7, Term: 1, Type: raft.LogCommand, Data: first.Data[:60]},
	} {
		if err := s.sealed.LogStore.StoreLogs([]*raft.Log{&moved}); err != nil {
			t.Fatal(err)
		}
		if err := s.logs.GetLog(moved.Index, new(raft.Log)); !errors.Is(err, atrest.ErrDamaged) {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

// A snapshot that was cut, or is in the place of another one, does not open, even if its checksum fits.
func TestSnapshotsStayWhole(t *testing.T) {
	dir := t.TempDir()
	c := quiet(dir)
	c.AtRest = ringOf(t, false, secret())
	s, err := openStorage(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	_, trans := raft.NewInmemTransport("here")
	text := bytes.Repeat([]byte("state "), 50000)
	sink, err := s.snapshots.Create(1, 7, 2, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(text); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	meta, r, err := s.snapshots.Open(sink.ID())
	if err != nil || meta.Size != int64(len(text)) {
		t.Fatalf("%+v, %v", meta, err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r.Close()
	sealed, err := os.ReadFile(filepath.Join(dir, "snapshots", sink.ID(), stateFile))
	if err != nil {
		t.Fatal(err)
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, 9, c.RaftLog)
	if err != nil {
		t.Fatal(err)
	}
	for i, forged := range []struct {
		index   uint64
		content []byte
	}{{7, sealed[:len(sealed)/2]}, {7, sealed[:32+65536+16]}, {8, sealed}, {7, sealed[:20]}} {
		sink, err := files.Create(1, forged.index, 2, raft.Configuration{}, 1, trans)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(forged.content); err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
		_, r, err := s.snapshots.Open(sink.ID())
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if !errors.Is(err, atrest.ErrDamaged) {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

// Whatever a crash leaves of a cut, the log is the same.
func TestCrashWhileCutting(t *testing.T) {
	c := quiet(t.TempDir())
	c.DisableLogCache = true
	s, err := openStorage(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.logs.StoreLogs(entries(1, 20, 100)); err != nil {
		t.Fatal(err)
	}
	if upTo, err := s.sealed.cut(); err != nil || upTo != 20 {
		t.Fatal(upTo, err)
	}
	if err := s.logs.StoreLogs(entries(21, 1, 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.sealed.LogStore.StoreLogs([]*raft.Log{{Index: 22, Type: separator}}); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openStorage(c); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := same(s.logs, 1, 21); err != nil {
		t.Fatal(err)
	}
	if err := s.logs.StoreLogs(entries(22, 3, 100)); err != nil {
		t.Fatal(err)
	}
	if err := same(s.logs, 1, 24); err != nil {
		t.Fatal(err)
	}
}

// No command can be taken for something that is sealed.
func TestCommandsAreNotTakenForSealed(t *testing.T) {
	for _, c := range commands {
		if c.id == 0xc1 {
			t.Errorf("%s has an id that begins what is sealed", c.name)
		}
	}
}

func BenchmarkStoreLogs(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprint("encrypted=", keyed), func(b *testing.B) {
			c := quiet(b.TempDir())
			c.SegmentSize = 64 << 20
			if keyed {
				c.AtRest = ringOf(b, false, secret())
			}
			s, err := openStorage(c)
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			for i := 0; b.Loop(); i++ {
				if err := s.logs.StoreLogs(entries(1+64*i, 64, 256)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
