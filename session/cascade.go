package session

import (
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/state"
)

// Cascade ends the sessions that depend on what has ended: nodes, and checks that are gone or critical. A node's place in
// the space of round trips goes with it. Cascade takes the facts that the command has stated and leaves those of what ended
// in their place, for Delays.Note. It is called in the transaction of each command, after it, and may be called more
// than once.
func Cascade(tx *state.Tx) {
	var ended []Ended
	for events := tx.Events(); len(events) > 0; events = tx.Events() {
		for _, e := range events {
			switch e := e.(type) {
			case coordinate.Placed:
				if !catalog.HasNode(tx, e.Node) {
					coordinate.Remove(tx, e.Node)
				}
			case catalog.NodeGone:
				coordinate.Remove(tx, e.Node)
				end(tx, "node", fold(e.Node))
			case catalog.CheckGone:
				end(tx, "check", fold(e.Node, e.CheckID))
			case catalog.CheckCritical:
				end(tx, "check", fold(e.Node, e.CheckID))
			case Ended:
				ended = append(ended, e)
			}
		}
	}
	for _, e := range ended {
		tx.Emit(e)
	}
}

func end(tx *state.Tx, index, key string) {
	for s := range Sessions.Each(tx, index, key) {
		Remove(tx, s.ID)
	}
}
