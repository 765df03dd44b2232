package heap

import "testing"

func TestRoomOfTheHeap(t *testing.T) {
	for _, c := range []struct {
		used         uint64
		want, sparse int
	}{{0, 600, 600}, {1 << 20, 600, 600}, {6 << 20, 400, 400}, {24 << 20, 150, 100}, {56 << 20, 100, 42}, {1 << 30, 50, 11}} {
		if got := percentFor(c.used, ServerRoom, false); got != c.want {
			t.Errorf("%d bytes: %d%%, not %d%%", c.used, got, c.want)
		}
		if got := percentFor(c.used, ServerRoom, true); got != c.sparse {
			t.Errorf("%d bytes, sparing: %d%%, not %d%%", c.used, got, c.sparse)
		}
	}
	if got := percentFor(6<<20, ClientRoom, false); got != 166 {
		t.Errorf("on a client agent: %d%%", got)
	}
}

func TestSpareUntilAllAreDone(t *testing.T) {
	first, second := Spare(), Spare()
	first()
	first() // counts once
	if pace.sparing != 1 {
		t.Errorf("%d sparing, with one of two done", pace.sparing)
	}
	second()
	if pace.sparing != 0 {
		t.Errorf("%d sparing, with both done", pace.sparing)
	}
}
