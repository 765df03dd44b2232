package chaos

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is an operation that lasts from one time to another.
func at(begin, end int64, o op) op {
	if o.Process == 0 {
		o.Process = 1
	}
	o.Key, o.Call, o.Return = "k", begin, end
	if o.Outcome == "" {
		o.Outcome = done
	}
	if o.Kind == get && o.Agent == "" {
		o.Agent = "s1"
	}
	return o
}

func puts(v string) op       { return op{Kind: put, Value: v} }
func opens(o op) op          { o.Outcome = open; return o }
func turnedDown(o op) op     { o.Outcome, o.Note = refused, "No cluster leader"; return o }
func deletes() op            { return op{Kind: remove} }
func from(a string, o op) op { o.Agent = a; return o }

func of(process int, o op) op { o.Process = process; return o }

func swaps(expect uint64, v string, swapped bool) op {
	return op{Kind: cas, Expect: expect, Value: v, Swapped: swapped}
}

func reads(mode, v string, index uint64) op {
	o := op{Kind: get, Mode: mode, Value: v, Index: index}
	if v != "" {
		o.Modify = index
	}
	return o
}

func TestExamine(t *testing.T) {
	const second = int64(time.Second)
	for name, c := range map[string]struct {
		history history
		pauses  []pause
		faults  []string // parts of their texts
		excused int
	}{
		"one after the other": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 5, swaps(5, "b", true)), at(6, 7, reads(consistent, "b", 6)),
			at(8, 9, swaps(5, "c", false)), at(10, 11, deletes()), at(12, 13, reads(consistent, "", 8)), at(14, 15, swaps(0, "d", true)),
			at(16, 17, reads(byDefault, "d", 9)),
		}},
		"at the same time, in either order": {history: history{
			at(0, 10, puts("a")), at(0, 10, puts("b")), at(11, 12, reads(consistent, "a", 6)),
		}},
		"a consistent read of the past": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(consistent, "a", 5)),
		}, faults: []string{"consistent: not linearizable"}},
		"a default read of the past": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(byDefault, "a", 5)), at(6, 7, reads(consistent, "b", 6)),
		}, faults: []string{"default: not linearizable"}},
		"a default read of the past at a leader that was stopped": {history: history{
			at(0, 1, puts("a")), at(2*second, 3*second, puts("b")), at(5*second+1, 5*second+2, reads(byDefault, "a", 5)),
		}, pauses: []pause{{second, 5 * second}}, excused: 1},
		"the same of before the lease": {history: history{
			at(0, 1, puts("a")), at(2*second, 3*second, puts("b")), at(9*second, 9*second+2, reads(byDefault, "a", 5)),
		}, pauses: []pause{{6 * second, 8 * second}}, faults: []string{"default: not linearizable"}},
		"a stale read of the past": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(stale, "a", 5)), at(6, 7, reads(stale, "b", 6)),
		}},
		"a stale read that goes back": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(stale, "b", 6)), at(6, 7, reads(stale, "a", 5)),
		}, faults: []string{"stale: s1 goes back from index 6"}},
		"a new process of an agent, behind the last": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(stale, "b", 6)), at(6, 7, of(2, reads(stale, "a", 5))),
		}},
		"two agents, one behind the other": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(stale, "b", 6)), at(6, 7, from("s2", reads(stale, "a", 5))),
		}},
		"an acknowledged write is lost": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, reads(consistent, "b", 6)), at(6, 7, reads(consistent, "a", 5)),
		}, faults: []string{"s1 goes back", "consistent: not linearizable"}},
		"a deletion is lost": {history: history{
			at(0, 1, puts("a")), at(2, 3, deletes()), at(4, 5, reads(consistent, "a", 5)),
		}, faults: []string{"consistent: not linearizable"}},
		"an open write comes late": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(puts("b"))), at(4, 5, reads(consistent, "a", 5)), at(6, 7, reads(consistent, "b", 6)),
		}},
		"an open write never comes": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(puts("b"))), at(4, 5, opens(swaps(5, "c", false))), at(6, 7, reads(consistent, "a", 5)),
		}},
		"an open write that explains why a cas fails": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(3, 4, opens(puts("b"))), at(5, 6, swaps(5, "c", false)),
		}},
		"an open write comes and goes again": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(puts("b"))), at(4, 5, reads(consistent, "b", 6)), at(6, 7, from("s2", reads(consistent, "a", 5))),
		}, faults: []string{"consistent: not linearizable"}},
		"an open write takes effect before it was sent": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(stale, "b", 6)), at(4, 5, opens(puts("b"))),
		}, faults: []string{`shows "b", which was not written yet`, "consistent: not linearizable"}},
		"an open delete comes late": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(deletes())), at(4, 5, reads(consistent, "a", 5)), at(6, 7, reads(consistent, "", 6)),
			at(8, 9, swaps(0, "b", true)),
		}},
		"an open delete comes twice": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(deletes())), at(4, 5, reads(consistent, "", 6)), at(6, 7, puts("b")),
			at(8, 9, reads(consistent, "", 8)),
		}, faults: []string{"consistent: not linearizable"}},
		"an open delete lets a cas for nothing succeed": {history: history{
			at(0, 1, puts("a")), at(2, 3, opens(deletes())), at(4, 5, swaps(0, "b", true)), at(6, 7, reads(consistent, "b", 7)),
		}},
		"an open cas that explains why another fails": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 5, opens(swaps(5, "b", false))), at(6, 7, swaps(5, "c", false)),
		}},
		"an open cas of another expectation explains nothing": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 5, opens(swaps(0, "b", false))), at(6, 7, swaps(5, "c", false)),
		}, faults: []string{"consistent: not linearizable"}},
		"an open cas is seen though its key had another value": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 5, puts("b")), at(6, 7, opens(swaps(5, "c", false))),
			at(8, 9, reads(consistent, "c", 7)),
		}, faults: []string{"consistent: not linearizable"}},
		"both of two cas succeed": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 9, swaps(5, "b", true)), at(4, 9, swaps(5, "c", true)),
		}, faults: []string{"consistent: not linearizable"}},
		"a cas fails for no reason": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(consistent, "a", 5)), at(4, 9, swaps(5, "b", false)),
		}, faults: []string{"consistent: not linearizable"}},
		"a refused write is there": {history: history{
			at(0, 1, turnedDown(puts("a"))), at(2, 3, reads(stale, "a", 5)),
		}, faults: []string{`shows "a", which was refused`}},
		"a cas that failed is there": {history: history{
			at(0, 1, puts("x")), at(2, 3, swaps(3, "a", false)), at(4, 5, reads(stale, "a", 5)),
		}, faults: []string{`shows "a", which a cas did not write`}},
		"a value of nobody": {history: history{
			at(2, 3, reads(stale, "a", 5)),
		}, faults: []string{`shows "a", which nobody wrote`}},
		"a write is repeated": {history: history{
			at(0, 1, puts("a")), at(2, 3, reads(stale, "a", 5)), at(4, 5, reads(stale, "a", 6)),
		}, faults: []string{`"a" was written twice, at 5 and 6`}},
		"two replicas differ": {history: history{
			at(0, 9, puts("a")), at(0, 9, puts("b")), at(2, 3, reads(stale, "a", 5)), at(4, 5, from("s2", reads(stale, "b", 5))),
		}, faults: []string{`index 5 has the values "a" and "b"`, "consistent: not linearizable"}},
		"indexes against the order": {history: history{
			at(0, 1, puts("a")), at(2, 3, puts("b")), at(4, 5, from("s2", reads(stale, "a", 7))), at(4, 5, reads(stale, "b", 6)),
		}, faults: []string{"consistent: not linearizable"}},
	} {
		t.Run(name, func(t *testing.T) {
			faults, excused := examine(c.history.sorted(), c.pauses)
			if excused != c.excused || len(faults) != len(c.faults) {
				t.Fatalf("faults %v, %d excused; want %v, %d", faults, excused, c.faults, c.excused)
			}
			for i, f := range faults {
				if !strings.Contains(f.String(), c.faults[i]) {
					t.Errorf("fault %v, want %q", f, c.faults[i])
				}
			}
		})
	}
}

