package catalog

import (
	"strings"

	"lictor/state"
)

// fold makes a key of names whose case does not matter.
func fold(names ...string) string {
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	return state.Key(names...)
}

// The names of the indexes that queries watch. Each moves when what it stands for changes, and with nothing else.
const (
	// nodeIndex stands for a node's own row.
	nodeIndex = "node/"
	// onNodeIndex stands for the services on a node.
	onNodeIndex = "node-services/"
	// nodeChecksIndex stands for the checks on a node, its own and those of its services.
	nodeChecksIndex = "node-checks/"
	// serviceIndex stands for the instances of a service with their checks and nodes.
	serviceIndex = "service/"
	// serviceChecksIndex stands for the checks of a service's instances.
	serviceChecksIndex = "service-checks/"
	// connectIndex stands for the instances that a service is reached through in the mesh, with their checks and nodes.
	connectIndex = "connect/"
	// statusIndex stands for the checks in one state.
	statusIndex = "status/"
)

func touch(tx *state.Tx, kind, name string) { tx.Touch(kind + strings.ToLower(name)) }

// changed is the index at which something last changed. What does not exist, or exists no more, has no index of its
// own: then it is that of the tables where it would be, of which the reader is not woken.
func changed(tx *state.Tx, kind, name string, tables ...string) uint64 {
	if at := tx.Changed(kind + strings.ToLower(name)); at > 0 {
		return at
	}
	return tx.Unwatched().Changed(tables...)
}

// destination is the service that an instance is a way into for the mesh; "" if it is none.
func (i *Instance) destination() string {
	switch {
	case i.Kind == ConnectProxy:
		return i.Proxy.DestinationServiceName
	case i.Connect.Native:
		return i.Service
	}
	return ""
}
