package state

import (
	"fmt"
	"iter"
)

// Get finds the row with this key, or nil.
func (t *Table[T]) Get(tx *Tx, key string) *T {
	l, deepest := tx.root(t.slot(tx)).find(key)
	return row[T](tx, l, deepest)
}

// row is what a look-up has found, if anything, and watches it.
func row[T any](tx *Tx, l *leaf, deepest *node) *T {
	if l == nil {
		if tx.watch != nil {
			tx.watch.add(deepest.changed.channel())
		}
		return nil
	}
	if tx.watch != nil {
		tx.watch.add(l.changed.channel())
	}
	return l.row.(*T)
}

// First finds the first row with this key in an index, or nil. On an index that is not unique the key must be made by
// Key.
func (t *Table[T]) First(tx *Tx, index, key string) *T {
	slot, unique := t.find(tx, index)
	if unique {
		l, deepest := tx.root(slot).find(key)
		return row[T](tx, l, deepest)
	}
	under, deepest := tx.root(slot).seek(key)
	return end[T](tx, under.first(), deepest)
}

// Last finds the last row of the whole index, or nil.
func (t *Table[T]) Last(tx *Tx, index string) *T {
	slot, _ := t.find(tx, index)
	root := tx.root(slot)
	return end[T](tx, root.last(), root)
}

// end is the row at one end of what is under a node, which is watched.
func end[T any](tx *Tx, l *leaf, deepest *node) *T {
	if tx.watch != nil {
		tx.watch.add(deepest.changed.channel())
	}
	if l == nil {
		return nil
	}
	return l.row.(*T)
}

// All runs over the table in the order of its keys.
func (t *Table[T]) All(tx *Tx) iter.Seq[*T] { return t.Prefix(tx, "id", "") }

// Each runs over the rows with this key, which Key made, in an index, in the order of their primary keys.
func (t *Table[T]) Each(tx *Tx, index, key string) iter.Seq[*T] { return t.Prefix(tx, index, key) }

// Prefix runs over the rows whose key in an index begins with prefix, in the order of the keys. In a writing Tx the
// table may be changed meanwhile: the run sees it as it was at its begin.
func (t *Table[T]) Prefix(tx *Tx, index, prefix string) iter.Seq[*T] {
	slot, _ := t.find(tx, index)
	under, deepest := tx.still(slot).seek(prefix)
	if tx.watch != nil {
		tx.watch.add(deepest.changed.channel())
	}
	return func(yield func(*T) bool) {
		under.walk(func(row any) bool { return yield(row.(*T)) })
	}
}

// From runs over the rows whose primary key is at least key. It is not watched.
func (t *Table[T]) From(tx *Tx, key string) iter.Seq[*T] {
	root := tx.still(t.slot(tx))
	return func(yield func(*T) bool) {
		root.walkFrom(key, func(row any) bool { return yield(row.(*T)) })
	}
}

// Insert adds a row, or replaces the one with the same key, and moves the table's index.
func (t *Table[T]) Insert(tx *Tx, row *T) {
	t.put(tx, row)
	tx.Touch(t.name)
}

// put adds or replaces a row in all indexes.
func (t *Table[T]) put(tx *Tx, row *T) {
	e, key, slot := tx.writing(), t.key(row), t.slot(tx)
	if key == "" {
		panic(fmt.Sprintf("state: table %s: a row without a key", t.name))
	}
	was := e.insert(slot, key, row)
	for i := range t.others {
		x, slot := &t.others[i], slot+1+i
		keys := x.Keys(row)
		if was != nil {
			for j, k := range x.Keys(was.(*T)) {
				if j >= len(keys) || keys[j] != k {
					e.delete(slot, x.full(k, key))
				}
			}
		}
		for _, k := range keys {
			e.insert(slot, x.full(k, key), row)
		}
	}
}

// Delete removes the row with the same key as row, if there is one, and moves the table's index.
func (t *Table[T]) Delete(tx *Tx, row *T) {
	e, key, slot := tx.writing(), t.key(row), t.slot(tx)
	l, _ := tx.root(slot).find(key)
	if l == nil {
		return
	}
	for i := range t.others {
		x := &t.others[i]
		for _, k := range x.Keys(l.row.(*T)) {
			e.delete(slot+1+i, x.full(k, key))
		}
	}
	e.delete(slot, key)
	tx.Touch(t.name)
}

// full is a key of the index as its tree has it: that of the row behind it tells rows with the same key apart.
func (x *Index[T]) full(key, primary string) string {
	if x.Unique {
		return key
	}
	return key + primary
}
