// Package coordinate keeps the places of nodes in the space of round-trip times, and estimates from them how far two
// nodes are apart. It knows neither how the places are found nor which nodes there are.
package coordinate

import (
	"math"
	"strings"
	"time"

	"lictor/state"
)

//go:generate go tool msgp -o coordinate_gen.go -tests=false -io=false

// Dimensions is the length of every Vec.
const Dimensions = 8

// A Coordinate is a place: a point in a space in which distances are seconds, a height above it for the way from the
// node to the network, an adjustment that this node's measurements ask for, and how far off the whole may be.
type Coordinate struct {
	Vec        []float64 `msg:"Vec,allownil"`
	Error      float64
	Adjustment float64
	Height     float64
}

// Valid tells whether the coordinate is of this space and all of its numbers are finite.
func (c *Coordinate) Valid() bool {
	if c == nil || len(c.Vec) != Dimensions {
		return false
	}
	for _, x := range append([]float64{c.Error, c.Adjustment, c.Height}, c.Vec...) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// Distance estimates the round trip between two places, both of which are valid: the way through the space and both
// heights, corrected by both adjustments as long as that leaves more than nothing.
func (c *Coordinate) Distance(to *Coordinate) time.Duration {
	var squares float64
	for i, x := range c.Vec {
		squares += (x - to.Vec[i]) * (x - to.Vec[i])
	}
	seconds := math.Sqrt(squares) + c.Height + to.Height
	if adjusted := seconds + c.Adjustment + to.Adjustment; adjusted > 0 {
		seconds = adjusted
	}
	if seconds >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(seconds * float64(time.Second))
}

// An Entry is the place of a node, as clients see it and as it is stored.
type Entry struct {
	Node    string
	Segment string
	Coord   *Coordinate
}

var entries = state.NewTable("coordinates", func(e *Entry) string { return key(e.Node) + e.Segment })

// key is where the entries of a node begin.
func key(node string) string { return state.Key(strings.ToLower(node)) }

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{entries} }

// Distance estimates the round trip between two nodes; ok is false if the place of one is not known.
func Distance(tx *state.Tx, a, b string) (rtt time.Duration, ok bool) {
	from, to := find(tx, a), find(tx, b)
	if from == nil || to == nil {
		return 0, false
	}
	return from.Coord.Distance(to.Coord), true
}

func find(tx *state.Tx, node string) *Entry {
	for e := range entries.Prefix(tx, "id", key(node)) {
		return e
	}
	return nil
}

// Remove forgets the places of a node, for one that is gone.
func Remove(tx *state.Tx, node string) {
	for e := range entries.Prefix(tx, "id", key(node)) {
		entries.Delete(tx, e)
	}
	tx.Forget(nodeIndex + strings.ToLower(node))
}

// nodeIndex with a node's name is the index that moves when the node's place does.
const nodeIndex = "coordinate/"
