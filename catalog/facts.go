package catalog

// The facts that commands of this package state with state.Tx.Emit, for what depends on nodes and checks and must end
// in the same transaction. Names are as they were registered.

// NodeGone tells that a node was removed, with its services and checks, each of which is told as well.
type NodeGone struct{ Node string }

// ServiceGone tells that an instance was removed, or that it now belongs to another service.
type ServiceGone struct{ Node, ServiceID, Service string }

// CheckGone tells that a check was removed.
type CheckGone struct{ Node, CheckID string }

// CheckCritical tells that a check is critical now and was not before.
type CheckCritical struct{ Node, CheckID string }
