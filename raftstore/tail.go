package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// A tail is the newest file of the write-ahead log. A crash may leave three things in it that raft-wal 0.4 does not
// finish by itself, and that mend puts in order before the log is opened:
//
//   - A file that is full and sealed, while the metadata do not say so yet. raft-wal would open it and refuse every
//     write from then on. The change to the next file is completed.
//   - A write that was torn, with bytes of it behind the last whole batch. No write in them was acknowledged, as a batch
//     is acknowledged after its fsync. raft-wal writes over them, but only as far as the next batch reaches. They are
//     wiped, so that no later start can take them for anything.
//   - Damage in the middle. A batch is written only after the one before it is durable, so whole batches behind a
//     broken one say that it was whole once, and may have been acknowledged. raft-wal would silently go back to before
//     the damage; mend refuses.
//
// The layout of a file, as raft-wal documents it:
//
//	| header, 32 bytes | batch | batch | ... | zeros or nothing |
//	batch: | entry | ... | index, in the last batch of a full file | commit |
//	frame: | type, 3 x 0 | length (entry, index) or CRC of the batch (commit) | payload, padded to 8 bytes |
type tail struct {
	dir  string
	meta *metadb.BoltMetaDB
	size int // of the next file
	log  *slog.Logger
}

const (
	fileHeader  = 32
	frameHeader = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mend puts the newest file in order. It leaves the metadata open.
func (t *tail) mend() error {
	state, err := t.meta.Load(t.dir)
	if err != nil || len(state.Segments) == 0 {
		return err
	}
	newest := &state.Segments[len(state.Segments)-1]
	if !newest.SealTime.IsZero() {
		return nil
	}
	file, err := os.OpenFile(filepath.Join(t.dir, segment.FileName(*newest)), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // not created yet
	}
	if err != nil {
		return err
	}
	defer file.Close()
	content, unmap, err := mapped(file)
	if err != nil {
		return err
	}
	found := scan(content)
	dirty := found.end < len(content)
	batch := bytes.Clone(content[min(found.last, found.end):found.end])
	unmap()
	if found.damaged {
		return fmt.Errorf("%s is damaged at byte %d, and whole entries follow that may have been acknowledged: restore this server's "+
			"raft directory from a copy, or remove it and restore a snapshot", file.Name(), found.end)
	}
	if last := newest.BaseIndex + uint64(found.entries) - 1; found.entries > 0 && last < newest.MinIndex {
		return fmt.Errorf("%s is damaged: it ends with entry %d, but entry %d was in it once: restore this server's raft directory "+
			"from a copy, or remove it and restore a snapshot", file.Name(), last, newest.MinIndex)
	}
	if err := again(file, batch, found.last); err != nil {
		return err
	}
	if dirty {
		if err := t.wipe(file, found.end); err != nil {
			return err
		}
	}
	if found.index == 0 {
		return nil
	}
	return t.rotate(state, found)
}

// mapped makes the content of a file readable, up to the last byte that is not zero. Most of a young file is a hole,
// which is not read.
func mapped(file *os.File) (content []byte, unmap func(), err error) {
	end, err := dataEnd(file)
	if err != nil || end == 0 {
		return nil, func() {}, err
	}
	all, err := syscall.Mmap(int(file.Fd()), 0, end, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map %s: %w", file.Name(), err)
	}
	for end > 0 && all[end-1] == 0 {
		end--
	}
	return all[:min((end+frameHeader-1)/frameHeader*frameHeader, len(all))], func() { _ = syscall.Munmap(all) }, nil
}

// dataEnd is where the last hole of a file begins.
func dataEnd(file *os.File) (int, error) {
	const seekData, seekHole = 3, 4
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	end := int64(0)
	for end < info.Size() {
		at, err := file.Seek(end, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break
		}
		if err != nil { // a file system without holes
			return int(info.Size()), nil
		}
		if end, err = file.Seek(at, seekHole); err != nil {
			return int(info.Size()), nil
		}
	}
	return int(end), nil
}

// again writes the last batch once more. A process that has ended with a sync that failed may have left it in the memory
// of the kernel alone, which would never write it.
func again(file *os.File, batch []byte, at int) error {
	if len(batch) == 0 {
		return nil
	}
	if _, err := file.WriteAt(batch, int64(at)); err != nil {
		return err
	}
	return file.Sync()
}

// wipe makes zeros of all behind the last whole batch.
func (t *tail) wipe(file *os.File, end int) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	t.log.Info("the log ends with a write that was cut short, and that nobody was told of: it is dropped", "file", file.Name(), "at", end)
	if err := file.Truncate(int64(end)); err != nil {
		return err
	}
	if err := file.Truncate(info.Size()); err != nil {
		return err
	}
	return file.Sync()
}

// rotate completes the change to the next file, which the log creates when it is opened.
func (t *tail) rotate(state types.PersistentState, found scanned) error {
	full := &state.Segments[len(state.Segments)-1]
	full.SealTime = time.Now()
	full.MaxIndex = full.BaseIndex + uint64(found.entries) - 1
	full.IndexStart = uint64(found.index)
	next := types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: full.MaxIndex + 1, MinIndex: full.MaxIndex + 1,
		SizeLimit: uint32(t.size), Codec: full.Codec, CreateTime: full.SealTime,
	}
	state.NextSegmentID++
	state.Segments = append(state.Segments, next)
	return t.meta.CommitState(state)
}

// scanned is what a file holds.
type scanned struct {
	end     int  // of the last whole batch
	last    int  // where that begins
	entries int  // in whole batches
	index   int  // where the index begins; 0 if the file is not full
	damaged bool // whole batches follow one that is broken
}

func scan(content []byte) scanned {
	var s scanned
	for s.index == 0 {
		b, ok := nextBatch(content, max(s.end, fileHeader), s.end)
		if !ok {
			break
		}
		s.last = max(s.end, fileHeader)
		s.end, s.index = b.end, b.index
		s.entries += b.entries
	}
	if s.index == 0 {
		s.damaged = wholeBatchAfter(content, max(s.end, fileHeader))
	}
	return s
}

// wholeBatchAfter looks for a batch that is whole and comes right after the end of another one.
func wholeBatchAfter(content []byte, from int) bool {
	for at := from; at+frameHeader <= len(content); at += frameHeader {
		if content[at] != segment.FrameCommit {
			continue
		}
		if b, ok := nextBatch(content, at+frameHeader, at+frameHeader); ok && b.entries > 0 {
			return true
		}
	}
	return false
}

type batch struct{ end, entries, index int }

// nextBatch reads one batch whose frames begin at from and whose CRC covers all since sum.
func nextBatch(content []byte, from, sum int) (b batch, ok bool) {
	for at := from; at+frameHeader <= len(content); {
		if content[at+1]|content[at+2]|content[at+3] != 0 {
			return b, false
		}
		word := binary.LittleEndian.Uint32(content[at+4:])
		switch content[at] {
		case segment.FrameCommit:
			b.end = at + frameHeader
			return b, crc32.Checksum(content[sum:at], castagnoli) == word
		case segment.FrameEntry:
			b.entries++
		case segment.FrameIndex:
			b.index = at + frameHeader
		default:
			return b, false
		}
		at += frameHeader + (int(word)+frameHeader-1)/frameHeader*frameHeader
	}
	return b, false
}
