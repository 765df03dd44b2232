package txn

import (
	"errors"
	"fmt"

	"lictor/catalog"
)

// What is refused because of what is not there.
var (
	errMissingNode    = errors.New("Missing node registration")
	errMissingService = errors.New("Missing service registration")
)

// stale tells whether a verb that compares may not go on: what is there was not last changed at index.
func stale(exists bool, at, index uint64) bool {
	if !exists {
		return index != 0
	}
	return at != index
}

// node carries out an operation on a node, whose verb is known.
func (r *run) node(op *NodeOp) error {
	name, want := op.Node.Node, op.Node.ModifyIndex
	old := catalog.FindNode(r.tx, name)
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch op.Verb {
	case Get:
		if old == nil {
			return fmt.Errorf("node %q doesn't exist", name)
		}
		r.results = append(r.results, Result{Node: old})
		return nil
	case CAS:
		if stale(old != nil, at, want) {
			return fmt.Errorf("failed to set node %q, index is stale", name)
		}
	case DeleteCAS:
		if old == nil || at != want {
			return fmt.Errorf("failed to delete node %q, index is stale", name)
		}
	}
	if op.Verb == Delete || op.Verb == DeleteCAS {
		catalog.RemoveNode(r.tx, name)
		return nil
	}
	row, err := catalog.PutNode(r.tx, &op.Node)
	if err == nil {
		r.results = append(r.results, Result{Node: row})
	}
	return err
}

// service carries out an operation on an instance, whose verb is known.
func (r *run) service(op *ServiceOp) error {
	id, want := op.Service.ID, op.Service.ModifyIndex
	old := catalog.FindInstance(r.tx, op.Node, id)
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch op.Verb {
	case Get:
		if old == nil {
			return fmt.Errorf("service %q on node %q doesn't exist", id, op.Node)
		}
		r.results = append(r.results, Result{Service: weighted(old)})
		return nil
	case CAS:
		if stale(old != nil, at, want) {
			return fmt.Errorf("failed to set service %q on node %q, index is stale", id, op.Node)
		}
	case DeleteCAS:
		if old == nil || at != want {
			return fmt.Errorf("failed to delete service %q on node %q, index is stale", id, op.Node)
		}
	}
	if op.Verb == Delete || op.Verb == DeleteCAS {
		catalog.RemoveInstance(r.tx, op.Node, id)
		return nil
	}
	node := catalog.FindNode(r.tx, op.Node)
	if node == nil {
		return errMissingNode
	}
	r.results = append(r.results, Result{Service: weighted(catalog.PutInstance(r.tx, node.Node, &op.Service))})
	return nil
}

// weighted shows an instance with the weights that apply: Consul's client registers with none by writing zeros.
func weighted(i *catalog.Instance) *catalog.Instance {
	if i.Weights != nil && *i.Weights != (catalog.Weights{}) {
		return i
	}
	shown := *i
	shown.Weights = &catalog.Weights{Passing: 1, Warning: 1}
	return &shown
}

// check carries out an operation on a check, whose verb is known.
func (r *run) check(op *CheckOp) error {
	c := &op.Check
	old := catalog.FindCheck(r.tx, c.Node, c.CheckID)
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch op.Verb {
	case Get:
		if old == nil {
			return fmt.Errorf("check %q on node %q doesn't exist", c.CheckID, c.Node)
		}
		r.results = append(r.results, Result{Check: old})
		return nil
	case CAS:
		if stale(old != nil, at, c.ModifyIndex) {
			return fmt.Errorf("failed to set check %q on node %q, index is stale", c.CheckID, c.Node)
		}
	case DeleteCAS:
		if old == nil || at != c.ModifyIndex {
			return fmt.Errorf("failed to delete check %q on node %q, index is stale", c.CheckID, c.Node)
		}
	}
	if op.Verb == Delete || op.Verb == DeleteCAS {
		catalog.RemoveCheck(r.tx, c.Node, c.CheckID)
		return nil
	}
	return r.putCheck(c)
}

func (r *run) putCheck(c *catalog.Check) error {
	node := catalog.FindNode(r.tx, c.Node)
	if node == nil {
		return errMissingNode
	}
	if c.ServiceID != "" && catalog.FindInstance(r.tx, node.Node, c.ServiceID) == nil {
		return errMissingService
	}
	r.results = append(r.results, Result{Check: catalog.PutCheck(r.tx, node.Node, c)})
	return nil
}
