package main

import "testing"

func TestRoomOfTheHeap(t *testing.T) {
	for _, c := range []struct {
		used uint64
		want int
	}{{0, 2400}, {1 << 20, 2400}, {6 << 20, 400}, {24 << 20, 150}, {56 << 20, 100}, {1 << 30, 50}} {
		if got := percentFor(c.used); got != c.want {
			t.Errorf("%d bytes: %d%%, not %d%%", c.used, got, c.want)
		}
	}
}
