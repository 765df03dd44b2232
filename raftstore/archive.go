package raftstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"lictor/state"
)

// An archive is what operators save and restore, laid out as Consul's: a gzip'd tar of
//
//	meta.json   raft.SnapshotMeta
//	state.bin   the state, as package state streams it
//	SHA256SUMS  "<hex>  <name>\n" for each of the two
const (
	metaFile  = "meta.json"
	stateFile = "state.bin"
	sumsFile  = "SHA256SUMS"
	maxMeta   = 1 << 20 // bytes of meta.json and of SHA256SUMS
)

// writeArchive streams a snapshot into an archive.
func writeArchive(w io.Writer, meta *raft.SnapshotMeta, content io.Reader) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	description, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("encode %s: %w", metaFile, err)
	}
	var sums strings.Builder
	add := func(name string, size int64, r io.Reader) error {
		sum := sha256.New()
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: time.Now()}); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := io.CopyN(io.MultiWriter(t, sum), r, size); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), name)
		return nil
	}
	if err := add(metaFile, int64(len(description)), bytes.NewReader(description)); err != nil {
		return err
	}
	if err := add(stateFile, meta.Size, content); err != nil {
		return err
	}
	if err := add(sumsFile, int64(sums.Len()), strings.NewReader(sums.String())); err != nil {
		return err
	}
	return errors.Join(t.Close(), z.Close())
}

// An archived snapshot that has been read whole and found undamaged. The caller closes it.
type archived struct {
	meta  raft.SnapshotMeta
	state *os.File // unlinked, at its beginning
}

func (a *archived) close() error { return a.state.Close() }

// readArchive reads an archive to its end into a temporary file in dir, and checks it.
func readArchive(r io.Reader, dir string) (*archived, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("failed to decompress snapshot: %w", err)
	}
	defer z.Close()
	file, err := unlinked(dir)
	if err != nil {
		return nil, err
	}
	a := &archived{state: file}
	err = a.read(tar.NewReader(z), func(r io.Reader) error { _, err := io.Copy(file, r); return err })
	if err == nil {
		_, err = io.Copy(io.Discard, z) // what follows the tar carries the checksum of the whole
	}
	if err != nil {
		a.close()
		return nil, fmt.Errorf("failed to read snapshot file: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// inMemory stands for a directory where plaintext may not be put on disk.
const inMemory = "\x00memory"

// scratch is where temporary files may be.
func (n *Node) scratch() string {
	if _, sealed := n.AtRest.Keys().Writes(); sealed {
		return inMemory
	}
	return n.Dir
}

// unlinked makes a temporary file that is gone once it is closed.
func unlinked(dir string) (*os.File, error) {
	if dir == inMemory {
		fd, err := unix.MemfdCreate("restore", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("make a file in memory: %w", err)
		}
		return os.NewFile(uintptr(fd), "restore"), nil
	}
	file, err := os.CreateTemp(dir, "restore-")
	if err != nil {
		return nil, err
	}
	os.Remove(file.Name())
	return file, nil
}

// read reads the files of an archive and checks their sums. keep is given the state, and reads it to its end.
func (a *archived) read(t *tar.Reader, keep func(io.Reader) error) error {
	found := map[string]hash.Hash{}
	var sums []byte
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("failed reading snapshot: %w", err)
		}
		sum := sha256.New()
		switch h.Name {
		case metaFile:
			if err := readMeta(t, sum, &a.meta); err != nil {
				return err
			}
		case stateFile:
			if found[metaFile] == nil || h.Size != a.meta.Size {
				return fmt.Errorf("%s has %d bytes, where %s must come first and tell how many", stateFile, h.Size, metaFile)
			}
			if err := keep(io.TeeReader(t, sum)); err != nil {
				return fmt.Errorf("failed to read or write snapshot data: %w", err)
			}
		case sumsFile:
			if sums, err = io.ReadAll(io.LimitReader(t, maxMeta)); err != nil {
				return fmt.Errorf("failed to read snapshot hashes: %w", err)
			}
			continue
		default:
			return fmt.Errorf("unexpected file %q in snapshot", h.Name)
		}
		found[h.Name] = sum
	}
	if err := verify(found, sums); err != nil {
		return fmt.Errorf("failed checking integrity of snapshot: %w", err)
	}
	return nil
}

// VerifyArchive reads an archive to its end, writes nothing, and tells of which index it is if a server would take it.
func VerifyArchive(r io.Reader) (uint64, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return 0, fmt.Errorf("failed to decompress snapshot: %w", err)
	}
	defer z.Close()
	a := &archived{}
	err = a.read(tar.NewReader(z), func(r io.Reader) error {
		if err := state.Verify(r, Tables()...); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err != nil {
		return 0, fmt.Errorf("failed to read snapshot file: %w", err)
	}
	return a.meta.Index, nil
}

func readMeta(r io.Reader, sum hash.Hash, into *raft.SnapshotMeta) error {
	b, err := io.ReadAll(io.LimitReader(r, maxMeta))
	if err != nil {
		return fmt.Errorf("failed to read snapshot metadata: %w", err)
	}
	sum.Write(b)
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("failed to decode snapshot metadata: %w", err)
	}
	return nil
}

// verify checks that the archive has its two files, each with the sum that is written down, and no others.
func verify(found map[string]hash.Hash, sums []byte) error {
	for _, name := range []string{metaFile, stateFile} {
		if found[name] == nil {
			return fmt.Errorf("file missing for %q", name)
		}
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || found[name] == nil {
			return fmt.Errorf("list of hashes has %q", strings.TrimSpace(line))
		}
		if hex.EncodeToString(found[name].Sum(nil)) != sum {
			return fmt.Errorf("hash check failed for %q", name)
		}
		listed[name] = true
	}
	for name := range found {
		if !listed[name] {
			return fmt.Errorf("list of hashes lacks %q", name)
		}
	}
	return nil
}
