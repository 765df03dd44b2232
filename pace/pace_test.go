package pace

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func count(p *Pace, n int, read bool, from string) (allowed int) {
	for range n {
		if p.Allow(read, from) {
			allowed++
		}
	}
	return allowed
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if n := count(New(Rates{}), 100, true, "a"); n != 100 {
			t.Errorf("without bounds %d of 100", n)
		}
		p := New(Rates{Read: 50, Write: 5, SourceRead: 20})
		for _, step := range []struct {
			read bool
			from string
			want int
		}{{true, "a", 20}, {true, "b", 20}, {true, "c", 10}, {true, "d", 0}, {false, "a", 5}, {false, "b", 0}} {
			if n := count(p, 100, step.read, step.from); n != step.want {
				t.Errorf("%+v: %d", step, n)
			}
		}
		time.Sleep(time.Second)
		if n := count(p, 100, true, "a"); n != 20 {
			t.Errorf("after a second: %d", n)
		}
	})
}

// However many sources there are, what is remembered of them is bounded, and those who came before keep their own.
func TestManySources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Rates{SourceWrite: 1})
		for i := range 3 * most {
			p.Allow(false, fmt.Sprint(i))
		}
		if len(p.writes) > most+1 {
			t.Errorf("%d sources", len(p.writes))
		}
		if p.Allow(false, "new") {
			t.Error("who shares a bound has one of its own")
		}
		time.Sleep(2 * forget)
		if !p.Allow(false, "new") || len(p.writes) > 1 {
			t.Errorf("%d sources are left", len(p.writes))
		}
	})
}
