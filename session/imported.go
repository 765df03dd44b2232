package session

import (
	"fmt"

	"lictor/catalog"
	"lictor/consulsnap"
	"lictor/state"
)

// Import takes over a session as Consul has saved it. Its node must be there.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	s := &Session{}
	if err := f.Into(s); err != nil {
		return err
	}
	if s.ID == "" || !catalog.HasNode(tx, s.Node) {
		return fmt.Errorf("%w: session %q of node %q, which is not there", consulsnap.ErrDamaged, s.ID, s.Node)
	}
	if s.Behavior != KeysDelete {
		s.Behavior = KeysRelease
	}
	Sessions.Insert(tx, s)
	return nil
}
