package txn

import (
	"errors"

	"lictor/acl"
	"lictor/session"
	"lictor/state"
)

//go:generate go tool msgp -o commands_gen.go -tests=false -io=false

// Apply carries out a transaction that writes.
type Apply struct {
	Ops  Ops
	Seen uint64 // see session.Acquire
}

// Isolated says that what was done is undone if an operation fails.
func (*Apply) Isolated() {}

// Apply answers the Results. It fails with a *Failure that tells of every operation that could not be carried out.
// Operations see what those before them did.
func (a *Apply) Apply(tx *state.Tx) (any, error) {
	r := run{tx: tx, seen: a.Seen, az: acl.AllowAll()}
	r.all(a.Ops)
	if r.again {
		return nil, errAgain
	}
	if len(r.errors) > 0 {
		return nil, &Failure{r.errors}
	}
	return r.results, nil
}

// errAgain tells that a lock delay may have begun since delays were looked at.
var errAgain = errors.New("a key changed while it was to be locked")

// A Failure tells that nothing was done because these operations cannot be carried out.
type Failure struct {
	Errors []OpError
}

func (*Failure) Error() string { return "the transaction failed" }

// A run carries out operations one after the other.
type run struct {
	tx       *state.Tx
	az       acl.Authorizer // what may be seen of a tree of keys
	seen     uint64
	results  []Result
	errors   []OpError
	again    bool
	lost     map[string]bool // keys whose lock delay begins with this transaction
	filtered bool            // something was left out that may not be seen
}

func (r *run) all(ops Ops) {
	r.results = make([]Result, 0, len(ops))
	for i := range ops {
		if err := r.one(&ops[i]); err != nil {
			r.errors = append(r.errors, OpError{i, err.Error()})
		}
	}
}

func (r *run) one(op *Op) error {
	switch {
	case op.KV != nil:
		return r.kv(op.KV)
	case op.Node != nil:
		return r.ended(r.node(op.Node))
	case op.Service != nil:
		return r.ended(r.service(op.Service))
	case op.Check != nil:
		return r.ended(r.check(op.Check))
	case op.Session != nil:
		session.Remove(r.tx, op.Session.Session.ID)
		return r.ended(nil)
	}
	return nil
}

// ended ends the sessions that cannot outlive what an operation did, before the next operation.
func (r *run) ended(err error) error {
	session.Cascade(r.tx)
	for _, fact := range r.tx.Events() {
		if e, ok := fact.(session.Ended); ok && e.LockDelay > 0 {
			for _, key := range e.Keys {
				r.lose(key)
			}
		}
		r.tx.Emit(fact) // for who looks at them after the command
	}
	return err
}

func (r *run) lose(key string) {
	if r.lost == nil {
		r.lost = map[string]bool{}
	}
	r.lost[key] = true
}
