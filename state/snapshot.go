package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/tinylib/msgp/msgp"
)

// A snapshot is a stream of MessagePack:
//
//	+--------+---------+     +------------+-----------+     +------------+
//	| magic  | version | ... | table name | row (map) | ... | "" the end |
//	| string | uint    |     | string     |           |     |            |
//	+--------+---------+     +------------+-----------+     +------------+
//
// Rows come table by table in the order of the tables' list. A reader skips fields that it does not know, and refuses
// tables that it does not know. The keys of maps in rows are sorted: see canonical.go.
const (
	snapshotMagic   = "lictor-state"
	snapshotVersion = 1
)

// A Snapshot is the state of one moment. It costs nothing to take and holds up nobody.
type Snapshot struct {
	db    *DB
	roots []*node
}

// Snapshot takes the state of this moment.
func (db *DB) Snapshot() *Snapshot {
	return &Snapshot{db: db, roots: *db.live.Load().roots.Load()}
}

// WriteTo streams the snapshot, in memory that does not grow with its size.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriterSize(w, 256<<10)}
	buf := msgp.AppendUint(msgp.AppendString(nil, snapshotMagic), snapshotVersion)
	if err := out.write(buf); err != nil {
		return out.n, err
	}
	var raw []byte
	for _, t := range s.db.tables {
		shuffled := hasMaps(reflect.TypeOf(t.newRow()), map[reflect.Type]bool{})
		var err error
		s.roots[s.db.slots[t.identity()]].walk(func(row any) bool {
			buf = msgp.AppendString(buf[:0], t.Name())
			if shuffled {
				if raw, err = row.(Row).MarshalMsg(raw[:0]); err == nil {
					buf, _, err = appendSorted(buf, raw)
				}
			} else {
				buf, err = row.(Row).MarshalMsg(buf)
			}
			if err != nil {
				err = fmt.Errorf("encode a row of %s: %w", t.Name(), err)
			} else {
				err = out.write(buf)
			}
			return err == nil
		})
		if err != nil {
			return out.n, err
		}
	}
	if err := out.write(msgp.AppendString(buf[:0], "")); err != nil {
		return out.n, err
	}
	return out.n, out.w.Flush()
}

type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) write(b []byte) error {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return err
}

// ErrDamaged tells that a snapshot is not one, or is not whole.
var ErrDamaged = errors.New("the snapshot is damaged")

// Restore replaces the whole state by that of the stream and wakes every watcher. If it fails nothing has changed.
func (db *DB) Restore(r io.Reader) error {
	tx := &Tx{db: db, edit: newEdit(&db.owners)}
	tx.edit.start(db.empty())
	if err := db.load(tx, msgp.NewReaderSize(r, 256<<10)); err != nil {
		return err
	}
	g := newGeneration(tx.edit.roots())
	db.writer.Lock()
	defer db.writer.Unlock()
	db.showing.Lock()
	defer db.showing.Unlock()
	old := db.live.Swap(g)
	close(old.abandoned)
	return nil
}

// Stamp writes into a snapshot that it is restored at a log index, which Tx.Floor tells from then on. It returns how long
// the snapshot is then, in bytes. The snapshot must be one that Verify accepts.
func Stamp(snapshot io.WriteSeeker, index uint64) (int64, error) {
	const end = 1 // bytes of the empty name
	if _, err := snapshot.Seek(-end, io.SeekEnd); err != nil {
		return 0, err
	}
	row, err := (&indexRow{restoredIndex, index}).MarshalMsg(msgp.AppendString(nil, indexes.Name()))
	if err != nil {
		return 0, err
	}
	if _, err := snapshot.Write(msgp.AppendString(row, "")); err != nil {
		return 0, err
	}
	return snapshot.Seek(0, io.SeekCurrent)
}

// Verify reads a snapshot to its end and tells whether Restore would accept it for these tables.
func Verify(r io.Reader, tables ...AnyTable) error {
	return scan(msgp.NewReaderSize(r, 256<<10), append([]AnyTable{indexes}, tables...), AnyTable.check)
}

func (db *DB) load(tx *Tx, in *msgp.Reader) error {
	return scan(in, db.tables, func(t AnyTable, row Row) error { return t.load(tx, row) })
}

// maxName bounds the names of tables, in bytes.
const maxName = 1 << 10

// scan reads a snapshot and visits its rows.
func scan(in *msgp.Reader, known []AnyTable, visit func(AnyTable, Row) error) error {
	in.SetMaxStringLength(maxName)
	if magic, err := in.ReadString(); err != nil || magic != snapshotMagic {
		return fmt.Errorf("%w: it does not begin as one that Lictor has saved", ErrDamaged)
	}
	if v, err := in.ReadUint(); err != nil || v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this server reads version %d", ErrDamaged, v, snapshotVersion)
	}
	tables := map[string]AnyTable{}
	for _, t := range known {
		tables[t.Name()] = t
	}
	var raw bytes.Buffer
	for {
		name, err := in.ReadString()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if name == "" {
			return atEnd(in)
		}
		t := tables[name]
		if t == nil {
			return fmt.Errorf("%w: it has a table %q that this server does not know", ErrDamaged, name)
		}
		row, err := readRow(in, t, &raw)
		if err == nil {
			err = visit(t, row)
		}
		if err != nil {
			return fmt.Errorf("%w: table %s: %w", ErrDamaged, name, err)
		}
	}
}

// atEnd refuses what comes behind the end.
func atEnd(in *msgp.Reader) error {
	if _, err := in.R.Peek(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it goes on behind its end", ErrDamaged)
	}
	return nil
}

// readRow reads one row. What it takes of memory grows with what has arrived, not with the lengths that the stream
// claims; after that all lengths are known to be true.
func readRow(in *msgp.Reader, t AnyTable, raw *bytes.Buffer) (Row, error) {
	raw.Reset()
	if _, err := in.CopyNext(raw); err != nil {
		return nil, err
	}
	row := t.newRow()
	_, err := row.UnmarshalMsg(raw.Bytes())
	return row, err
}
