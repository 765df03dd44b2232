package catalog

import (
	"reflect"
	"strings"

	"lictor/state"
)

// FindInstance finds an instance by its node and identifier, or nil.
func FindInstance(tx *state.Tx, node, id string) *Instance { return instances.Get(tx, fold(node, id)) }

// same tells whether writing i over old would change nothing.
func (i *Instance) same(old *Instance) bool {
	if old == nil {
		return false
	}
	a, b := *i, *old
	a.CreateIndex, a.ModifyIndex = 0, 0
	b.CreateIndex, b.ModifyIndex = 0, 0
	a.settle()
	b.settle()
	return reflect.DeepEqual(&a, &b)
}

// settle makes nil of what is empty, so that instances can be compared.
func (i *Instance) settle() {
	if len(i.Tags) == 0 {
		i.Tags = nil
	}
	if len(i.Meta) == 0 {
		i.Meta = nil
	}
	if len(i.TaggedAddresses) == 0 {
		i.TaggedAddresses = nil
	}
	if len(i.Proxy.Upstreams) == 0 {
		i.Proxy.Upstreams = nil
	}
	if len(i.Proxy.Config) == 0 {
		i.Proxy.Config = nil
	}
	if len(i.Proxy.Expose.Paths) == 0 {
		i.Proxy.Expose.Paths = nil
	}
}

// PutInstance writes an instance on a node, which must be there, and gives the row as it is then.
func PutInstance(tx *state.Tx, node string, i *Instance) *Instance {
	row := *i
	row.Node = node
	if row.Weights == nil {
		row.Weights = &Weights{Passing: 1, Warning: 1}
	}
	withVirtual(tx, &row)
	old := FindInstance(tx, node, row.ID)
	if row.same(old) {
		return old
	}
	row.CreateIndex, row.ModifyIndex = tx.Index(), tx.Index()
	if old != nil {
		row.CreateIndex = old.CreateIndex
	}
	instances.Insert(tx, &row)
	touch(tx, onNodeIndex, node)
	row.touch(tx)
	if old != nil {
		old.detach(tx)
	}
	if old != nil && !strings.EqualFold(old.Service, row.Service) {
		tx.Emit(ServiceGone{Node: old.Node, ServiceID: old.ID, Service: old.Service})
	}
	return &row
}

// touch moves the indexes of what the instance belongs to.
func (i *Instance) touch(tx *state.Tx) {
	touch(tx, serviceIndex, i.Service)
	if to := i.destination(); to != "" {
		touch(tx, connectIndex, to)
	}
}

// detach moves the indexes of what an instance belonged to, forgets those of what has no instance left, and takes the
// address of such a service back.
func (i *Instance) detach(tx *state.Tx) {
	touchOrForget(tx, serviceIndex, i.Service, instances.First(tx, "service", fold(i.Service)) != nil)
	unassign(tx, i.Service)
	if to := i.destination(); to != "" {
		touchOrForget(tx, connectIndex, to, instances.First(tx, "connect", fold(to)) != nil)
		unassign(tx, to)
	}
}

func touchOrForget(tx *state.Tx, kind, name string, exists bool) {
	if exists {
		touch(tx, kind, name)
	} else {
		tx.Forget(kind + strings.ToLower(name))
	}
}

// RemoveInstance removes an instance with its checks, if it is there.
func RemoveInstance(tx *state.Tx, node, id string) {
	if i := FindInstance(tx, node, id); i != nil {
		removeInstance(tx, i)
	}
}

func removeInstance(tx *state.Tx, i *Instance) {
	for c := range checks.Each(tx, "owner", fold(i.Node, i.ID)) {
		removeCheck(tx, c)
	}
	instances.Delete(tx, i)
	touch(tx, onNodeIndex, i.Node)
	i.detach(tx)
	tx.Emit(ServiceGone{Node: i.Node, ServiceID: i.ID, Service: i.Service})
}
