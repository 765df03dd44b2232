// Package view answers reads. Requests for the same thing share one live result: one evaluation, one watch and one
// encoding for each change, however many ask. It knows when a result is fresh, who waits for the next one and when to
// forget it; it knows nothing of what the queries look at.
//
// An agent that holds the state evaluates queries (entry.go), and answers those of other agents (serve.go). Any other
// agent gets its results from a Source (source.go, remote.go): a plain read is one question to the servers, and readers
// who wait, or take what was last heard, share one stream for each result (follow.go). Servers do the same for the state of
// other datacenters, and pass on to other agents what they hold of it (relay.go). It knows nothing of how questions and
// streams travel.
package view

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// Config configures Views. Log is required on agents that hold the state, Source on all others. With both, Source has what
// belongs to other datacenters.
type Config struct {
	Log    state.Log
	Source Source
	// Resolve finds what a token may do; nil gives every access.
	Resolve func(ctx context.Context, token string) (acl.Authorizer, error)
	// Datacenter is this agent's own.
	Datacenter string
	// MaxBytes bounds the encoded results that are kept, MaxEntries their number; 0 means 32 MiB and 16,384.
	MaxBytes, MaxEntries int64
	// MaxFollowed bounds how many results are followed for readers who do not wait; 0 means 1,024. HoldTimeout is how long
	// blocking reads bear that no server can be followed, FollowIdle how long a result is followed that nobody reads; 0
	// means 7 seconds and 3 minutes.
	MaxFollowed             int64
	HoldTimeout, FollowIdle time.Duration
	// Counts count what is read.
	Counts Counts
	// DefaultWait and MaxWait bound blocking reads; 0 means 5 and 10 minutes, as Consul documents.
	DefaultWait, MaxWait time.Duration
}

// Counts are what is counted of reads. What is nil is not counted.
type Counts struct {
	Query    *telemetry.Counter // rpc.query: reads that were answered from the state
	Blocking *telemetry.Gauge   // rpc.queries_blocking: those that wait for a change of the state
	Fetched  *telemetry.Counter // cache.fetch_success: answers of servers
	Failed   *telemetry.Counter // cache.fetch_error: questions to servers that got none
	Dropped  *telemetry.Counter // cache.evict_expired: results of servers that nobody has read for a while
}

// NewCounts names what is counted, on an agent that holds the state or on one that asks the servers.
func NewCounts(r *telemetry.Registry, holds bool) Counts {
	if holds {
		return Counts{Query: r.Counter("rpc.query"), Blocking: r.Gauge("rpc.queries_blocking")}
	}
	return Counts{Fetched: r.Counter("cache.fetch_success"), Failed: r.Counter("cache.fetch_error"), Dropped: r.Counter("cache.evict_expired")}
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
	queries map[string]*query // by name; filled before the first read

	began    time.Time
	server   uint64        // of the tags of results
	seq      atomic.Uint64 // of the newest tag
	followed atomic.Int64  // results that are followed
	thinned  atomic.Int64  // when room was last made for more of them
}

// nextTag makes the tag of a new result.
func (v *Views) nextTag() Tag { return Tag{v.server, v.seq.Add(1)} }

// New makes Views without any query; Handle adds them before the first Read.
func New(c Config) *Views {
	if c.Resolve == nil {
		c.Resolve = func(context.Context, string) (acl.Authorizer, error) { return acl.AllowAll(), nil }
	}
	c.MaxBytes = orElse(c.MaxBytes, 32<<20)
	c.MaxEntries = orElse(c.MaxEntries, 16384)
	c.DefaultWait = orElse(c.DefaultWait, 5*time.Minute)
	c.MaxWait = orElse(c.MaxWait, 10*time.Minute)
	c.MaxFollowed = orElse(c.MaxFollowed, 1024)
	c.HoldTimeout = orElse(c.HoldTimeout, 7*time.Second)
	c.FollowIdle = orElse(c.FollowIdle, 3*time.Minute)
	v := &Views{Config: c, queries: map[string]*query{}, server: rand.Uint64() | 1, began: time.Now()}
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

// Options say whose read it is, how fresh it must be and whether it waits for a change.
type Options struct {
	rpc.Header
	state.ReadOptions
	MinIndex uint64        // wait until the answer's index is higher; 0 does not wait
	Wait     time.Duration // how long; 0 is the default
	// Cached asks for what this agent last heard, without asking the servers again, and to go on hearing of changes.
	// An agent that holds the state does not need it, as it knows what is fresh.
	Cached bool
}

// An Answer is a Result with the freshness of this read.
type Answer[R any] struct {
	*Result
	state.ReadMeta
}

// Value is what the query gave. It is shared and must not be changed.
func (a Answer[R]) Value() R { return a.value.(R) }

// Read answers the query. It blocks as opts ask, and then returns what there is, changed or not.
func Read[A comparable, R any](ctx context.Context, v *Views, q rpc.Query[A, R], opts *Options, args A) (Answer[R], error) {
	if v.Log == nil || v.mirrors(opts.Header) {
		r, meta, err := v.readRemote(ctx, q.Name, opts, args)
		return Answer[R]{r, meta}, err
	}
	az, meta, err := v.admit(ctx, opts.Header, opts.ReadOptions)
	if err != nil {
		return Answer[R]{}, err
	}
	known, err := v.find(q.Name)
	if err != nil {
		return Answer[R]{}, err
	}
	e := entryOf[A, R](v, known, az, args)
	var r *Result
	if opts.MinIndex == 0 {
		r, err = e.fresh()
	} else {
		r, err = e.wait(ctx, opts.MinIndex, v.limit(opts.Wait), acl.Ended(az))
		if r == nil && err == nil { // the token has to be looked at again
			return Read(ctx, v, q, opts, args)
		}
	}
	if err != nil {
		err = acl.Reworded(err, az)
	}
	e.observe(r)
	return Answer[R]{r, meta}, err
}

// mirrors tells whether an answer is another datacenter's, and the Source has it.
func (v *Views) mirrors(h rpc.Header) bool {
	return v.Source != nil && h.Datacenter != "" && h.Datacenter != v.Datacenter
}

// limit is how long a read that asks for wait really waits: with some jitter, so that not all come back at once.
func (v *Views) limit(wait time.Duration) time.Duration {
	if wait <= 0 {
		wait = v.DefaultWait
	}
	wait = min(wait, v.MaxWait)
	return wait + time.Duration(rand.Int64N(int64(wait)/16+1))
}

// Size is how many results are kept and the bytes of their encodings.
func (v *Views) Size() (results, bytes int64) { return v.count.Load(), v.bytes.Load() }
