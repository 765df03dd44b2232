package state_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lictor/state"
)

// Readers who wait for what they have looked at miss nothing of what a writer does meanwhile, and what they see only grows.
func TestReadersAndAWriter(t *testing.T) {
	const names, last = 40, 300
	z := newZoo(t)
	name := func(i int) string { return fmt.Sprintf("pet-%d", i) }
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var readers sync.WaitGroup
	// follow reads until the answer is that of the last round.
	follow := func(what string, age func(tx *state.Tx) int) {
		readers.Go(func() {
			for seen := -1; seen < last; {
				tx := z.db.Read()
				now := age(tx)
				if now < seen {
					t.Errorf("%s: %d after %d", what, now, seen)
					return
				}
				if seen = now; seen == last {
					return
				}
				if err := tx.Watch().Wait(ctx); err != nil {
					t.Errorf("%s: nobody wakes who has seen %d: %v", what, seen, err)
					return
				}
			}
		})
	}
	for i := range 4 {
		follow(name(i), func(tx *state.Tx) int {
			if p := z.pets.Get(tx, state.Key(name(i))); p != nil {
				return p.Age
			}
			return 0
		})
	}
	follow("a kind", func(tx *state.Tx) int {
		oldest := 0
		for p := range z.pets.Prefix(tx, "kind", "dog") {
			oldest = max(oldest, p.Age)
		}
		return oldest
	})
	follow("the table", func(tx *state.Tx) int {
		if tx.Changed("pets") > last {
			return last
		}
		return int(tx.Changed("pets"))
	})
	follow("the log", func(tx *state.Tx) int { return int(min(tx.Changed("later"), last)) })
	for age := 1; age <= last; age++ {
		z.write(func(tx *state.Tx) {
			for i := range names {
				if (i+age)%5 == 0 && age < last && i >= 4 {
					z.pets.Delete(tx, &pet{Name: name(i)})
				} else {
					z.pets.Insert(tx, &pet{Name: name(i), Kind: "dog", Age: age, Friends: []string{name(i + age%2)}})
				}
			}
			if age > last/2 {
				tx.Touch("later")
			}
		})
		if age == last/3 {
			if err := z.db.Restore(strings.NewReader(string(z.snapshot()))); err != nil {
				t.Error(err)
			}
		}
	}
	readers.Wait()
}
