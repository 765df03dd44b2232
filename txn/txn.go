// Package txn carries out several operations on keys, nodes, services, checks and sessions, all or none of them. It
// knows which operations there are and who may do them; what each does is known to the package of what it is about.
package txn

import (
	"time"

	"lictor/catalog"
	"lictor/kv"
	"lictor/session"
)

//go:generate go tool msgp -o txn_gen.go -tests=false -io=false

// MaxOps is how many operations a transaction may have.
const MaxOps = 128

// Ops are the operations of a transaction, in their order: the body of /v1/txn.
type Ops []Op

// An Op is one operation: the first field that is there counts. An Op without any does nothing.
type Op struct {
	KV      *KVOp      `msg:"KV,omitempty"`
	Node    *NodeOp    `msg:"Node,omitempty"`
	Service *ServiceOp `msg:"Service,omitempty"`
	Check   *CheckOp   `msg:"Check,omitempty"`
	Session *SessionOp `msg:"Session,omitempty"`
}

// A KVOp is an operation on a key, or with a verb that ends in -tree on all keys that begin with Key.
type KVOp struct {
	Verb    string
	Key     string
	Value   []byte `msg:"Value,omitempty"`
	Flags   uint64 `msg:"Flags,omitempty"`
	Index   uint64 `msg:"Index,omitempty"`
	Session string `msg:"Session,omitempty"`
	TTL     string `msg:"TTL,omitempty"` // of a write; "" for ever
}

// A NodeOp is an operation on a node. Verbs that end in -cas or are cas compare its ModifyIndex.
type NodeOp struct {
	Verb string
	Node catalog.Node
}

// A ServiceOp is an operation on an instance, like a NodeOp.
type ServiceOp struct {
	Verb    string
	Node    string
	Service catalog.Instance
}

// A CheckOp is an operation on a check, like a NodeOp.
type CheckOp struct {
	Verb  string
	Check catalog.Check
}

// A SessionOp ends the session with the ID of Session.
type SessionOp struct {
	Verb    string
	Session session.Session
}

// The verbs. Not every kind of operation has each.
const (
	Set            = "set"
	CAS            = "cas"
	Lock           = "lock"
	Unlock         = "unlock"
	Get            = "get"
	GetOrEmpty     = "get-or-empty"
	GetTree        = "get-tree"
	CheckIndex     = "check-index"
	CheckSession   = "check-session"
	CheckNotExists = "check-not-exists"
	Delete         = "delete"
	DeleteTree     = "delete-tree"
	DeleteCAS      = "delete-cas"
)

// A Result is what one operation has to tell; deletions tell nothing. Writes of a key leave out its value.
type Result struct {
	KV      *kv.Entry         `json:",omitempty"`
	Node    *catalog.Node     `json:",omitempty"`
	Service *catalog.Instance `json:",omitempty"`
	Check   *catalog.Check    `json:",omitempty"`
}

// An OpError tells why the operation at OpIndex could not be carried out.
type OpError struct {
	OpIndex int
	What    string
}

// A Response is the outcome of a transaction that may write: errors, or the results of what was done.
type Response struct {
	Results []Result  `msg:"Results,allownil"`
	Errors  []OpError `msg:"Errors,allownil"`
}

// A ReadResponse is the outcome of a transaction that only reads, as it is shown, with the freshness of the read. If the
// transaction was refused before anything was read, Index is 0 and KnownLeader false.
type ReadResponse struct {
	Backend               int
	ConsistencyLevel      string
	Errors                []OpError `msg:"Errors,allownil"`
	Index                 uint64
	KnownLeader           bool
	LastContact           time.Duration
	NotModified           bool
	Results               []Result `msg:"Results,allownil"`
	ResultsFilteredByACLs bool
}

// ReadOnly tells whether a transaction changes nothing, whatever comes of it.
func (ops Ops) ReadOnly() bool {
	for i := range ops {
		if !ops[i].readOnly() {
			return false
		}
	}
	return true
}

func (op *Op) readOnly() bool {
	switch {
	case op.KV != nil:
		switch op.KV.Verb {
		case Set, CAS, Lock, Unlock, Delete, DeleteTree, DeleteCAS:
			return false
		}
		return true
	case op.Node != nil:
		return op.Node.Verb == Get
	case op.Service != nil:
		return op.Service.Verb == Get
	case op.Check != nil:
		return op.Check.Verb == Get
	case op.Session != nil:
		return false
	}
	return true
}
