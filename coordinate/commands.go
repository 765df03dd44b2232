package coordinate

import (
	"slices"
	"strings"

	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// A BatchUpdate writes the places of nodes.
type BatchUpdate struct {
	Entries []*Entry
}

// Apply answers nothing.
func (b *BatchUpdate) Apply(tx *state.Tx) (any, error) {
	for _, e := range b.Entries {
		if e == nil || e.Node == "" || !e.Coord.Valid() {
			continue
		}
		old := entries.Get(tx, key(e.Node)+e.Segment)
		if old != nil && old.Node == e.Node && old.Coord.same(e.Coord) {
			continue
		}
		entries.Insert(tx, e)
		tx.Touch(nodeIndex + strings.ToLower(e.Node))
	}
	return nil, nil
}

func (c *Coordinate) same(d *Coordinate) bool {
	return c.Error == d.Error && c.Adjustment == d.Adjustment && c.Height == d.Height && slices.Equal(c.Vec, d.Vec)
}
