package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"lictor/atrest"
	"lictor/durable"
)

// Encryption at rest lies right above the backends: what they store is sealed, and all above sees plaintext. So a conversion
// moves entries as they are, and the checksums of files are over what is in the files. What is plaintext is read, too, which
// is how it is turned on and off over a directory that is there.

// sealing is what the log and the snapshots of one directory share.
type sealing struct {
	ring   *atrest.Ring
	dir    string
	stable *boltdb.BoltStore

	mu     sync.Mutex // held while marked becomes true
	marked atomic.Bool
}

var (
	// sealedKey is set in raft.db before anything is sealed: starts look closely from then on, and only then.
	sealedKey = []byte("EncryptedAtRest")
	// compactKey is set in raft.db if it may have, in pages that are free, what is not to be there any more.
	compactKey = []byte("CompactAtStart")
	markSet    = []byte("yes")
)

func openSealing(c *Config, stable *boltdb.BoltStore) (*sealing, error) {
	s := &sealing{ring: c.AtRest, dir: c.Dir, stable: stable}
	set, err := isSet(stable, sealedKey)
	s.marked.Store(set)
	return s, err
}

func isSet(stable *boltdb.BoltStore, key []byte) (bool, error) {
	value, err := stable.Get(key)
	if errors.Is(err, boltdb.ErrKeyNotFound) {
		return false, nil
	}
	return len(value) > 0, err
}

// mark makes sure that starts know of what is to be sealed.
func (s *sealing) mark() error {
	if s.marked.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marked.Load() {
		return nil
	}
	for _, key := range [][]byte{compactKey, sealedKey} { // an earlier log may have been in raft.db
		if err := s.stable.Set(key, markSet); err != nil {
			return fmt.Errorf("write down that there is encryption: %w", err)
		}
	}
	s.marked.Store(true)
	return nil
}

// check refuses what cannot be read, before Raft looks for something that can.
func (s *sealing) check(log raft.LogStore, snapshots raft.SnapshotStore) error {
	if !s.marked.Load() {
		return nil
	}
	keys := s.ring.Keys()
	return s.look(log, snapshots, func(entry uint64, what string, id atrest.ID, sealed bool) error {
		if !sealed {
			return nil
		}
		if err := keys.Has(id); err != nil && entry == 0 {
			return fmt.Errorf("%s in %s cannot be read: %w", what, s.dir, err)
		} else if err != nil {
			return fmt.Errorf("entry %d of %s in %s cannot be read: %w", entry, what, s.dir, err)
		}
		return nil
	})
}

// look tells with which key each snapshot, as entry 0, and each entry is sealed.
func (s *sealing) look(log raft.LogStore, snapshots raft.SnapshotStore, tell func(entry uint64, what string, id atrest.ID, sealed bool) error) error {
	have, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list the snapshots: %w", err)
	}
	for _, meta := range have {
		head, err := headOf(filepath.Join(s.dir, "snapshots", meta.ID, stateFile))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed by now
		}
		if err != nil {
			return err
		}
		id, sealed := atrest.StreamKey(head)
		if err := tell(0, "snapshot "+meta.ID, id, sealed); err != nil {
			return err
		}
	}
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	for i := first; i <= last; i++ {
		var e raft.Log
		if err := log.GetLog(i, &e); errors.Is(err, raft.ErrLogNotFound) {
			continue
		} else if err != nil {
			return fmt.Errorf("read entry %d: %w", i, err)
		}
		id, sealed := atrest.KeyOf(e.Data)
		if err := tell(i, "the log", id, sealed); err != nil {
			return err
		}
	}
	return nil
}

func headOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(file, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// sealedBatch is how many bytes of memory are kept from one batch to the next.
const sealedBatch = 1 << 20

// A sealedLog is a raft.LogStore that seals what another one stores.
type sealedLog struct {
	raft.LogStore
	*sealing

	writes sync.RWMutex // held to write; guards what follows
	text   []byte       // memory for one entry
	buffer []byte       // memory for a batch
}

// A separator is an entry that is written behind the last one and deleted at once: with that a write-ahead log begins a new
// file. A crash may leave it behind; it is deleted before anybody sees it.
const separator raft.LogType = 0xfe

// IsMonotonic tells what the store is: Raft asks for it.
func (l *sealedLog) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// placeOf is where an entry belongs.
func placeOf(e *raft.Log) []byte {
	place := append(make([]byte, 0, 24), "entry"...)
	place = binary.BigEndian.AppendUint64(place, e.Index)
	place = binary.BigEndian.AppendUint64(place, e.Term)
	return append(place, byte(e.Type))
}

// GetLog reads an entry.
func (l *sealedLog) GetLog(index uint64, into *raft.Log) error {
	if err := l.LogStore.GetLog(index, into); err != nil || !atrest.Sealed(into.Data) {
		return err
	}
	text, err := l.ring.Keys().Open(into.Data, placeOf(into))
	if err != nil {
		return fmt.Errorf("entry %d of the log in %s cannot be read: %w", index, l.dir, err)
	}
	size, n := binary.Uvarint(text)
	if n <= 0 || size > uint64(len(text)-n) || into.Index != index {
		return fmt.Errorf("entry %d of the log in %s cannot be read: %w", index, l.dir, atrest.ErrDamaged)
	}
	into.Data, into.Extensions = text[n:n+int(size):n+int(size)], text[n+int(size):]
	if len(into.Data) == 0 {
		into.Data = nil
	}
	if len(into.Extensions) == 0 {
		into.Extensions = nil
	}
	return nil
}

// LastIndex is the index of the last entry, or 0.
func (l *sealedLog) LastIndex() (uint64, error) {
	l.writes.RLock()
	defer l.writes.RUnlock()
	return l.LogStore.LastIndex()
}

// StoreLog stores one entry.
func (l *sealedLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs seals and stores entries, which it does not change.
func (l *sealedLog) StoreLogs(entries []*raft.Log) error {
	l.writes.Lock()
	defer l.writes.Unlock()
	keys := l.ring.Keys()
	if _, ok := keys.Writes(); !ok {
		return l.LogStore.StoreLogs(entries)
	}
	if err := l.mark(); err != nil {
		return err
	}
	copies := make([]raft.Log, len(entries))
	sealed := make([]*raft.Log, len(entries))
	l.buffer = l.buffer[:0]
	for i, e := range entries {
		l.text = binary.AppendUvarint(l.text[:0], uint64(len(e.Data)))
		l.text = append(append(l.text, e.Data...), e.Extensions...)
		from := len(l.buffer)
		l.buffer = keys.Seal(l.buffer, l.text, placeOf(e))
		copies[i] = *e
		copies[i].Data, copies[i].Extensions = l.buffer[from:len(l.buffer):len(l.buffer)], nil
		sealed[i] = &copies[i]
	}
	if cap(l.buffer) > sealedBatch {
		l.buffer = nil
	}
	if cap(l.text) > sealedBatch {
		l.text = nil
	}
	return l.LogStore.StoreLogs(sealed)
}

// DeleteRange deletes entries.
func (l *sealedLog) DeleteRange(from, to uint64) error {
	l.writes.Lock()
	defer l.writes.Unlock()
	return l.LogStore.DeleteRange(from, to)
}

// cut makes the log begin a new file, and tells the index of the last entry before it. Once all up to there is deleted, no
// file has any of it.
func (l *sealedLog) cut() (uint64, error) {
	l.writes.Lock()
	defer l.writes.Unlock()
	last, err := l.LogStore.LastIndex()
	if err != nil || last == 0 || !l.IsMonotonic() {
		return last, err
	}
	if err := l.LogStore.StoreLogs([]*raft.Log{{Index: last + 1, Type: separator}}); err != nil {
		return 0, err
	}
	return last, l.LogStore.DeleteRange(last+1, last+1)
}

// mend deletes a separator that a crash has left.
func (l *sealedLog) mend() error {
	last, err := l.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	var e raft.Log
	if err := l.LogStore.GetLog(last, &e); err != nil || e.Type != separator {
		return err
	}
	return l.DeleteRange(last, last)
}

// sealedSnapshots is a raft.SnapshotStore that seals what another one keeps in files. What it tells of a snapshot is the size
// of what is in it. The description of a snapshot (which index, which servers) stays plaintext.
type sealedSnapshots struct {
	raft.SnapshotStore
	*sealing
}

func placeOfSnapshot(index, term uint64) []byte {
	place := binary.BigEndian.AppendUint64([]byte("snapshot"), index)
	return binary.BigEndian.AppendUint64(place, term)
}

// Create begins a snapshot.
func (s sealedSnapshots) Create(v raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	keys := s.ring.Keys()
	if _, ok := keys.Writes(); ok {
		if err := s.mark(); err != nil {
			return nil, err
		}
	}
	sink, err := s.SnapshotStore.Create(v, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	w, err := keys.NewWriter(sink, placeOfSnapshot(index, term))
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	if w == nil {
		return sink, nil
	}
	return &sealedSink{sink, w}, nil
}

// Open opens a snapshot.
func (s sealedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, file, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	head, err := headOf(filepath.Join(s.dir, "snapshots", id, stateFile))
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	text, err := s.ring.Keys().NewReader(file, placeOfSnapshot(meta.Index, meta.Term))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("snapshot %s in %s cannot be read: %w", id, s.dir, err), file.Close())
	}
	if _, sealed := atrest.StreamKey(head); sealed {
		plain := *meta
		plain.Size = atrest.PlainSize(meta.Size)
		meta = &plain
	}
	return meta, opened{text, file}, nil
}

type opened struct {
	io.Reader
	io.Closer
}

// A sealedSink seals a snapshot as it is written.
type sealedSink struct {
	raft.SnapshotSink
	w *atrest.Writer
}

// Write implements io.Writer.
func (s *sealedSink) Write(p []byte) (int, error) { return s.w.Write(p) }

// Close ends the snapshot. It may be called twice, and after Cancel.
func (s *sealedSink) Close() error {
	if err := s.w.Close(); err != nil {
		return errors.Join(err, s.Cancel())
	}
	return s.SnapshotSink.Close()
}

// compact writes raft.db anew, without what is in its free pages, if that is due. It is closed.
func compact(path string) error {
	next := path + ".tmp"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	from, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	to, err := bbolt.Open(next, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	err = bbolt.Compact(to, from, 4<<20)
	if err == nil {
		err = to.Update(func(tx *bbolt.Tx) error {
			if b := tx.Bucket([]byte("conf")); b != nil { // where raft-boltdb has what is not the log
				return b.Delete(compactKey)
			}
			return nil
		})
	}
	if err = errors.Join(err, to.Close(), from.Close()); err != nil {
		return fmt.Errorf("write %s anew: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
