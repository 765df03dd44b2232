package kvreplication

import (
	"bytes"
	"slices"

	"lictor/kv"
	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A Configure puts rules in force in the place of all others. A rule that was in force already keeps its progress.
type Configure struct {
	Rules []Rule `msg:"Rules,allownil"`
}

// inForce tells whether the rules, and no others, are in force.
func (c *Configure) inForce(tx *state.Tx) bool {
	n := 0
	for range rules.All(tx) {
		n++
	}
	differs := func(r Rule) bool {
		p := rules.Get(tx, r.key())
		return p == nil || !p.Rule.same(&r)
	}
	return n == len(c.Rules) && !slices.ContainsFunc(c.Rules, differs)
}

// Apply answers nothing.
func (c *Configure) Apply(tx *state.Tx) (any, error) {
	old := map[string]*Progress{}
	for p := range rules.All(tx) {
		old[p.key()] = p
	}
	for _, r := range c.Rules {
		if p := old[r.key()]; p == nil || !p.Rule.same(&r) {
			rules.Insert(tx, &Progress{Rule: r, ModifyIndex: tx.Index()})
		}
		delete(old, r.key())
	}
	for _, p := range old {
		rules.Delete(tx, p)
	}
	return nil, nil
}

// An Op sets a key, or with Delete removes it.
type Op struct {
	Key    string
	Flags  uint64
	Value  []byte `msg:"Value,allownil"`
	Delete bool
}

// needed tells whether the operation would change something. What is copied is a key's value and flags: locks stay as they
// are, and a key that is copied has no TTL.
func (o *Op) needed(tx *state.Tx) bool {
	have := kv.Entries.Get(tx, o.Key)
	if o.Delete || have == nil {
		return o.Delete == (have != nil)
	}
	return have.Flags != o.Flags || have.TTL != "" || !bytes.Equal(have.Value, o.Value)
}

// A Batch changes keys and, in the same moment, how far a rule has come. It does nothing if the rule's row is not the one
// that was written at the index Seen: somebody else has gone on from there, or the rule is no longer in force.
type Batch struct {
	Seen uint64
	Next Progress
	Ops  []Op `msg:"Ops,allownil"`
}

// Apply answers the index at which the rule's row was last written; 0 if the batch was refused.
func (b *Batch) Apply(tx *state.Tx) (any, error) {
	row := rules.Get(tx, b.Next.key())
	if row == nil || row.ModifyIndex != b.Seen {
		return uint64(0), nil
	}
	for i := range b.Ops {
		switch o := &b.Ops[i]; {
		case !o.needed(tx):
		case o.Delete:
			kv.Remove(tx, o.Key)
		default:
			kv.Set(tx, &kv.Entry{Key: o.Key, Flags: o.Flags, Value: o.Value})
		}
	}
	if b.Next.same(row) {
		return row.ModifyIndex, nil
	}
	next := b.Next
	next.ModifyIndex = tx.Index()
	rules.Insert(tx, &next)
	return next.ModifyIndex, nil
}
