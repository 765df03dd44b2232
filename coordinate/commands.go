package coordinate

import (
	"slices"
	"strings"

	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// Placed states that the place of a node was written. Whoever knows the nodes has to Remove it if there is none of that
// name, in the same transaction.
type Placed struct{ Node string }

// A BatchUpdate writes the places of nodes, and states Placed for each that has changed.
type BatchUpdate struct {
	Entries []*Entry
}

// Apply answers nothing.
func (b *BatchUpdate) Apply(tx *state.Tx) (any, error) {
	for _, e := range b.Entries {
		if e == nil || e.Node == "" || !e.Coord.Valid() {
			continue
		}
		if stored(tx, e) {
			continue
		}
		entries.Insert(tx, e)
		tx.Emit(Placed{e.Node})
		tx.Touch(nodeIndex + strings.ToLower(e.Node))
	}
	return nil, nil
}

// stored tells whether the place is the one that is stored.
func stored(tx *state.Tx, e *Entry) bool {
	old := entries.Get(tx, key(e.Node)+e.Segment)
	return old != nil && old.Node == e.Node && old.Coord.same(e.Coord)
}

func (c *Coordinate) same(d *Coordinate) bool {
	return c.Error == d.Error && c.Adjustment == d.Adjustment && c.Height == d.Height && slices.Equal(c.Vec, d.Vec)
}
