package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// An archiveMeta is meta.json of a snapshot's archive.
type archiveMeta struct {
	ID      string
	Size    int64
	Index   uint64
	Term    uint64
	Version int
}

// archiveLimit bounds the small files of an archive.
const archiveLimit = 1 << 20

// readArchive reads a snapshot's archive to its end and checks that it is whole: a gzip'd tar of meta.json, state.bin
// and SHA256SUMS. read is given the state; what it leaves unread is read after it.
func readArchive(from io.Reader, read func(state io.Reader) error) (meta archiveMeta, err error) {
	z, err := gzip.NewReader(from)
	if err != nil {
		return meta, fmt.Errorf("failed to decompress snapshot: %w", err)
	}
	defer z.Close()
	sums := map[string]string{}
	listed := ""
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return meta, fmt.Errorf("failed to read snapshot file: %w", err)
		}
		sum := sha256.New()
		content := io.TeeReader(t, sum)
		switch h.Name {
		case "meta.json":
			err = json.NewDecoder(io.LimitReader(content, archiveLimit)).Decode(&meta)
		case "state.bin":
			err = read(content)
		case "SHA256SUMS":
			var text []byte
			text, err = io.ReadAll(io.LimitReader(t, archiveLimit))
			listed = string(text)
			if err == nil {
				continue
			}
		default:
			err = errors.New("it does not belong there")
		}
		if err == nil {
			_, err = io.Copy(io.Discard, content)
		}
		if err != nil {
			return meta, fmt.Errorf("failed to read snapshot file: %s: %w", h.Name, err)
		}
		sums[h.Name] = hex.EncodeToString(sum.Sum(nil))
	}
	return meta, checkSums(sums, listed)
}

// checkSums compares the sums of files with those that SHA256SUMS lists.
func checkSums(sums map[string]string, listed string) error {
	want := map[string]string{}
	for line := range strings.Lines(listed) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			want[name] = sum
		}
	}
	for _, name := range []string{"meta.json", "state.bin"} {
		if sums[name] == "" || sums[name] != want[name] {
			return fmt.Errorf("failed checking integrity of snapshot: hash check failed for %q", name)
		}
	}
	return nil
}

// A row is one of a table of the state: how long it is, and its key if it is a key and value.
type row struct {
	table string
	key   string
	size  int
}

// kind is what Consul calls the table's rows, for those that have a name there.
func (r row) kind() string {
	switch r.table {
	case "kvs":
		return "KVS"
	case "index":
		return "Index"
	case "nodes", "services", "checks":
		return "Register"
	case "tombstones":
		return "Tombstone"
	}
	return r.table
}

// readRows reads the state as package state streams it. A state that another program has written has no rows that can
// be told apart: it is one.
func readRows(from io.Reader, visit func(row) error) error {
	buffered := bufio.NewReader(from)
	const magic = "lictor-state"
	if head, _ := buffered.Peek(len(magic) + 1); !strings.HasSuffix(string(head), magic) {
		n, err := io.Copy(io.Discard, buffered)
		return errors.Join(err, visit(row{table: "of another program", size: int(n)}))
	}
	in := msgp.NewReader(buffered)
	if err := errors.Join(in.Skip(), in.Skip()); err != nil { // the magic text and the version
		return err
	}
	for {
		table, err := in.ReadString()
		if err != nil || table == "" {
			return err
		}
		var raw msgp.Raw
		if err := raw.DecodeMsg(in); err != nil {
			return err
		}
		r := row{table: table, size: len(raw)}
		if table == "kvs" {
			if key := msgp.Locate("Key", raw); len(key) > 0 {
				r.key, _, _ = msgp.ReadStringBytes(key)
			}
		}
		if err := visit(r); err != nil {
			return err
		}
	}
}
