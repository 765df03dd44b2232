package query

import (
	"fmt"

	"lictor/consulsnap"
	"lictor/session"
	"lictor/state"
)

// Import takes over a query as Consul has saved it. Queries that look in peers are left out, as there are none. The session
// of a query must be there.
func Import(tx *state.Tx, f consulsnap.Fields) error {
	q := &Query{}
	if err := f.Into(q); err != nil {
		return err
	}
	if validID(q.ID) != nil || q.Service.Service == "" || q.Session != "" && session.Find(tx, q.Session) == nil {
		return fmt.Errorf("%w: prepared query %q for service %q with session %q", consulsnap.ErrDamaged, q.ID, q.Service.Service, q.Session)
	}
	if q.isTemplate() && q.compile() != nil || q.validate() != nil {
		return consulsnap.ErrNotSupported
	}
	Queries.Insert(tx, q)
	return nil
}
