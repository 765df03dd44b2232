package state_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"lictor/state"
)

const herd = 20_000

// newHerd opens a store of many pets, each in three indexes.
func newHerd(b *testing.B) (*state.DB, *state.Table[pet], []*pet) {
	b.Helper()
	pets := newPets()
	db, err := state.Open(pets)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]*pet, herd)
	tx := db.Write(1)
	for i := range all {
		name := fmt.Sprintf("herd/%d/%d", i%100, i)
		all[i] = &pet{Name: name, Chip: strconv.Itoa(i), Kind: "dog", Friends: []string{strconv.Itoa(i % 7)}}
		pets.Insert(tx, all[i])
	}
	tx.Commit()
	return db, pets, all
}

// BenchmarkBatch is one command of a batch of so many: it looks for a row, as commands do, and writes another version of it.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			db, pets, all := newHerd(b)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; {
				tx := db.Write(uint64(i + 2))
				for range size {
					tx.Advance(uint64(i + 2))
					row := *pets.Get(tx, state.Key(all[i*7919%herd].Name))
					row.Age = i
					pets.Insert(tx, &row)
					i++
				}
				tx.Commit()
			}
		})
	}
}

// BenchmarkInsertDelete adds a row and removes it in a later transaction.
func BenchmarkInsertDelete(b *testing.B) {
	db, pets, all := newHerd(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		row := *all[i*7919%herd]
		row.Name += "/more"
		tx := db.Write(uint64(i + 2))
		pets.Insert(tx, &row)
		tx.Commit()
		tx = db.Write(uint64(i + 2))
		pets.Delete(tx, &row)
		tx.Commit()
	}
}

func BenchmarkGet(b *testing.B) {
	db, pets, all := newHerd(b)
	keys := make([]string, len(all))
	for i, p := range all {
		keys[i] = state.Key(p.Name)
	}
	b.Run("quiet", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			pets.Get(db.Read().Unwatched(), keys[i*7919%herd])
		}
	})
	b.Run("watched", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			pets.Get(db.Read(), keys[i*7919%herd])
		}
	})
}

func BenchmarkAll(b *testing.B) {
	db, pets, _ := newHerd(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		n := 0
		for range pets.All(db.Read()) {
			n++
		}
		if n != herd {
			b.Fatal(n)
		}
	}
}

// BenchmarkRestore reads a snapshot, and tells what a row then takes of memory.
func BenchmarkRestore(b *testing.B) {
	db, pets, _ := newHerd(b)
	var snapshot bytes.Buffer
	if _, err := db.Snapshot().WriteTo(&snapshot); err != nil {
		b.Fatal(err)
	}
	db, err := state.Open(pets)
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := db.Restore(bytes.NewReader(snapshot.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/herd, "B/row")
	runtime.KeepAlive(db)
}
