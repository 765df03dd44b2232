// Package view answers reads. Requests for the same thing share one live result: one evaluation, one watch and one
// encoding for each change, however many ask. It knows when a result is fresh, who waits for the next one and when to
// forget it; it knows nothing of what the queries look at.
package view

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

// Config configures Views. Log is required.
type Config struct {
	Log state.Log
	// Resolve finds what a token may do; nil gives every access.
	Resolve func(ctx context.Context, token string) (acl.Authorizer, error)
	// Datacenter is this agent's own.
	Datacenter string
	// MaxBytes bounds the encoded results that are kept, MaxEntries their number; 0 means 32 MiB and 16,384.
	MaxBytes, MaxEntries int64
	// DefaultWait and MaxWait bound blocking reads; 0 means 5 and 10 minutes, as Consul documents.
	DefaultWait, MaxWait time.Duration
}

// Views holds the live results of one agent. It may be used from any goroutine.
type Views struct {
	Config
	entries sync.Map // key -> *entry
	count   atomic.Int64
	bytes   atomic.Int64
	trimmed sync.Mutex // held by the one goroutine that trims
	ctx     context.Context
	stop    context.CancelFunc
	life    sync.RWMutex // held while stop is called; running is added to under it
	running sync.WaitGroup
	queries map[string]any // by name; filled before the first read
}

// New makes Views without any query; Handle adds them before the first Read.
func New(c Config) *Views {
	if c.Resolve == nil {
		c.Resolve = func(context.Context, string) (acl.Authorizer, error) { return acl.AllowAll(), nil }
	}
	c.MaxBytes = orElse(c.MaxBytes, 32<<20)
	c.MaxEntries = orElse(c.MaxEntries, 16384)
	c.DefaultWait = orElse(c.DefaultWait, 5*time.Minute)
	c.MaxWait = orElse(c.MaxWait, 10*time.Minute)
	v := &Views{Config: c, queries: map[string]any{}}
	v.ctx, v.stop = context.WithCancel(context.Background())
	return v
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Stop ends all waits and blocks until the goroutines of the views are gone.
func (v *Views) Stop() {
	v.life.Lock()
	v.stop()
	v.life.Unlock()
	v.running.Wait()
}

// spawn starts a goroutine that Stop waits for, unless Stop has been called.
func (v *Views) spawn(do func()) bool {
	v.life.RLock()
	defer v.life.RUnlock()
	if v.ctx.Err() != nil {
		return false
	}
	v.running.Go(do)
	return true
}

// An Evaluator computes the answer to a query for whoever az stands for, and the log index at which that answer last
// changed: as narrow as the query allows. Everything that the answer depends on is read through tx.
type Evaluator[A comparable, R any] func(tx *state.Tx, az acl.Authorizer, args *A) (R, uint64, error)

// Handle says how a query is answered.
func Handle[A comparable, R any](v *Views, q rpc.Query[A, R], eval Evaluator[A, R]) {
	if v.queries[q.Name] != nil {
		panic("two queries are called " + q.Name)
	}
	v.queries[q.Name] = eval
}

// Options say whose read it is, how fresh it must be and whether it waits for a change.
type Options struct {
	rpc.Header
	state.ReadOptions
	MinIndex uint64        // wait until the answer's index is higher; 0 does not wait
	Wait     time.Duration // how long; 0 is the default
}

// An Answer is a Result with the freshness of this read.
type Answer[R any] struct {
	*Result
	state.ReadMeta
}

// Value is what the query gave. It is shared and must not be changed.
func (a Answer[R]) Value() R { return a.value.(R) }

type key struct {
	query string
	az    string
	args  any
}

// Read answers the query. It blocks as opts ask, and then returns what there is, changed or not.
func Read[A comparable, R any](ctx context.Context, v *Views, q rpc.Query[A, R], opts *Options, args A) (Answer[R], error) {
	if opts.Datacenter != "" && opts.Datacenter != v.Datacenter {
		return Answer[R]{}, rpc.ErrNoDatacenter
	}
	az, err := v.Resolve(ctx, opts.Token)
	if err != nil {
		return Answer[R]{}, err
	}
	meta, err := v.Log.Fresh(ctx, opts.ReadOptions)
	if err != nil {
		return Answer[R]{}, err
	}
	eval, ok := v.queries[q.Name].(Evaluator[A, R])
	if !ok {
		return Answer[R]{}, rpc.Errorf(rpc.NotImplemented, "unknown query %q", q.Name)
	}
	k := key{q.Name, az.ID(), args}
	e := v.lookup(k)
	if e == nil {
		e = v.add(k, func(tx *state.Tx) (any, uint64, error) { return eval(tx, az, &args) })
	}
	var r *Result
	if opts.MinIndex == 0 {
		r, err = e.fresh()
	} else {
		r, err = e.wait(ctx, opts.MinIndex, v.limit(opts.Wait))
	}
	return Answer[R]{r, meta}, err
}

// limit is how long a read that asks for wait really waits: with some jitter, so that not all come back at once.
func (v *Views) limit(wait time.Duration) time.Duration {
	if wait <= 0 {
		wait = v.DefaultWait
	}
	wait = min(wait, v.MaxWait)
	return wait + time.Duration(rand.Int64N(int64(wait)/16+1))
}

func (v *Views) lookup(k key) *entry {
	found, ok := v.entries.Load(k)
	if !ok {
		return nil
	}
	e := found.(*entry)
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

func (v *Views) add(k key, eval func(*state.Tx) (any, uint64, error)) *entry {
	fresh := &entry{views: v, key: k, eval: eval, keySize: sizeOf(reflect.ValueOf(k.args))}
	e, loaded := v.entries.LoadOrStore(k, fresh)
	if loaded {
		return e.(*entry)
	}
	if count, bytes := v.count.Add(1), v.bytes.Add(fresh.keySize); count > v.MaxEntries || bytes > v.MaxBytes {
		v.trim()
	}
	return fresh
}

// sizeOf is the bytes of the texts in arguments: clients choose them.
func sizeOf(args reflect.Value) int64 {
	switch args.Kind() {
	case reflect.String:
		return int64(args.Len())
	case reflect.Struct:
		var n int64
		for i := range args.NumField() {
			n += sizeOf(args.Field(i))
		}
		return n
	}
	return 0
}

// trim forgets results that nobody waits for and nobody has asked for since the last trim, until the bounds are kept.
func (v *Views) trim() {
	if !v.trimmed.TryLock() {
		return
	}
	defer v.trimmed.Unlock()
	for range 2 { // the first round may only find that all were used
		v.entries.Range(func(_, value any) bool {
			if e := value.(*entry); !e.used.Swap(false) {
				e.forget()
			}
			return v.count.Load() > v.MaxEntries*3/4 || v.bytes.Load() > v.MaxBytes*3/4
		})
		if v.count.Load() <= v.MaxEntries && v.bytes.Load() <= v.MaxBytes {
			return
		}
	}
}

// Size is how many results are kept and the bytes of their encodings.
func (v *Views) Size() (results, bytes int64) { return v.count.Load(), v.bytes.Load() }
