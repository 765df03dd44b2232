package state_test

import (
	"testing"

	"lictor/state"
)

func TestIndexes(t *testing.T) {
	z := newZoo(t)
	changed := func(names ...string) uint64 { return z.db.Read().Changed(names...) }
	if changed("pets", "dogs") != 0 {
		t.Error("an index before anything has changed")
	}
	z.insert(&pet{Name: "rex"})                                             // 1
	z.write(func(tx *state.Tx) { tx.Touch("dogs"); tx.Touch("dogs") })      // 2
	z.write(func(tx *state.Tx) { z.pets.Delete(tx, &pet{Name: "nobody"}) }) // 3
	for _, c := range []struct {
		names []string
		want  uint64
	}{{[]string{"pets"}, 1}, {[]string{"dogs"}, 2}, {[]string{"pets", "dogs", "cats"}, 2}, {[]string{"cats"}, 0}, {nil, 0}} {
		if got := changed(c.names...); got != c.want {
			t.Errorf("%v: %d, not %d", c.names, got, c.want)
		}
	}
	z.write(func(tx *state.Tx) { tx.Forget("dogs") })
	if got := changed("dogs"); got != 0 {
		t.Errorf("a forgotten index is %d", got)
	}
	z.write(func(tx *state.Tx) {
		tx.Touch("dogs")
		tx.Forget("dogs")
		if tx.Changed("dogs") != 0 {
			t.Error("touched and then forgotten")
		}
		tx.Touch("dogs")
	})
	if got := changed("dogs"); got != z.index {
		t.Errorf("forgotten and then touched: %d, not %d", got, z.index)
	}
}

// The commands of a batch share a transaction, and each has its own index.
func TestBatch(t *testing.T) {
	z := newZoo(t)
	tx := z.db.Write(5)
	z.pets.Insert(tx, &pet{Name: "rex"})
	tx.Emit("one")
	if tx.Index() != 5 || tx.Changed("pets") != 5 {
		t.Errorf("at %d: %d", tx.Index(), tx.Changed("pets"))
	}
	tx.Advance(6)
	tx.Touch("dogs")
	tx.Emit(2)
	if tx.Index() != 6 || tx.Changed("pets") != 5 || tx.Changed("dogs") != 6 {
		t.Errorf("at %d: %d, %d", tx.Index(), tx.Changed("pets"), tx.Changed("dogs"))
	}
	if events := tx.Events(); len(events) != 2 || events[0] != "one" || events[1] != 2 {
		t.Errorf("events %v", events)
	}
	if events := tx.Events(); len(events) != 0 {
		t.Errorf("events twice: %v", events)
	}
	tx.Commit()
	if read := z.db.Read(); read.Changed("pets") != 5 || read.Changed("dogs") != 6 {
		t.Errorf("after: %d, %d", read.Changed("pets"), read.Changed("dogs"))
	}
}

// What an earlier command of a batch has touched is seen by the later ones, until it is forgotten.
func TestBatchForgets(t *testing.T) {
	z := newZoo(t)
	z.write(func(tx *state.Tx) { tx.Touch("cats") })
	tx := z.db.Write(5)
	tx.Touch("dogs")
	tx.Touch("cats")
	tx.Advance(6)
	if got := tx.Unwatched().Changed("dogs", "birds"); got != 5 {
		t.Errorf("touched at 5: %d", got)
	}
	tx.Forget("dogs")
	tx.Forget("cats")
	if got := tx.Changed("dogs", "cats"); got != 0 {
		t.Errorf("forgotten: %d", got)
	}
	tx.Advance(7)
	tx.Touch("cats")
	tx.Commit()
	if read := z.db.Read(); read.Changed("dogs") != 0 || read.Changed("cats") != 7 {
		t.Errorf("after: %d, %d", read.Changed("dogs"), read.Changed("cats"))
	}
}
