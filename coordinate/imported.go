package coordinate

import (
	"strings"

	"lictor/consulsnap"
	"lictor/state"
)

// Import takes over the place of a node as Consul has saved it. Places that are none are left out, as they are when an
// agent sends them.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	e := &Entry{}
	if err := f.Into(e); err != nil {
		return err
	}
	if e.Node == "" || !e.Coord.Valid() {
		return nil
	}
	entries.Insert(tx, e)
	tx.Touch(nodeIndex + strings.ToLower(e.Node))
	return nil
}
