package chaos

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// The model is one key. Each value is written by one operation only, so it stands for its ModifyIndex, too, as far as a
// read has shown which one it had.
//
// An open write that a read has shown took effect before that read ended. One that none has shown can matter in one way
// only: it explains, once, why a cas failed or a key is not there. To leave those out, and let the steps that need an
// explanation use them up, keeps Porcupine's search short: with them it would try each at every point to the end.
type step struct {
	*op
	expect  string // the value that a cas is for
	index   uint64 // ModifyIndex of what it wrote; 0 if no read has shown it
	puts    int    // open puts that no read has shown and that began before this ended
	deletes int    // the same of deletes
	swapped bool   // there is such a cas with the same expectation
}

// A register is the state of a key.
type register struct {
	value         string // "" is a key that is not there, unshown some value
	index         uint64 // no later write has a lower one
	puts, deletes int    // open writes that were used up
}

const unshown = "?"

func (r register) write(s *step, value string) []any {
	if s.index != 0 {
		if s.index <= r.index {
			return nil
		}
		r.index = s.index
	}
	r.value = value
	return []any{r}
}

// deleted is the register after an open delete.
func (r register) deleted(s *step) (register, bool) {
	ok := r.value != "" && r.deletes < s.deletes
	r.value, r.deletes = "", r.deletes+1
	return r, ok
}

// apply is what the key may be after a step; nothing if the step cannot have happened.
func (r register) apply(s *step) []any {
	hits := r.value == s.expect
	switch {
	case s.Kind == put:
		return r.write(s, s.Value)
	case s.Kind == remove:
		return r.write(s, "")
	case s.Kind == get && r.value == s.Value:
		return []any{r}
	case s.Kind == get:
		if d, ok := r.deleted(s); ok && s.Value == "" {
			return []any{d}
		}
		return nil
	case s.Outcome == done && !s.Swapped:
		return r.fail(s, hits)
	case hits:
		return r.write(s, s.Value)
	}
	if d, ok := r.deleted(s); ok && s.expect == "" {
		return d.write(s, s.Value)
	}
	return nil
}

// fail is a cas that found something else than it was for.
func (r register) fail(s *step, hits bool) (next []any) {
	if !hits {
		return []any{r}
	}
	if d, ok := r.deleted(s); ok {
		next = append(next, d)
	}
	other := r
	other.value = unshown
	if s.swapped {
		next = append(next, other)
	}
	if other.puts++; other.puts <= s.puts {
		next = append(next, other)
	}
	return next
}

var model = (&porcupine.NondeterministicModel{
	Init:              func() []any { return []any{register{}} },
	Step:              func(state, input, _ any) []any { return state.(register).apply(input.(*step)) },
	DescribeOperation: func(input, _ any) string { return input.(*step).String() },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}).ToModel()

func (s *step) String() string {
	text := fmt.Sprintf("%s(%s)", s.Kind, s.Value)
	switch s.Kind {
	case cas:
		text = fmt.Sprintf("cas(%q -> %s) %t", s.expect, s.Value, s.Swapped)
	case get:
		text = fmt.Sprintf("get = %q @%d", s.Value, s.Modify)
	}
	if s.Outcome == open {
		text += " open"
	}
	return text + " at " + s.Agent
}

// operations brings the writes to one key, and the reads of one mode, into Porcupine's form, which has the whole step as
// its input and no output.
func operations(h history, mode string) []porcupine.Operation {
	reads := shown(h)
	var all []porcupine.Operation
	var hidden history // open writes that no read has shown
	for i := range h {
		o := &h[i]
		if o.Outcome == refused || !o.writes() && (o.Mode != mode || o.Outcome != done) {
			continue
		}
		s, end := &step{op: o}, o.Return
		if o.Kind == cas && o.Expect != 0 {
			s.expect = reads.value[o.Expect]
		}
		if by, ok := reads.by[o.Value]; ok && o.writes() && o.Value != "" {
			s.index = by.Modify
			if o.Outcome == open {
				end = by.Return
			}
		} else if o.Outcome == open {
			hidden = append(hidden, *o)
			continue
		}
		all = append(all, porcupine.Operation{ClientId: o.Client, Input: s, Call: o.Call, Return: end})
	}
	for _, o := range all {
		explain(o.Input.(*step), o.Return, hidden)
	}
	return all
}

// explain notes which open writes may have come before the end of a step.
func explain(s *step, end int64, hidden history) {
	for i := range hidden {
		o := &hidden[i]
		switch {
		case o.Call >= end:
		case o.Kind == put:
			s.puts++
		case o.Kind == remove:
			s.deletes++
		case o.Expect == s.Expect:
			s.swapped = true
		}
	}
}

// A showing is what the reads of a key found.
type showing struct {
	value map[uint64]string // of each index
	by    map[string]op     // the read that was the first to have shown a value
}

func shown(h history) showing {
	s := showing{map[uint64]string{}, map[string]op{}}
	for _, o := range h {
		if o.Kind != get || o.Outcome != done || o.Value == "" {
			continue
		}
		s.value[o.Modify] = o.Value
		if first, ok := s.by[o.Value]; !ok || o.Return < first.Return {
			s.by[o.Value] = o
		}
	}
	return s
}