// A replica that is always right gives histories without faults, however many of its answers get lost, and one read of the
// past is found in them.
func TestExamineSimulated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		h := simulated(random, 200)
		if faults, _ := examine(h, nil); len(faults) != 0 {
			t.Fatal(faults)
		}
		first := slices.IndexFunc(h, func(o op) bool { return o.Kind == get && o.Value != "" })
		last := len(h) - 1
		for o := &h[last]; o.Kind != get || o.Mode != consistent || o.Value == h[first].Value; o = &h[last] {
			last--
		}
		h[last].Value, h[last].Modify = h[first].Value, h[first].Modify
		if f := linearizable("k", h, consistent); f == nil {
			t.Fatalf("operation %d reads the past and passes", last)
		}
	}
}

// simulated is a history of eight clients on one key, of which one answer in ten is lost.
func simulated(random *rand.Rand, n int) history {
	var h history
	value, index, next := "", uint64(1), uint64(2)
	read := uint64(0) // the index that a read has shown last
	free := [8]int64{}
	for i := range n {
		c := random.IntN(len(free))
		point := int64(i+1) * 100 // when it takes effect
		o := op{Client: c, Key: "k", Outcome: done, Agent: "s1", Call: max(free[c]+1, point-random.Int64N(400)), Return: point + random.Int64N(400)}
		if o.Call > point {
			continue
		}
		free[c] = o.Return
		write := func(v string) {
			if random.IntN(10) == 0 {
				o.Outcome = open
				if random.IntN(2) == 0 {
					return
				}
			}
			value, index, next = v, next, next+1
		}
		switch random.IntN(5) {
		case 0:
			o.Kind, o.Value = put, "v"+string(rune('0'+c))+"-"+time.Duration(i).String()
			write(o.Value)
		case 1:
			if o.Kind = remove; value != "" {
				write("")
			}
		case 2:
			o.Kind, o.Value, o.Expect = cas, "c"+time.Duration(i).String(), 0
			if random.IntN(2) == 0 {
				o.Expect = read
			}
			if o.Swapped = value != "" && o.Expect == index || value == "" && o.Expect == 0; o.Swapped {
				write(o.Value)
			}
		default:
			o.Kind, o.Mode, o.Value, o.Index = get, []string{consistent, byDefault}[random.IntN(2)], value, index
			if value != "" {
				o.Modify, read = index, index
			}
		}
		h = append(h, o)
	}
	return h.sorted()
}

func TestSaveHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.json")
	h := history{at(1, 2, puts("a")), at(3, 4, reads(stale, "a", 5)), at(4, 5, opens(swaps(5, "b", false)))}
	if err := h.save(file); err != nil {
		t.Fatal(err)
	}
	again, err := loadHistory(file)
	if err != nil || !slices.Equal(h, again) {
		t.Errorf("saved %v, loaded %v %v", h, again, err)
	}
}

// TestSavedHistory examines the history that a failed run has left in the directory CHAOS_HISTORY.
func TestSavedHistory(t *testing.T) {
	dir := os.Getenv("CHAOS_HISTORY")
	if dir == "" {
		t.Skip("CHAOS_HISTORY is not set")
	}
	h, err := loadHistory(filepath.Join(dir, "history.json"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "nemesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	var deeds []deed
	if err := json.Unmarshal(content, &deeds); err != nil {
		t.Fatal(err)
	}
	faults, excused := examine(h, pausesOf(deeds))
	t.Logf("%d operations on %d keys, %d excused", len(h), len(h.byKey()), excused)
	for _, f := range faults {
		t.Error(f)
	}
}
