package catalog

import (
	"fmt"
	"iter"
	"maps"
	"strings"

	"lictor/state"
)

// SerfHealth is the identifier of the check by which the leader tells whether a node's agent is alive.
const SerfHealth = "serfHealth"

// FindNode finds a node by its name, or nil.
func FindNode(tx *state.Tx, name string) *Node { return nodes.Get(tx, fold(name)) }

// HasNode tells whether there is a node with this name.
func HasNode(tx *state.Tx, name string) bool { return FindNode(tx, name) != nil }

// FindNodeByID finds a node by its identifier, or nil.
func FindNodeByID(tx *state.Tx, id string) *Node {
	if id == "" {
		return nil
	}
	return nodes.First(tx, "uuid", fold(id))
}

// same tells whether writing n over old would change nothing.
func (n *Node) same(old *Node) bool {
	return old != nil && old.ID == n.ID && old.Node == n.Node && old.Address == n.Address &&
		old.Datacenter == n.Datacenter && old.PeerName == n.PeerName &&
		equal(old.Locality, n.Locality) && maps.Equal(old.TaggedAddresses, n.TaggedAddresses) && maps.Equal(old.Meta, n.Meta)
}

// equal tells whether both point to the same values, or to nothing.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// claim tells why a node may not have its name: somebody else who is alive has it.
func (n *Node) claim(tx *state.Tx) error {
	holder := FindNode(tx, n.Node)
	if n.ID == "" || holder == nil || holder.ID == "" || strings.EqualFold(holder.ID, n.ID) || !alive(tx, holder) {
		return nil
	}
	return fmt.Errorf("Error while renaming Node ID: %q: Node name %s is reserved by node %s with name %s (%s)",
		n.ID, n.Node, holder.ID, holder.Node, holder.Address)
}

func alive(tx *state.Tx, n *Node) bool {
	c := FindCheck(tx, n.Node, SerfHealth)
	return c != nil && c.Status != Critical
}

// PutNode writes a node and gives the row as it is then. A node whose identifier is known by another name is renamed,
// and loses its services and checks. It fails, and has changed nothing, if the name belongs to a node that is alive.
func PutNode(tx *state.Tx, n *Node) (*Node, error) {
	if err := n.claim(tx); err != nil {
		return nil, err
	}
	if was := FindNodeByID(tx, n.ID); was != nil && !strings.EqualFold(was.Node, n.Node) {
		RemoveNode(tx, was.Node)
	}
	old := FindNode(tx, n.Node)
	if n.same(old) {
		return old, nil
	}
	row := *n
	row.CreateIndex, row.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		row.CreateIndex = old.CreateIndex
	}
	nodes.Insert(tx, &row)
	touch(tx, nodeIndex, row.Node)
	touchAllOn(tx, row.Node)
	return &row, nil
}

// RemoveNode removes a node with its services and checks, if it is there.
func RemoveNode(tx *state.Tx, name string) {
	n := FindNode(tx, name)
	if n == nil {
		return
	}
	for i := range instances.Prefix(tx, "id", fold(name)) {
		removeInstance(tx, i)
	}
	for c := range checks.Prefix(tx, "id", fold(name)) {
		removeCheck(tx, c)
	}
	nodes.Delete(tx, n)
	for _, kind := range []string{nodeIndex, onNodeIndex, nodeChecksIndex} {
		tx.Forget(kind + strings.ToLower(name))
	}
	tx.Emit(NodeGone{Node: n.Node})
}

// touchAllOn moves the indexes of all services on a node, for a change that concerns every one of them.
func touchAllOn(tx *state.Tx, node string) {
	for i := range instances.Prefix(tx, "id", fold(node)) {
		i.touch(tx)
	}
}

// AllNodes runs over all nodes in the order of their names.
func AllNodes(tx *state.Tx) iter.Seq[*Node] { return nodes.All(tx) }
