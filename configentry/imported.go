package configentry

import (
	"fmt"

	"lictor/consulsnap"
	"lictor/state"
)

// Import takes over an entry as Consul has saved it. Kinds that are not stored here are left out.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	if !KnownKind(f.String("Kind")) {
		return consulsnap.ErrNotSupported
	}
	if sources, ok := f["Sources"].([]any); ok {
		for _, s := range sources {
			if m, ok := s.(map[string]any); ok {
				if err := consulsnap.Fields(m).Times("LegacyCreateTime", "LegacyUpdateTime"); err != nil {
					return err
				}
			}
		}
	}
	times(f["Status"])
	e, err := parse(Form(f), false)
	if err != nil {
		return fmt.Errorf("%w: %w", consulsnap.ErrDamaged, err)
	}
	if e.Name == "" {
		return fmt.Errorf("%w: an entry of kind %s without a name", consulsnap.ErrDamaged, e.Kind)
	}
	e.CreateIndex, e.ModifyIndex = f.Uint("CreateIndex"), f.Uint("ModifyIndex")
	Entries.Insert(tx, e)
	touch(tx, e.Kind)
	return nil
}

// times forgets when a gateway's or route's conditions have changed: they are found anew.
func times(status any) {
	if m, ok := status.(map[string]any); ok {
		delete(m, "Conditions")
	}
}
