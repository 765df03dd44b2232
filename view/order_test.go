package view_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lictor/kv"
	"lictor/view"
)

// A restore that changes an answer wakes those who wait for it.
func TestRestoreWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, view.Config{})
		defer b.views.Stop()
		b.put(t, "a", "1")
		var old bytes.Buffer
		b.log.DB().Snapshot().WriteTo(&old)
		b.put(t, "a", "2")
		now, _ := b.read(t.Context(), "a", 0, 0)
		type woken struct {
			value string
			index uint64
			after time.Duration
		}
		got := make(chan woken, 1)
		begun := time.Now()
		go func() {
			r, err := b.read(context.Background(), "a", now.Index(), time.Minute)
			if err != nil {
				panic(err)
			}
			got <- woken{string(r.Value()[0].Value), r.Index(), time.Since(begun)}
		}()
		synctest.Wait()
		if err := b.log.DB().Restore(&old); err != nil {
			t.Fatal(err)
		}
		w := <-got
		if w.after != 0 || w.index <= now.Index() {
			t.Errorf("woken after %v with %q at index %d, asked for more than %d", w.after, w.value, w.index, now.Index())
		}
	})
}

// a read through one query never shows less than one through another query has shown before.
func TestQueriesAgree(t *testing.T) {
	b := start(t, view.Config{})
	defer b.views.Stop()
	stop := make(chan struct{})
	var all sync.WaitGroup
	var bad atomic.Int64
	get := func(q int) uint64 {
		if q == 0 {
			r, err := view.Read(context.Background(), b.views, kv.ListQuery, &view.Options{}, kv.List{Prefix: "k0"})
			if err != nil || len(r.Value().Entries) == 0 {
				return 0
			}
			return r.Value().Entries[0].Flags
		}
		r, err := view.Read(context.Background(), b.views, kv.ListQuery, &view.Options{}, kv.List{Prefix: fmt.Sprintf("k%d", q)})
		if err != nil || len(r.Value().Entries) == 0 {
			return 0
		}
		return r.Value().Entries[0].Flags
	}
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				x := get(0)
				for q := 1; q < 8; q++ {
					y := get(q)
					if y < x {
						bad.Add(1)
					}
					x = max(x, y)
				}
			}
		})
	}
	end := time.Now().Add(5 * time.Second)
	for i := uint64(1); time.Now().Before(end); i++ {
		tx := b.log.DB().Write(1000 + i) // one batch
		for q := range 8 {
			kv.Entries.Insert(tx, &kv.Entry{Key: fmt.Sprintf("k%d", q), Flags: i, ModifyIndex: 1000 + i})
		}
		for q := range 200 {
			kv.Entries.Insert(tx, &kv.Entry{Key: fmt.Sprintf("x%d", q), Flags: i, ModifyIndex: 1000 + i})
		}
		tx.Commit()
	}
	close(stop)
	all.Wait()
	if n := bad.Load(); n > 0 {
		t.Errorf("%d reads went back in time", n)
	}
}

func TestStopRacesJoin(t *testing.T) {
	for range 300 {
		b := start(t, view.Config{})
		b.put(t, "a", "1")
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 20 {
					view.Read(context.Background(), b.views, kv.ListQuery, &view.Options{MinIndex: 1 << 40, Wait: time.Millisecond}, kv.List{Prefix: fmt.Sprint(g, i)})
				}
			})
		}
		b.views.Stop()
		all.Wait()
	}
}
