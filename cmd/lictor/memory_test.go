package main

import "testing"

func TestRoomOfTheHeap(t *testing.T) {
	for _, c := range []struct {
		used uint64
		want int
	}{{0, 600}, {1 << 20, 600}, {6 << 20, 400}, {24 << 20, 150}, {56 << 20, 100}, {1 << 30, 50}} {
		if got := percentFor(c.used, leastRoom); got != c.want {
			t.Errorf("%d bytes: %d%%, not %d%%", c.used, got, c.want)
		}
	}
	if got := percentFor(6<<20, clientRoom); got != 166 {
		t.Errorf("on a client agent: %d%%", got)
	}
}
