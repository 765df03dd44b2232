package raftstore

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"lictor/durable"
)

// raft-wal reads 64 KiB from a file for each entry, of which most are a few hundred bytes, and a start reads all
// entries behind the newest snapshot, twice. frugal is a file system that reads a little first and says that the file
// ends there if that holds the whole entry, which raft-wal is prepared for: 100,000 entries are replayed in less than
// half of the time.
//
// It must be sure that it is asked for an entry and not for the rest of a long one, which may happen to be 64 KiB, too:
// a frame of an entry begins with the bytes 1 0 0 0, and the content of an entry never does, as it begins with the
// entry's index and term, two numbers above zero in seven bits a byte.
type frugal struct {
	*walfs.FS
	open    atomic.Bool             // the log has been opened; before that it reads whole batches
	reached func(step string) error // of tests; may be nil
}

const (
	walRead    = 64 << 10 // what raft-wal asks for
	frugalRead = 1 << 10
)

// Create creates a file, or leaves none.
func (f *frugal) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.FS.Create(dir, name, size)
	if err == nil && f.reached != nil {
		if err = f.reached("create"); err != nil {
			err = errors.Join(err, file.Close())
		}
	}
	if err != nil {
		_ = os.Remove(filepath.Join(dir, name)) // there may be none
		return nil, err
	}
	return &frugalFile{WritableFile: file, fs: f}, nil
}

// OpenWriter opens a file. A crash may have come before its name was durable, which raft-wal makes sure of for a file
// only that it has created itself.
func (f *frugal) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.FS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &frugalFile{WritableFile: file, fs: f}, nil
}

func (f *frugal) OpenReader(dir, name string) (types.ReadableFile, error) {
	file, err := f.FS.OpenReader(dir, name)
	return frugalReader{file, &f.open}, err
}

// A frugalFile is a file that is written. Once a sync of it has failed it takes nothing any more: the kernel forgets the
// pages that it could not write, and the next sync succeeds without them, so that it proves nothing. See renewed.
type frugalFile struct {
	types.WritableFile
	fs       *frugal
	unsynced atomic.Bool // a sync has failed
}

// errUnsynced tells that a sync of the file has failed before.
var errUnsynced = errors.New("an earlier sync of this file failed")

func (f *frugalFile) ReadAt(p []byte, at int64) (int, error) {
	return readFrugally(f.WritableFile, p, at, f.fs.open.Load())
}

// WriteAt writes, unless a sync has failed.
func (f *frugalFile) WriteAt(p []byte, at int64) (int, error) {
	if f.unsynced.Load() {
		return 0, errUnsynced
	}
	return f.WritableFile.WriteAt(p, at)
}

// Sync makes what was written durable, or ends the use of the file.
func (f *frugalFile) Sync() error {
	if f.unsynced.Load() {
		return errUnsynced
	}
	err := f.WritableFile.Sync()
	if err == nil && f.fs.reached != nil {
		err = f.fs.reached("sync")
	}
	if err != nil {
		f.unsynced.Store(true)
	}
	return err
}

type frugalReader struct {
	types.ReadableFile
	open *atomic.Bool
}

func (f frugalReader) ReadAt(p []byte, at int64) (int, error) {
	return readFrugally(f.ReadableFile, p, at, f.open.Load())
}

func readFrugally(from io.ReaderAt, p []byte, at int64, open bool) (int, error) {
	if len(p) != walRead || !open {
		return from.ReadAt(p, at)
	}
	n, err := from.ReadAt(p[:frugalRead], at)
	if err == nil && binary.LittleEndian.Uint32(p) == uint32(segment.FrameEntry) &&
		frameHeader+uint64(binary.LittleEndian.Uint32(p[4:])) <= uint64(n) {
		return n, io.EOF
	}
	return from.ReadAt(p, at)
}
