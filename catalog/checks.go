package catalog

import (
	"fmt"
	"reflect"

	"lictor/state"
)

// FindCheck finds a check by its node and identifier, or nil.
func FindCheck(tx *state.Tx, node, id string) *Check { return checks.Get(tx, fold(node, id)) }

// same tells whether writing c over old would change nothing.
func (c *Check) same(old *Check) bool {
	if old == nil {
		return false
	}
	a, b := *c, *old
	a.CreateIndex, a.ModifyIndex = 0, 0
	b.CreateIndex, b.ModifyIndex = 0, 0
	a.settle()
	b.settle()
	return reflect.DeepEqual(&a, &b)
}

// settle makes nil of what is empty, so that checks can be compared.
func (c *Check) settle() {
	if len(c.ServiceTags) == 0 {
		c.ServiceTags = nil
	}
	if len(c.Definition.Header) == 0 {
		c.Definition.Header = nil
	}
	if len(c.Definition.ScriptArgs) == 0 {
		c.Definition.ScriptArgs = nil
	}
}

// RequireService tells why the check may not be written: the service that it is of is not on the node.
func (c *Check) RequireService(tx *state.Tx, node string) error {
	if c.ServiceID == "" || FindInstance(tx, node, c.ServiceID) != nil {
		return nil
	}
	return fmt.Errorf("Unknown service ID '%s' for check ID '%s'", c.ServiceID, c.CheckID)
}

// PutCheck writes a check of a node, or of an instance on it, which must be there, and gives the row as it is then.
// What the check tells of its service is taken from the instance.
func PutCheck(tx *state.Tx, node string, c *Check) *Check {
	row := *c
	row.Node = node
	if row.Status == "" {
		row.Status = Critical
	}
	if of := FindInstance(tx, node, row.ServiceID); of != nil && row.ServiceID != "" {
		row.ServiceName, row.ServiceTags = of.Service, of.Tags
	}
	old := FindCheck(tx, node, row.CheckID)
	if row.same(old) {
		return old
	}
	row.CreateIndex, row.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		row.CreateIndex = old.CreateIndex
	}
	checks.Insert(tx, &row)
	row.touch(tx)
	if old != nil && (old.ServiceID != row.ServiceID || old.ServiceName != row.ServiceName) {
		old.touch(tx)
	} else if old != nil {
		old.touchStatus(tx)
	}
	if row.Status == Critical && (old == nil || old.Status != Critical) {
		tx.Emit(CheckCritical{Node: node, CheckID: row.CheckID})
	}
	return &row
}

// RemoveCheck removes a check, if it is there.
func RemoveCheck(tx *state.Tx, node, id string) {
	if c := FindCheck(tx, node, id); c != nil {
		removeCheck(tx, c)
	}
}

func removeCheck(tx *state.Tx, c *Check) {
	checks.Delete(tx, c)
	c.touch(tx)
	tx.Emit(CheckGone{Node: c.Node, CheckID: c.CheckID})
}

// touch moves the indexes of what the check tells of.
func (c *Check) touch(tx *state.Tx) {
	touch(tx, nodeChecksIndex, c.Node)
	c.touchStatus(tx)
	if c.ServiceID == "" {
		touchAllOn(tx, c.Node)
		return
	}
	touchOrForget(tx, serviceChecksIndex, c.ServiceName, checks.First(tx, "service", fold(c.ServiceName)) != nil)
	if of := FindInstance(tx, c.Node, c.ServiceID); of != nil {
		of.touch(tx)
	}
}

// touchStatus moves the index of the check's state.
func (c *Check) touchStatus(tx *state.Tx) {
	touchOrForget(tx, statusIndex, c.Status, usual(c.Status) || checks.First(tx, "status", fold(c.Status)) != nil)
}

// usual tells whether a state is one of the few that there always are.
func usual(status string) bool { return status == Passing || status == Warning || status == Critical }
