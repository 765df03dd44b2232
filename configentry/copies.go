package configentry

import (
	"context"

	"lictor/acl"
	"lictor/replica"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o copies_gen.go -tests=false -io=false

// Copied are the rows of the primary datacenter that others copy: all entries.
func Copied() []replica.Kind[acl.Authorizer] {
	return []replica.Kind[acl.Authorizer]{&replica.Table[acl.Authorizer, Entry]{Name: "config-entries", Rows: Entries,
		Key:  func(e *Entry) string { return key(e.Kind, e.Name) },
		Bare: func(e Entry) Entry { e.CreateIndex, e.ModifyIndex = 0, 0; return e },
		May: func(az acl.Authorizer, e *Entry, _ bool) error {
			if e == nil {
				return acl.Require(az, acl.Operator, "", acl.Read)
			}
			return may(az, e.Kind, e.Name, acl.Read)
		},
		Command: func(rows []*Entry, gone []string) (state.Command, error) { return &Copy{rows, gone}, nil }}}
}

// A Copy makes entries what they are in the primary datacenter, and removes those that are gone there, named by their keys in
// the table. They are not asked whether they agree: in the primary datacenter they do, and which of them come together in a
// Copy is chance.
type Copy struct {
	Set  []*Entry `msg:"Set,allownil"`
	Gone []string `msg:"Gone,allownil"`
}

// Apply answers nothing.
func (c *Copy) Apply(tx *state.Tx) (any, error) {
	for _, k := range c.Gone {
		if old := Entries.Get(tx, k); old != nil {
			Entries.Delete(tx, old)
			touch(tx, old.Kind)
		}
	}
	for _, e := range c.Set {
		insert(tx, *e)
	}
	return nil, nil
}

// Own says that the primary datacenter carries out all that changes entries and intentions, where this is another one.
func Own(r *rpc.Registry[acl.Authorizer]) {
	rpc.Own(r, PutMethod, func(context.Context, rpc.Header, *Put) bool { return true })
	rpc.Own(r, DeleteMethod, func(context.Context, rpc.Header, *Delete) bool { return true })
	rpc.Own(r, ChangeIntentionMethod, func(context.Context, rpc.Header, *ChangeIntention) bool { return true })
}
