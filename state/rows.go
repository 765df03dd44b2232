package state

import (
	"errors"
	"fmt"
	"iter"

	"github.com/hashicorp/go-memdb"
)

// must reports misuse of a table: an index that does not exist, a write in a reading Tx, a key that is empty. Nothing
// that arrives from outside can cause one.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("state: %v", err))
	}
}

// Get finds the row with this key, or nil.
func (t *Table[T]) Get(tx *Tx, key string) *T { return t.First(tx, "id", key) }

// First finds the first row with this key in an index, or nil. On an index that is not unique the key must be made by
// Key.
func (t *Table[T]) First(tx *Tx, index, key string) *T {
	ch, row, err := tx.txn.FirstWatch(t.name, index, key)
	must(err)
	tx.watch.add(ch)
	if row == nil {
		return nil
	}
	return row.(*T)
}

// Last finds the last row of the whole index, or nil.
func (t *Table[T]) Last(tx *Tx, index string) *T {
	ch, row, err := tx.txn.LastWatch(t.name, index+"_prefix", "")
	must(err)
	tx.watch.add(ch)
	if row == nil {
		return nil
	}
	return row.(*T)
}

// All runs over the table in the order of its keys.
func (t *Table[T]) All(tx *Tx) iter.Seq[*T] { return t.Prefix(tx, "id", "") }

// Each runs over the rows with this key, which Key made, in an index, in the order of their primary keys.
func (t *Table[T]) Each(tx *Tx, index, key string) iter.Seq[*T] { return t.Prefix(tx, index, key) }

// Prefix runs over the rows whose key in an index begins with prefix, in the order of the keys. In a writing Tx the
// table may be changed meanwhile: the run sees it as it was at its begin.
func (t *Table[T]) Prefix(tx *Tx, index, prefix string) iter.Seq[*T] {
	it, err := tx.txn.Get(t.name, index+"_prefix", prefix)
	must(err)
	tx.watch.add(it.WatchCh())
	return rows[T](it)
}

// From runs over the rows whose primary key is at least key. It is not watched.
func (t *Table[T]) From(tx *Tx, key string) iter.Seq[*T] {
	it, err := tx.txn.LowerBound(t.name, "id", key)
	must(err)
	return rows[T](it)
}

func rows[T any](it memdb.ResultIterator) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for row := it.Next(); row != nil; row = it.Next() {
			if !yield(row.(*T)) {
				return
			}
		}
	}
}

// Insert adds a row, or replaces the one with the same key, and moves the table's index.
func (t *Table[T]) Insert(tx *Tx, row *T) {
	must(tx.txn.Insert(t.name, row))
	tx.Touch(t.name)
}

// Delete removes the row with the same key as row, if there is one, and moves the table's index.
func (t *Table[T]) Delete(tx *Tx, row *T) {
	if err := tx.txn.Delete(t.name, row); errors.Is(err, memdb.ErrNotFound) {
		return
	} else {
		must(err)
	}
	tx.Touch(t.name)
}
