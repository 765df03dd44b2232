package kv_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lictor/acl"
	"lictor/kv"
	"lictor/state"
)

func newLog(t testing.TB) *state.Local {
	t.Helper()
	log, err := state.NewLocal(10, kv.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func apply(t testing.TB, log state.Log, cmd state.Command) bool {
	t.Helper()
	answer, err := log.Apply(context.Background(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return answer.(bool)
}

func get(t testing.TB, log state.Log, key string) (*kv.Entry, uint64) {
	t.Helper()
	found, index, err := (&kv.Service{Log: log}).Get(log.DB().Read(), acl.AllowAll(), &kv.Get{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return nil, index
	}
	return found[0], index
}

func TestCheckAndSet(t *testing.T) {
	for _, c := range []struct {
		name  string
		cmd   state.Command
		want  bool
		value string // afterwards; "-" is no key
	}{
		{"put over any", &kv.Put{Key: "a", Value: []byte("new")}, true, "new"},
		{"put at its index", &kv.Put{Key: "a", Value: []byte("new"), CAS: true, Index: 10}, true, "new"},
		{"put at another index", &kv.Put{Key: "a", Value: []byte("new"), CAS: true, Index: 9}, false, "old"},
		{"put if missing", &kv.Put{Key: "a", Value: []byte("new"), CAS: true}, false, "old"},
		{"delete any", &kv.Delete{Key: "a"}, true, "-"},
		{"delete at its index", &kv.Delete{Key: "a", CAS: true, Index: 10}, true, "-"},
		{"delete at another index", &kv.Delete{Key: "a", CAS: true, Index: 9}, false, "old"},
		{"delete at index 0", &kv.Delete{Key: "a", CAS: true}, false, "old"},
		{"delete what is missing", &kv.Delete{Key: "b", CAS: true, Index: 3}, true, "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := newLog(t)
			apply(t, log, &kv.Put{Key: "a", Value: []byte("old")})
			if got := apply(t, log, c.cmd); got != c.want {
				t.Errorf("answered %v", got)
			}
			value := "-"
			if e, _ := get(t, log, "a"); e != nil {
				value = string(e.Value)
			}
			if value != c.value {
				t.Errorf("value is %q, want %q", value, c.value)
			}
		})
	}
}

func TestWritingTheSameChangesNothing(t *testing.T) {
	log := newLog(t)
	apply(t, log, &kv.Put{Key: "a", Value: []byte("v"), Flags: 3})
	tx := log.DB().Read()
	if _, _, err := (&kv.Service{}).Get(tx, acl.AllowAll(), &kv.Get{Key: "a"}); err != nil {
		t.Fatal(err)
	}
	apply(t, log, &kv.Put{Key: "a", Value: []byte("v"), Flags: 3})
	if tx.Watch().Fired() {
		t.Error("a watcher was woken")
	}
	if e, _ := get(t, log, "a"); e.ModifyIndex != 10 {
		t.Errorf("ModifyIndex moved to %d", e.ModifyIndex)
	}
	apply(t, log, &kv.Put{Key: "a", Value: []byte("v"), Flags: 4})
	if !tx.Watch().Fired() {
		t.Error("nobody was told of new flags")
	}
}

func TestKeysAreCutAtTheSeparator(t *testing.T) {
	log := newLog(t)
	for _, k := range []string{"app", "app/", "app/a", "app/b/x", "app/b/y", "apple"} {
		apply(t, log, &kv.Put{Key: k})
	}
	for _, c := range []struct {
		prefix, separator string
		want              []string
	}{
		{"app/", "", []string{"app/", "app/a", "app/b/x", "app/b/y"}},
		{"app/", "/", []string{"app/", "app/a", "app/b/"}},
		{"", "/", []string{"app", "app/", "apple"}},
		{"", "pp", []string{"app"}},
		{"none", "/", nil},
	} {
		got, _, err := (&kv.Service{}).Keys(log.DB().Read(), acl.AllowAll(), &kv.Keys{Prefix: c.prefix, Separator: c.separator})
		if err != nil || !slices.Equal(got.Keys, c.want) {
			t.Errorf("keys of %q by %q: %q, %v", c.prefix, c.separator, got.Keys, err)
		}
	}
}

// A watch of a prefix fires on a deletion below it, and its index moves; it does neither for keys beside it.
func TestDeletionMovesThePrefix(t *testing.T) {
	log := newLog(t)
	for _, k := range []string{"dir/a", "dir/b", "other"} {
		apply(t, log, &kv.Put{Key: k})
	}
	list := func() (*state.WatchSet, uint64) {
		tx := log.DB().Read()
		_, index, err := (&kv.Service{}).List(tx, acl.AllowAll(), &kv.List{Prefix: "dir/"})
		if err != nil {
			t.Fatal(err)
		}
		return tx.Watch(), index
	}
	watch, before := list()
	apply(t, log, &kv.Delete{Key: "other"})
	if watch.Fired() {
		t.Error("woken by a key beside the prefix")
	}
	apply(t, log, &kv.Delete{Key: "dir/a"})
	if !watch.Fired() {
		t.Error("not woken by a deletion")
	}
	if _, after := list(); after <= before {
		t.Errorf("index went from %d to %d", before, after)
	}
	apply(t, log, &kv.Delete{Key: "dir/b"})
	if _, after := list(); after != 15 {
		t.Errorf("index of an emptied prefix is %d, want 15", after)
	}
}

func TestReapTombstones(t *testing.T) {
	log := newLog(t)
	apply(t, log, &kv.Put{Key: "a"})
	apply(t, log, &kv.Delete{Key: "a"})
	if _, err := log.Apply(context.Background(), &kv.ReapTombstones{UpTo: 11}); err != nil {
		t.Fatal(err)
	}
	for e := range kv.Tombstones.All(log.DB().Read()) {
		t.Errorf("%q is still remembered", e.Key)
	}
}

func TestServiceAsksFirst(t *testing.T) {
	log := newLog(t)
	s := &kv.Service{Log: log}
	ctx, none := context.Background(), acl.DenyAll()
	if _, err := s.Put(ctx, none, &kv.Put{}); !denied(err) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Delete(ctx, none, &kv.Delete{Recurse: true}); !denied(err) {
		t.Errorf("delete: %v", err)
	}
	if _, _, err := s.Get(log.DB().Read(), none, &kv.Get{Key: "a"}); !denied(err) {
		t.Errorf("get: %v", err)
	}
	apply(t, log, &kv.Put{Key: "a"})
	if found, _, err := s.List(log.DB().Read(), none, &kv.List{}); len(found.Entries) > 0 || !denied(err) {
		t.Errorf("list: %v, %v", found, err)
	}
	if found, _, err := s.Keys(log.DB().Read(), none, &kv.Keys{}); len(found.Keys) > 0 || !denied(err) {
		t.Errorf("keys: %v, %v", found, err)
	}
}

func denied(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "Permission denied") }

// Random histories: two replicas agree, a snapshot holds all, and a watch of a prefix fires if what it saw has changed.
func TestReplicasSnapshotsAndWatches(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		one, two := newLog(t), newLog(t)
		for range 200 {
			cmd := randomCommand(random)
			prefix := randomKey(random)[:1+random.IntN(2)]
			tx := one.DB().Read()
			before := list(t, tx, prefix)
			apply(t, one, cmd)
			apply(t, two, cmd)
			after := list(t, one.DB().Read(), prefix)
			if changed := !cmp.Equal(before, after); changed && !tx.Watch().Fired() {
				t.Fatalf("seed %d: %#v changed %q and woke nobody", seed, cmd, prefix)
			}
		}
		a, b := content(t, one.DB()), content(t, two.DB())
		if !bytes.Equal(a, b) {
			t.Fatalf("seed %d: the replicas differ", seed)
		}
		restored := newLog(t)
		if err := restored.DB().Restore(bytes.NewReader(a)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, content(t, restored.DB())) {
			t.Fatalf("seed %d: the restored state differs", seed)
		}
	}
}

func list(t *testing.T, tx *state.Tx, prefix string) []kv.Entry {
	t.Helper()
	found, _, err := (&kv.Service{}).List(tx, acl.AllowAll(), &kv.List{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	var out []kv.Entry
	for _, e := range found.Entries {
		out = append(out, *e)
	}
	return out
}

func content(t *testing.T, db *state.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := db.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func randomKey(r *rand.Rand) string {
	return string("ab"[r.IntN(2)]) + "/" + strconv.Itoa(r.IntN(5))
}

func randomCommand(r *rand.Rand) state.Command {
	switch r.IntN(6) {
	case 0:
		return &kv.Delete{Key: randomKey(r)}
	case 1:
		return &kv.Delete{Key: randomKey(r)[:1+r.IntN(2)], Recurse: true}
	case 2:
		return &kv.Put{Key: randomKey(r), Value: []byte{byte(r.IntN(3))}, CAS: true, Index: r.Uint64N(200)}
	}
	return &kv.Put{Key: randomKey(r), Value: []byte{byte(r.IntN(3))}}
}
