package view

import (
	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// An Evaluator computes the answer to a query for whoever az stands for, and the log index at which that answer last
// changed: as narrow as the query allows. Everything that the answer depends on is read through tx.
type Evaluator[A comparable, R any] func(tx *state.Tx, az acl.Authorizer, args *A) (R, uint64, error)

// A Personal is the type A of the arguments of a query whose answer depends on whose token asks, and not only on what that
// token may do: such answers are shared by those alone who ask with the same token.
type Personal[A any] interface {
	// By gives the arguments of who asks with the token that has this accessor ID; "" is nobody's.
	By(accessor string) A
}

// A query is how one is answered.
type query struct {
	name   string
	eval   any // an Evaluator
	types  rpc.Types
	by     bool                                                           // its arguments are Personal
	entry  func(v *Views, az acl.Authorizer, args []byte) (*entry, error) // finds the live result for encoded arguments
	ask    func(args any) ([]byte, error)                                 // encodes arguments
	args   func(body []byte) (any, error)                                 // decodes them
	encode func(value any) ([]byte, error)
	decode func(body []byte) (any, error)
	// observe sees the arguments and answers of those who read the state; nil sees nothing.
	observe func(args, value any)
}

// Handle says how a query is answered. It panics if the name is taken, or if arguments or answers of these types cannot
// travel. An agent that has no state needs to know its queries, too, for their types; it evaluates none.
func Handle[A comparable, R any](v *Views, q rpc.Query[A, R], eval Evaluator[A, R]) {
	if v.queries[q.Name] != nil {
		panic("two queries are called " + q.Name)
	}
	var args any = *new(A)
	_, personal := args.(Personal[A])
	known := &query{name: q.Name, eval: eval, types: rpc.TypesOf[A, R](q.Name), by: personal}
	known.entry = func(v *Views, az acl.Authorizer, b []byte) (*entry, error) {
		var args A
		if err := rpc.Decode(b, &args); err != nil {
			return nil, err
		}
		return entryOf[A, R](v, known, az, args), nil
	}
	known.ask = func(args any) ([]byte, error) {
		a := args.(A)
		return rpc.Append(nil, &a)
	}
	known.args = func(body []byte) (any, error) {
		var args A
		err := rpc.Decode(body, &args)
		return args, err
	}
	known.encode = func(value any) ([]byte, error) {
		answer := value.(R)
		return rpc.Append(nil, &answer)
	}
	known.decode = func(body []byte) (any, error) {
		var answer R
		err := rpc.Decode(body, &answer)
		return answer, err
	}
	v.queries[q.Name] = known
}

// Observe lets see look at the arguments and the answer of each read of a query from the state, once for each who asks or
// follows. It is called before the first read, and see must be quick.
func Observe[A comparable, R any](v *Views, q rpc.Query[A, R], see func(args A, answer R)) {
	v.queries[q.Name].observe = func(args, value any) { see(args.(A), value.(R)) }
}

// observe counts a read of a result, which is nil if there was none.
func (e *entry) observe(r *Result) {
	e.views.Counts.Query.Inc()
	if r != nil && e.query.observe != nil {
		e.query.observe(e.key.args, r.value)
	}
}

// personal makes arguments those of who asks. In entryOf it would make the stack of each read larger than what the runtime
// gives to begin with.
//
//go:noinline
func personal[A any](args *A, az acl.Authorizer) {
	*args = any(*args).(Personal[A]).By(az.Accessor())
}

// entryOf finds the live result of a query, or makes its entry.
func entryOf[A comparable, R any](v *Views, known *query, az acl.Authorizer, args A) *entry {
	if known.by {
		personal(&args, az)
	}
	k := key{known.name, az.ID(), "", args}
	if found, ok := v.entries.Load(k); ok {
		e := found.(*entry)
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e
	}
	return newEntry[A, R](v, known, az, k)
}

func newEntry[A comparable, R any](v *Views, known *query, az acl.Authorizer, k key) *entry {
	args, eval := k.args.(A), known.eval.(Evaluator[A, R])
	e := &entry{views: v, key: k, query: known, keySize: k.size()}
	e.eval = func(tx *state.Tx) (any, uint64, error) { return eval(tx, az, &args) }
	return v.add(k, e, e.keySize).(*entry)
}

// find finds the query with this name.
func (v *Views) find(name string) (*query, error) {
	if known := v.queries[name]; known != nil {
		return known, nil
	}
	return nil, rpc.Errorf(rpc.NotImplemented, "unknown query %q", name)
}

// Types are the types of the arguments and replies of all queries, by name: for who looks at the protocol as a whole.
func (v *Views) Types() map[string]rpc.Types {
	all := map[string]rpc.Types{}
	for name, q := range v.queries {
		all[name] = q.types
	}
	return all
}
