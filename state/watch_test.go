package state_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lictor/state"
)

// A watch fires if something that was looked at has changed, and only then, where it is on rows that are there. What is
// not there is watched together with what is beside it.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		look  string
		do    func(z *zoo, tx *state.Tx)
		wakes string // of the changes below, in order
	}{
		{"a row", func(z *zoo, tx *state.Tx) { z.pets.Get(tx, state.Key("rex")) }, "change rex, delete rex, restore"},
		{"a row that is not there, and its neighbours", func(z *zoo, tx *state.Tx) { z.pets.Get(tx, state.Key("zoe")) },
			"change rex, change tom, add zoe, delete rex, restore"},
		{"an index", func(z *zoo, tx *state.Tx) { z.pets.First(tx, "chip", "7") }, "change rex, delete rex, restore"},
		{"a prefix", func(z *zoo, tx *state.Tx) { z.pets.Prefix(tx, "id", "r") }, "change rex, delete rex, restore"},
		{"all", func(z *zoo, tx *state.Tx) { z.pets.All(tx) }, "change rex, change tom, add zoe, delete rex, restore"},
		{"the last", func(z *zoo, tx *state.Tx) { z.pets.Last(tx, "id") },
			"change rex, change tom, add zoe, delete rex, restore"},
		{"an index of the log", func(z *zoo, tx *state.Tx) { tx.Changed("tom") }, "touch tom, forget tom, restore"},
		{"an index that is not there, and its neighbours", func(z *zoo, tx *state.Tx) { tx.Changed("zoe") },
			"change rex, change tom, add zoe, delete rex, touch tom, forget tom, restore"},
		{"the table's index", func(z *zoo, tx *state.Tx) { tx.Changed("pets") },
			"change rex, change tom, add zoe, delete rex, restore"},
		{"without a watch", func(z *zoo, tx *state.Tx) { z.pets.Get(tx.Unwatched(), state.Key("rex")) }, "restore"},
		{"from", func(z *zoo, tx *state.Tx) { z.pets.From(tx, "") }, "restore"},
		{"nothing", func(*zoo, *state.Tx) {}, "restore"},
	} {
		var woken []string
		for _, change := range []struct {
			name string
			do   func(z *zoo)
		}{
			{"change rex", func(z *zoo) { z.insert(&pet{Name: "rex", Chip: "7", Age: 2}) }},
			{"change tom", func(z *zoo) { z.insert(&pet{Name: "tom", Age: 2}) }},
			{"add zoe", func(z *zoo) { z.insert(&pet{Name: "zoe"}) }},
			{"delete rex", func(z *zoo) { z.write(func(tx *state.Tx) { z.pets.Delete(tx, &pet{Name: "rex"}) }) }},
			{"delete nobody", func(z *zoo) { z.write(func(tx *state.Tx) { z.pets.Delete(tx, &pet{Name: "nobody"}) }) }},
			{"touch tom", func(z *zoo) { z.write(func(tx *state.Tx) { tx.Touch("tom") }) }},
			{"forget tom", func(z *zoo) { z.write(func(tx *state.Tx) { tx.Forget("tom") }) }},
			{"forget nobody", func(z *zoo) { z.write(func(tx *state.Tx) { tx.Forget("nobody") }) }},
			{"abort", func(z *zoo) {
				tx := z.db.Write(99)
				z.pets.Insert(tx, &pet{Name: "rex", Age: 3})
				tx.Touch("tom")
				tx.Abort()
			}},
			{"restore", func(z *zoo) {
				if err := z.db.Restore(strings.NewReader(string(z.snapshot()))); err != nil {
					z.Fatal(err)
				}
			}},
		} {
			z := newZoo(t)
			z.insert(&pet{Name: "rex", Chip: "7"}, &pet{Name: "tom"})
			z.write(func(tx *state.Tx) { tx.Touch("tom"); tx.Touch("other") })
			tx := z.db.Read()
			c.do(z, tx)
			if tx.Watch().Fired() {
				t.Errorf("%s: fired at once", c.look)
			}
			change.do(z)
			if tx.Watch().Fired() {
				woken = append(woken, change.name)
			}
			z.insert(&pet{Name: "late"})
			if fired := tx.Watch().Fired(); !fired && len(woken) > 0 && woken[len(woken)-1] == change.name {
				t.Errorf("%s: %s: has fired and is quiet again", c.look, change.name)
			}
		}
		if got := strings.Join(woken, ", "); got != c.wakes {
			t.Errorf("%s: woken by %s\n\tinstead of %s", c.look, got, c.wakes)
		}
	}
}

// Wait takes another path for each number of channels up to three, and one for all more.
func TestWait(t *testing.T) {
	for n := range 7 {
		for which := range n + 1 {
			synctest.Test(t, func(t *testing.T) {
				z := newZoo(t)
				var all []*pet
				for i := range n {
					all = append(all, &pet{Name: fmt.Sprintf("%c-pet", 'a'+i)})
				}
				z.insert(all...)
				tx := z.db.Read()
				for _, p := range all {
					z.pets.Get(tx, state.Key(p.Name))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				woken := make(chan error, 1)
				go func() { woken <- tx.Watch().Wait(ctx) }()
				synctest.Wait()
				if len(woken) > 0 {
					t.Fatal("awake before anything has changed")
				}
				if which == n {
					if err := <-woken; !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%d channels: %v", n, err)
					}
					return
				}
				z.insert(&pet{Name: all[which].Name, Age: 1})
				if err := <-woken; err != nil || !tx.Watch().Fired() {
					t.Errorf("%d channels: %v", n, err)
				}
			})
		}
	}
}

func TestRestoreWakesWaiters(t *testing.T) {
	for n := range 6 {
		synctest.Test(t, func(t *testing.T) {
			z := newZoo(t)
			tx := z.db.Read()
			for i := range n {
				tx.Changed(fmt.Sprint(i))
				z.pets.Get(tx, state.Key(fmt.Sprint(i)))
			}
			woken := make(chan error, 1)
			go func() { woken <- tx.Watch().Wait(t.Context()) }()
			synctest.Wait()
			if err := z.db.Restore(strings.NewReader(string(z.snapshot()))); err != nil {
				t.Fatal(err)
			}
			if err := <-woken; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWritersHaveNoWatch(t *testing.T) {
	z := newZoo(t)
	z.write(func(tx *state.Tx) {
		z.pets.Get(tx, state.Key("rex"))
		if tx.Watch() != nil {
			t.Error("a writer watches")
		}
	})
}
