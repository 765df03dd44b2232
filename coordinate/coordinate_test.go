package coordinate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"lictor/acl"
	"lictor/state"
)

func at(height, adjustment float64, vec ...float64) *Coordinate {
	return &Coordinate{Vec: append(vec, make([]float64, Dimensions-len(vec))...), Error: 1.5, Height: height, Adjustment: adjustment}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b *Coordinate
		want time.Duration
	}{
		{at(0, 0), at(0, 0), 0},
		{at(0, 0, 3, 4), at(0, 0), 5 * time.Second},
		{at(0.1, 0, 3, 4), at(0.2, 0), 5300 * time.Millisecond},
		{at(0, -1, 3, 4), at(0, 0.5), 4500 * time.Millisecond},
		{at(0.1, -10, 3, 4), at(0.2, 0), 5300 * time.Millisecond}, // an adjustment that leaves nothing is ignored
		{at(0, 0, 1e300), at(0, 0, -1e300), math.MaxInt64},
	} {
		if got := c.a.Distance(c.b); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("%v to %v: got %s, want %s", c.a, c.b, got, c.want)
		}
		if c.a.Distance(c.b) != c.b.Distance(c.a) {
			t.Errorf("%v to %v is not as far as back", c.a, c.b)
		}
	}
}

func TestValid(t *testing.T) {
	for _, c := range []struct {
		c    *Coordinate
		want bool
	}{
		{at(0, 0), true},
		{nil, false},
		{&Coordinate{Vec: []float64{1, 2}}, false},
		{at(math.NaN(), 0), false},
		{at(0, math.Inf(1)), false},
		{at(0, 0, math.Inf(-1)), false},
	} {
		if c.c.Valid() != c.want {
			t.Errorf("%v: got %v", c.c, !c.want)
		}
	}
}

func newStore(t *testing.T) (*Service, *state.Local) {
	t.Helper()
	log, err := state.NewLocal(10, Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	return &Service{Log: log, Known: func(_ *state.Tx, node string) bool { return node != "unknown" }}, log
}

func TestUpdate(t *testing.T) {
	s, log := newStore(t)
	ctx, all := context.Background(), acl.AllowAll()
	update := func(node string, c *Coordinate) error {
		_, err := s.Update(ctx, all, &Update{Node: node, Coord: c})
		return err
	}
	for _, node := range []string{"a", "b", "unknown", ""} {
		if err := update(node, at(0.5, 0)); err != nil {
			t.Errorf("%q: %v", node, err)
		}
	}
	if err := update("a", &Coordinate{Vec: []float64{1}}); err == nil || err.Error() != "incompatible coordinate" {
		t.Errorf("got %v", err)
	}
	tx := log.DB().Read()
	found, index, _ := s.Nodes(tx, all, &Nodes{})
	if len(found) != 2 || found[0].Node != "a" || found[1].Node != "b" {
		t.Errorf("got %v", found)
	}
	if b, _ := json.Marshal(found[0]); string(b) != `{"Node":"a","Segment":"","Coord":{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.5}}` {
		t.Errorf("got %s", b)
	}
	if rtt, ok := Distance(tx, "A", "b"); !ok || rtt != time.Second {
		t.Errorf("got %s, %v", rtt, ok)
	}
	if _, ok := Distance(tx, "a", "unknown"); ok {
		t.Error("the distance to an unknown node is known")
	}
	// The same again changes nothing.
	if err := update("a", at(0.5, 0)); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := s.Nodes(log.DB().Read(), all, &Nodes{}); again != index || tx.Watch().Fired() {
		t.Errorf("the same place moved the index from %d to %d", index, again)
	}
	if err := update("a", at(0.6, 0)); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := s.Nodes(log.DB().Read(), all, &Nodes{}); again <= index || !tx.Watch().Fired() {
		t.Errorf("another place left the index at %d", again)
	}
	if found, _, _ := s.Nodes(log.DB().Read(), all, &Nodes{Segment: "x"}); found == nil || len(found) != 0 {
		t.Errorf("got %v", found)
	}
}

func TestOneNode(t *testing.T) {
	s, log := newStore(t)
	all := acl.AllowAll()
	put := func(node string, height float64) {
		t.Helper()
		if _, err := log.Apply(context.Background(), &BatchUpdate{Entries: []*Entry{{Node: node, Coord: at(height, 0)}, nil}}); err != nil {
			t.Fatal(err)
		}
	}
	put("a", 1)
	tx := log.DB().Read()
	found, index, err := s.Node(tx, all, &OneNode{Node: "A"})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	put("b", 1)
	if tx.Watch().Fired() {
		t.Error("woken by another node")
	}
	put("a", 2)
	if _, again, _ := s.Node(log.DB().Read(), all, &OneNode{Node: "a"}); again <= index || !tx.Watch().Fired() {
		t.Errorf("index %d, then %d", index, again)
	}
	gone := log.DB().Write(99)
	Remove(gone, "a")
	gone.Commit()
	if found, again, _ := s.Node(log.DB().Read(), all, &OneNode{Node: "a"}); len(found) != 0 || again != 99 {
		t.Errorf("got %v at %d", found, again)
	}
}

func TestSnapshotKeepsPlaces(t *testing.T) {
	s, log := newStore(t)
	other, copied := newStore(t)
	if _, err := s.Update(context.Background(), acl.AllowAll(), &Update{Node: "a", Segment: "s", Coord: at(1, 2, 3, 4)}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := log.DB().Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if err := copied.DB().Restore(&b); err != nil {
		t.Fatal(err)
	}
	want, index, _ := s.Nodes(log.DB().Read(), acl.AllowAll(), &Nodes{})
	got, at, _ := other.Nodes(copied.DB().Read(), acl.AllowAll(), &Nodes{})
	a, _ := json.Marshal(want)
	if b, _ := json.Marshal(got); string(a) != string(b) || index != at {
		t.Errorf("got %s, want %s", b, a)
	}
}

func TestNothingIsDoneWithoutPermission(t *testing.T) {
	s, log := newStore(t)
	if _, err := s.Update(context.Background(), acl.AllowAll(), &Update{Node: "a", Coord: at(1, 0)}); err != nil {
		t.Fatal(err)
	}
	denied := new(acl.Denial)
	if _, err := s.Update(context.Background(), acl.DenyAll(), &Update{Node: "a"}); !errors.As(err, &denied) {
		t.Errorf("update: %v", err)
	}
	if found, _, _ := s.Nodes(log.DB().Read(), acl.DenyAll(), &Nodes{}); len(found) != 0 {
		t.Errorf("nodes: %v", found)
	}
	if _, _, err := s.Node(log.DB().Read(), acl.DenyAll(), &OneNode{Node: "a"}); !errors.As(err, &denied) {
		t.Errorf("node: %v", err)
	}
}
