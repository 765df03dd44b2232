//go:build crash

package crash

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// A batch is what the log has written at once: frames of 8 bytes of header and a payload, padded to 8 bytes, of the
// types entry (1), index (2, in the last batch of a full file) and commit (3, the last frame).
type batch struct {
	begin, end int
	index      bool
	deletes    bool           // a key: that bears no mark
	marks      map[string]int // the highest number of each item
}

// A deletion is known by the field that follows its key.
var deletion = regexp.MustCompile(`del/\d+/\d+.Recurse`)

// batches takes a file of the log apart.
func batches(content []byte) []batch {
	var all []batch
	b := batch{begin: 32, marks: map[string]int{}}
	for at := 32; at+8 <= len(content); {
		length := int(binary.LittleEndian.Uint32(content[at+4:]))
		switch content[at] {
		case 1:
			if at+8+length > len(content) {
				return all
			}
			b.deletes = b.deletes || deletion.Match(content[at+8:at+8+length])
			for _, m := range mark.FindAllSubmatch(content[at+8:at+8+length], -1) {
				n, _ := strconv.Atoi(string(m[2]))
				b.marks[string(m[1])] = max(b.marks[string(m[1])], n)
			}
		case 2:
			b.index = true
		case 3:
			b.end = at + 8
			all = append(all, b)
			b = batch{begin: b.end, marks: map[string]int{}}
			length = 0
		default:
			return all
		}
		at += 8 + (length+7)/8*8
	}
	return all
}

func files(t *testing.T, data string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "raft", "wal", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatal("no log: ", names, err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tear plays a write that was under way when the power went: it damages the newest file behind the last write that was
// acknowledged, and tells what it did.
func tear(t *testing.T, random *rand.Rand, data string, clients []*client) string {
	t.Helper()
	names := files(t, data)
	name := names[len(names)-1]
	content := read(t, name)
	all := batches(content)
	if len(all) == 0 || all[len(all)-1].index {
		return "left alone: the newest file is empty or full"
	}
	last := all[len(all)-1]
	safe := 32
	for _, b := range all {
		if hasAcked(b, clients) {
			safe = b.end
		}
	}
	if safe == 32 {
		return "left alone: nothing in it was acknowledged"
	}
	switch random.IntN(3) {
	case 0:
		at := safe + random.IntN(last.end-safe+4096)
		write(t, name, content[:min(at, len(content))])
		return fmt.Sprintf("cut at %d, %d bytes behind the last acknowledged write", at, at-safe)
	case 1:
		if last.begin >= safe {
			at := last.begin + random.IntN(last.end-last.begin)
			content[at] ^= byte(1 + random.IntN(255))
			write(t, name, content)
			return fmt.Sprintf("garbled at %d in the write under way", at)
		}
		fallthrough
	default:
		return appendTorn(t, random, name, content, last)
	}
}

// appendTorn plays a write that was only begun behind the last whole one.
func appendTorn(t *testing.T, random *rand.Rand, name string, content []byte, last batch) string {
	t.Helper()
	torn := content[last.begin : last.begin+1+random.IntN(last.end-last.begin-1)]
	grown := append(append([]byte(nil), content[:last.end]...), torn...)
	if rest := last.end + len(torn); rest < len(content) {
		grown = append(grown, content[rest:]...)
	}
	write(t, name, grown)
	return fmt.Sprintf("%d of %d bytes of another write appended", len(torn), last.end-last.begin)
}

// hasAcked tells whether a batch has a write that was acknowledged, or may have been.
func hasAcked(b batch, clients []*client) bool {
	if b.deletes {
		return true
	}
	for _, c := range clients {
		for _, i := range c.items {
			if n, ok := b.marks[i.name]; ok && n <= i.acked {
				return true
			}
		}
	}
	return false
}

// A break is damage anywhere in the newest file, as a failing disk does it.
type breakage struct {
	what     string
	detected bool           // the server can tell and must refuse
	least    map[string]int // what it must have if it starts: all that was written before
}

// smash damages the newest file anywhere; ok is false if it is too young.
func smash(t *testing.T, random *rand.Rand, data string) (b breakage, ok bool) {
	t.Helper()
	names := files(t, data)
	name := names[len(names)-1]
	content := read(t, name)
	all := batches(content)
	if len(all) < 3 || all[len(all)-1].index {
		return b, false
	}
	b.least = map[string]int{}
	keep := func(whole []batch) {
		for _, w := range whole {
			for i, n := range w.marks {
				b.least[i] = max(b.least[i], n)
			}
		}
	}
	for _, n := range names[:len(names)-1] {
		keep(batches(read(t, n)))
	}
	if random.IntN(2) == 0 {
		at := 32 + random.IntN(all[len(all)-1].end-32)
		for n, w := range all {
			if w.end <= at {
				keep(all[n : n+1])
			}
		}
		b.what = fmt.Sprintf("cut at %d of %d", at, all[len(all)-1].end)
		write(t, name, content[:at])
		return b, true
	}
	at := 32 + random.IntN(all[len(all)-2].begin-32+1) // at least one whole batch follows the one that is hit
	content[at] ^= byte(1 + random.IntN(255))
	b.what, b.detected = fmt.Sprintf("garbled at %d of %d", at, all[len(all)-1].end), true
	write(t, name, content)
	return b, true
}
