package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"lictor/state"
)

func full(t *testing.T) *zoo {
	z := newZoo(t)
	for i := range 50 {
		z.insert(&pet{Name: fmt.Sprint("pet", i), Chip: fmt.Sprint(i % 40), Kind: "dog", Age: i, Friends: []string{fmt.Sprint("pet", i/2)}})
	}
	z.write(func(tx *state.Tx) { tx.Touch("dogs"); z.pets.Delete(tx, &pet{Name: "pet7"}) })
	return z
}

func TestSnapshotRoundTrip(t *testing.T) {
	z := full(t)
	before := z.snapshot()
	taken := z.db.Snapshot()
	z.insert(&pet{Name: "late"})
	var later bytes.Buffer
	if _, err := taken.WriteTo(&later); err != nil || !bytes.Equal(later.Bytes(), before) {
		t.Errorf("a snapshot is not of the moment at which it was taken: %v", err)
	}
	other := newZoo(t)
	if !other.db.Untouched() {
		t.Error("a new state has been touched")
	}
	other.insert(&pet{Name: "gone"})
	if other.db.Untouched() {
		t.Error("a state that was written to is untouched")
	}
	if err := other.db.Restore(bytes.NewReader(before)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(other.snapshot(), before) {
		t.Error("the restored state differs")
	}
	tx := other.db.Read()
	if other.pets.Get(tx, state.Key("gone")) != nil || tx.Changed("dogs") != 51 || other.pets.First(tx, "chip", "9") == nil ||
		names(other.pets.Each(tx, "friend", state.Key("pet9"))) != "pet18 pet19" {
		t.Error("rows or indexes are not those of the snapshot")
	}
	if err := state.Verify(bytes.NewReader(before), newPets()); err != nil {
		t.Error(err)
	}
	empty := newZoo(t)
	if err := other.db.Restore(bytes.NewReader(empty.snapshot())); err != nil || names(other.pets.All(other.db.Read())) != "" {
		t.Errorf("an empty snapshot: %v", err)
	}
}

// Whatever is wrong with a snapshot, it is refused and nothing changes.
func TestDamagedSnapshots(t *testing.T) {
	whole := full(t).snapshot()
	z := newZoo(t)
	z.insert(&pet{Name: "rex"})
	before, watched := z.snapshot(), z.db.Read()
	z.pets.All(watched)
	refuse := func(what string, damaged []byte) {
		t.Helper()
		err := z.db.Restore(bytes.NewReader(damaged))
		if !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if err := state.Verify(bytes.NewReader(damaged), newPets()); !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s is verified: %v", what, err)
		}
		if watched.Watch().Fired() || !bytes.Equal(z.snapshot(), before) {
			t.Fatalf("%s is refused, and yet the state has changed", what)
		}
	}
	for cut := 0; cut < len(whole); cut += 1 + cut/20 {
		refuse(fmt.Sprintf("%d of %d bytes", cut, len(whole)), whole[:cut])
	}
	head := msgp.AppendUint(msgp.AppendString(nil, "lictor-state"), 1)
	refuse("another program's file", msgp.AppendUint(msgp.AppendString(nil, "other-state"), 1))
	refuse("a later version", msgp.AppendString(msgp.AppendUint(msgp.AppendString(nil, "lictor-state"), 2), ""))
	refuse("an unknown table", msgp.AppendString(msgp.AppendMapHeader(msgp.AppendString(bytes.Clone(head), "cars"), 0), ""))
	refuse("a row of another shape", msgp.AppendString(msgp.AppendInt(msgp.AppendString(bytes.Clone(head), "pets"), 1), ""))
	var start, after runtime.MemStats
	runtime.ReadMemStats(&start)
	for _, kind := range []byte{0xdb, 0xc6, 0xdd, 0xdf} { // a string, bytes, a list, a map
		refuse("a row of four gigabytes", append(msgp.AppendString(bytes.Clone(head), "pets"), kind, 0xff, 0xff, 0xff, 0xff))
	}
	refuse("a name of four gigabytes", append(bytes.Clone(head), 0xdb, 0xff, 0xff, 0xff, 0xff))
	if runtime.ReadMemStats(&after); after.TotalAlloc-start.TotalAlloc > 64<<20 {
		t.Errorf("lengths that are not true cost %d MiB", (after.TotalAlloc-start.TotalAlloc)>>20)
	}
}

func TestSnapshotReportsTheWriter(t *testing.T) {
	z := full(t)
	r, w := io.Pipe()
	r.CloseWithError(errors.New("the disk is full"))
	if _, err := z.db.Snapshot().WriteTo(w); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	db, err := state.Open(newPets())
	if err != nil {
		f.Fatal(err)
	}
	tx := db.Write(1)
	newPets().Insert(tx, &pet{Name: "rex", Chip: "7", Friends: []string{"tom"}})
	tx.Commit()
	var whole bytes.Buffer
	if _, err := db.Snapshot().WriteTo(&whole); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		z := newZoo(t)
		restored := z.db.Restore(bytes.NewReader(snapshot))
		if verified := state.Verify(bytes.NewReader(snapshot), newPets()); restored == nil && verified != nil {
			t.Errorf("restored, but not verified: %v", verified)
		}
		if restored == nil {
			z.snapshot()
		}
	})
}
