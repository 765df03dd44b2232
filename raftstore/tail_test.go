package raftstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
)

func quiet(dir string) *Config {
	return &Config{Dir: dir, SegmentSize: 64 << 10, Log: slog.New(slog.DiscardHandler), RaftLog: hclog.NewNullLogger()}
}

func entries(from, n, size int) []*raft.Log {
	var out []*raft.Log
	for i := range n {
		data := bytes.Repeat([]byte{byte(from + i)}, size)
		out = append(out, &raft.Log{Index: uint64(from + i), Term: 1, Type: raft.LogCommand, Data: data})
	}
	return out
}

// newest is the newest file of a log.
func newest(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	return names[len(names)-1]
}

// written makes a log of batches of n entries and returns its newest file's content and the ends of its batches.
func written(t *testing.T, dir string, batches, n, size int) (content []byte, ends []int) {
	t.Helper()
	log, closer, err := openWAL(quiet(dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		if err := log.StoreLogs(entries(1+i*n, n, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := closer(); err != nil {
		t.Fatal(err)
	}
	content, err = os.ReadFile(newest(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for end := 0; ; {
		b, ok := nextBatch(content, max(end, fileHeader), end)
		if !ok {
			return content, ends
		}
		end = b.end
		ends = append(ends, end)
	}
}

// holds opens the log and checks that it has the entries 1 to want, and takes another one.
func holds(t *testing.T, dir string, want int) {
	t.Helper()
	log, closer, err := openWAL(quiet(dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	last, err := log.LastIndex()
	if err != nil || last != uint64(want) {
		t.Fatalf("the log ends at %d, not %d: %v", last, want, err)
	}
	for i := 1; i <= want; i++ {
		var e raft.Log
		if err := log.GetLog(uint64(i), &e); err != nil || e.Data[0] != byte(i) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if err := log.StoreLogs(entries(want+1, 1, 100)); err != nil {
		t.Fatalf("the log takes no more entries: %v", err)
	}
	if err := closer(); err != nil {
		t.Fatal(err)
	}
}

// Whatever is behind the last whole batch is dropped, once and for all.
func TestTornTail(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		dir := t.TempDir()
		content, ends := written(t, dir, 5, 3, 100)
		last, before := ends[4], ends[3]
		torn := bytes.Clone(content[before:last])
		switch cut := random.IntN(len(torn)); round % 3 {
		case 0: // only its begin arrived
			clear(torn[cut:])
		case 1: // only its end arrived
			clear(torn[:cut+1])
		case 2: // some bytes are others
			torn[cut] ^= 0x10
		}
		damaged := append(bytes.Clone(content[:before]), torn...)
		if round%2 == 0 { // the file is as long as before
			damaged = append(damaged, content[last:]...)
		}
		if err := os.WriteFile(newest(t, dir), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if whole := bytes.Equal(torn, content[before:last]); whole {
			continue // it was zero already
		}
		holds(t, dir, 12)
		holds(t, dir, 13)
	}
}

func TestShortFile(t *testing.T) {
	for cut := range 6 {
		dir := t.TempDir()
		content, ends := written(t, dir, 5, 3, 100)
		at := fileHeader / 2 // not even the header
		if cut > 0 {
			at = ends[cut-1] + 5*(cut%2)
		}
		if err := os.WriteFile(newest(t, dir), content[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, 3*cut)
	}
}

// What breaks in front of whole batches was whole once: the log may not go back silently.
func TestDamagedMiddle(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		dir := t.TempDir()
		content, ends := written(t, dir, 5, 3, 100)
		at := random.IntN(ends[3])
		if content[at] == 0 && at > fileHeader { // padding or a length: make sure that it matters
			continue
		}
		content[at] ^= 0x41
		if err := os.WriteFile(newest(t, dir), content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := openWAL(quiet(dir), dir)
		if err == nil || !strings.Contains(err.Error(), "is damaged at byte") || !strings.Contains(err.Error(), newest(t, dir)) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// A crash after a file was sealed and before the metadata said so: raft-wal alone would take no write ever again.
func TestCrashBetweenFiles(t *testing.T) {
	dir := t.TempDir()
	content, ends := written(t, dir, 3, 10, 1000)
	if len(ends) != 3 {
		t.Fatal("the file is full already")
	}
	meta, err := os.ReadFile(filepath.Join(dir, "wal-meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	name := newest(t, dir)
	log, closer, err := openWAL(quiet(dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.StoreLogs(entries(31, 34, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := closer(); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	index := scan(full).index
	if index == 0 {
		t.Fatal("the file is not full")
	}
	back := func(t *testing.T, content []byte) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "wal-meta.db"), meta, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("whole", func(t *testing.T) {
		dir := back(t, full)
		holds(t, dir, 64)
		holds(t, dir, 65)
	})
	t.Run("torn", func(t *testing.T) { // the index is there, but not all of the entries
		torn := bytes.Clone(full)
		clear(torn[len(content[:ends[2]])+2000 : ends[2]+3000])
		dir := back(t, torn)
		holds(t, dir, 30)
		holds(t, dir, 31)
	})
	t.Run("commit lost", func(t *testing.T) {
		torn := bytes.Clone(full)
		clear(torn[index+4*64:])
		dir := back(t, torn)
		holds(t, dir, 30)
		holds(t, dir, 31)
	})
	t.Run("without mending", func(t *testing.T) { // the reason for all this: delete mend once this fails
		log, err := wal.Open(back(t, full), wal.WithSegmentSize(64<<10), wal.WithLogger(hclog.NewNullLogger()))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		if err := log.StoreLogs(entries(65, 1, 10)); err == nil {
			t.Error("raft-wal completes the change of files by itself now")
		}
	})
}

// Entries of all sizes around what is read at once come back as they were, from the newest file and from full ones.
func TestReadsOfAllSizes(t *testing.T) {
	dir := t.TempDir()
	c := quiet(dir)
	c.SegmentSize = 512 << 10
	log, closer, err := openWAL(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, around := range []int{0, frugalRead, walRead, 2 * walRead} {
		for size := max(0, around-60); size < around+10; size++ {
			sizes = append(sizes, size)
		}
	}
	data := func(i int) []byte { return bytes.Repeat([]byte{1, 0, 0, 0}, sizes[i]/4+1)[:sizes[i]] }
	for i := range sizes {
		if err := log.StoreLog(&raft.Log{Index: uint64(i + 1), Term: 1, Data: data(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i := range sizes {
			var e raft.Log
			if err := log.GetLog(uint64(i+1), &e); err != nil || !bytes.Equal(e.Data, data(i)) {
				t.Fatalf("%d bytes: %d bytes, %v", sizes[i], len(e.Data), err)
			}
		}
		if err := closer(); err != nil {
			t.Fatal(err)
		}
		if log, closer, err = openWAL(c, dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := closer(); err != nil {
		t.Fatal(err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	commit := binary.LittleEndian.AppendUint32([]byte{segment.FrameCommit, 0, 0, 0}, 0)
	f.Add(append(make([]byte, fileHeader), commit...))
	f.Add(append(make([]byte, fileHeader), segment.FrameEntry, 0, 0, 0, 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, content []byte) {
		s := scan(content)
		if s.end > len(content) || s.index > len(content) {
			t.Error(fmt.Sprint(s))
		}
	})
}
