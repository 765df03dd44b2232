package main

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"lictor/consulsnap"
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

// A row is one of the state, with its key if it is a key and value.
type row struct {
	kind string // as Consul calls such rows, where it has them
	key  string
	size int // bytes
	// value gives what the row holds, as JSON has it.
	value func() (any, error)
}

// kinds are what Consul calls the rows of tables.
var kinds = map[string]string{"kvs": "KVS", "index": "Index", "nodes": "Register", "services": "Register", "checks": "Register",
	"tombstones": "Tombstone", "sessions": "Session", "coordinates": "CoordinateBatchUpdate", "config-entries": "ConfigEntry",
	"autopilot-config": "Autopilot", "connect-ca-roots": "ConnectCA", "connect-ca-authority": "ConnectCAProviderState",
	"virtual-ips": "ServiceVirtualIP", "free-virtual-ips": "FreeVirtualIP"}

// readRows reads a state, one of ours or one that Consul has saved.
func readRows(from io.Reader, visit func(row) error) error {
	buffered := bufio.NewReader(from)
	head, _ := buffered.Peek(16)
	if consulsnap.Begins(head) {
		return readConsulRows(buffered, visit)
	}
	in := msgp.NewReader(buffered)
	if magic, err := in.ReadString(); err != nil || magic != "lictor-state" {
		return errors.New("neither Lictor nor Consul has saved this state")
	}
	if err := in.Skip(); err != nil { // the version
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
		r := row{kind: cmp.Or(kinds[table], table), size: len(raw), value: func() (any, error) {
			v, _, err := msgp.ReadIntfBytes(raw)
			return v, err
		}}
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

func readConsulRows(from io.Reader, visit func(row) error) error {
	in, err := consulsnap.NewReader(from)
	if err != nil {
		return err
	}
	for {
		saved, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := row{kind: saved.Kind.String(), size: 1 + len(saved.Raw), value: saved.JSON}
		if saved.Kind == consulsnap.KVS {
			fields, err := saved.Fields()
			if err != nil {
				return err
			}
			r.key = fields.String("Key")
		}
		if err := visit(r); err != nil {
			return err
		}
	}
}
