package chaos

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// A fault is something in a history that cannot be true.
type fault struct {
	Key  string
	Mode string `json:",omitempty"`
	Text string
	info *porcupine.LinearizationInfo // to be drawn; nil if Porcupine did not find it
}

func (f fault) String() string { return fmt.Sprintf("%s %s: %s", f.Key, f.Mode, f.Text) }

// A pause is a time for which a process was stopped.
type pause struct{ Begin, End int64 }

// lease is how long a leader that hears of nobody takes itself for the leader, at raft_multiplier 1, and what it then
// takes to notice.
const lease = int64(time.Second)

// patience is how long Porcupine may search for one key.
const patience = 20 * time.Second

// examine checks a history. Excused tells how many keys have default reads that were true only a lease and a pause ago,
// as a leader that was stopped may answer them.
func examine(h history, pauses []pause) (faults []fault, excused int) {
	keys := h.byKey()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		of := keys[key]
		faults = append(faults, identities(key, of)...)
		faults = append(faults, origins(key, of)...)
		faults = append(faults, steadiness(key, of)...)
		if f := linearizable(key, of, consistent); f != nil {
			faults = append(faults, *f)
			continue // and so are the default reads
		}
		f := linearizable(key, of, byDefault)
		if f != nil && linearizable(key, widened(of, pauses), byDefault) == nil {
			excused++
		} else if f != nil {
			faults = append(faults, *f)
		}
	}
	return faults, excused
}

func linearizable(key string, h history, mode string) *fault {
	result, info := porcupine.CheckOperationsVerbose(model, operations(h, mode), patience)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return &fault{Key: key, Mode: mode, Text: "not linearizable", info: &info}
	default:
		return &fault{Key: key, Mode: mode, Text: fmt.Sprintf("not decided within %s", patience), info: &info}
	}
}

// widened lets the default reads that ended soon after a pause have begun a lease before it.
func widened(h history, pauses []pause) history {
	h = slices.Clone(h)
	for i := range h {
		o := &h[i]
		if o.Kind != get || o.Mode != byDefault {
			continue
		}
		for _, p := range pauses {
			if o.Return > p.Begin && o.Call < p.End+lease {
				o.Call = min(o.Call, p.Begin-lease)
			}
		}
	}
	return h
}

// identities: one ModifyIndex has one value, and one write takes effect once.
func identities(key string, h history) (faults []fault) {
	value, index := map[uint64]string{}, map[string]uint64{}
	for _, o := range h {
		if o.Kind != get || o.Outcome != done || o.Value == "" {
			continue
		}
		if v, ok := value[o.Modify]; ok && v != o.Value {
			faults = append(faults, fault{Key: key, Mode: o.Mode, Text: fmt.Sprintf("index %d has the values %q and %q", o.Modify, v, o.Value)})
		}
		if i, ok := index[o.Value]; ok && i != o.Modify {
			faults = append(faults, fault{Key: key, Mode: o.Mode, Text: fmt.Sprintf("%q was written twice, at %d and %d", o.Value, i, o.Modify)})
		}
		value[o.Modify], index[o.Value] = o.Value, o.Modify
	}
	return faults
}

// origins: what a read finds was written by an operation that began before the read ended and that was not refused.
func origins(key string, h history) (faults []fault) {
	from := map[string]*op{}
	for i := range h {
		if h[i].writes() && h[i].Value != "" {
			from[h[i].Value] = &h[i]
		}
	}
	for _, o := range h {
		if o.Kind != get || o.Outcome != done || o.Value == "" {
			continue
		}
		why := ""
		switch w := from[o.Value]; {
		case w == nil:
			why = "nobody wrote"
		case w.Outcome == refused:
			why = "was refused with " + w.Note
		case w.Kind == cas && w.Outcome == done && !w.Swapped:
			why = "a cas did not write"
		case w.Call > o.Return:
			why = "was not written yet"
		}
		if why != "" {
			faults = append(faults, fault{Key: key, Mode: o.Mode, Text: fmt.Sprintf("a read at %d shows %q, which %s", o.Call, o.Value, why)})
		}
	}
	return faults
}

// steadiness: one process does not go back in what it shows of a key to reads of one mode that follow each other.
func steadiness(key string, h history) (faults []fault) {
	type view struct {
		agent   string
		process int
		mode    string
	}
	reads := map[view]history{}
	for _, o := range h {
		if o.Kind == get && o.Outcome == done && o.Process != 0 {
			v := view{o.Agent, o.Process, o.Mode}
			reads[v] = append(reads[v], o)
		}
	}
	for v, byCall := range reads {
		byReturn := slices.Clone(byCall)
		slices.SortFunc(byReturn, func(a, b op) int { return int(a.Return - b.Return) })
		byCall.sorted()
		var last op // with the highest index of those that had ended
		for _, o := range byCall {
			for len(byReturn) > 0 && byReturn[0].Return < o.Call {
				if byReturn[0].Index > last.Index {
					last = byReturn[0]
				}
				byReturn = byReturn[1:]
			}
			if o.Index < last.Index {
				faults = append(faults, fault{Key: key, Mode: v.mode, Text: fmt.Sprintf(
					"%s goes back from index %d (%q, at %d) to %d (%q, at %d)", v.agent, last.Index, last.Value, last.Call, o.Index, o.Value, o.Call)})
			}
		}
	}
	return faults
}
