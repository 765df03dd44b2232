package view

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lictor/rpc"
	"lictor/state"
)

// A mirror is what an agent holds, that has not the state, of one query with one set of arguments for one reader. It is asked
// for anew by each plain read; for readers who wait, and for those who are content with what was last heard, it follows
// the result on a server. See follow.go.
type mirror struct {
	views   *Views
	key     key
	query   *query
	ask     Ask   // without ReadOptions and Have
	keySize int64 // bytes of key and ask that the views count
	used    atomic.Bool
	current atomic.Pointer[Result]
	phase   atomic.Int32
	good    atomic.Int64 // when current was last known to be what servers have; see Views.clock
	touched atomic.Bool  // by a reader of what was followed already, since its idleness was last looked at
	fetches [3]flights   // by consistency

	mu       sync.Mutex // guards what follows, replacing current, and changes of phase
	waiters  int
	cancel   context.CancelFunc // ends the goroutine that follows; set while that runs
	idle     *time.Timer        // stops following
	turned   chan struct{}      // closed when the phase changes
	failed   error              // why following has ended or is broken
	doubtful time.Duration      // since when a server answers with an older index; see outdated
	gone     bool               // forgotten by the views
}

// The phases of a mirror.
const (
	apart      int32 = iota // it follows nothing
	connecting              // it has begun to follow
	live                    // it holds what the server has
	broken                  // it has lost the server, and looks for another one
)

// clock is the time since the views were made. It is never 0.
func (v *Views) clock() time.Duration { return max(1, time.Since(v.began)) }

// mirror finds the mirror of what is asked for, or makes it.
func (v *Views) mirror(known *query, h rpc.Header, args any) (*mirror, error) {
	if h.Datacenter == v.Datacenter {
		h.Datacenter = ""
	}
	k := key{known.name, h.Token, h.Datacenter, args}
	if found, ok := v.entries.Load(k); ok {
		m := found.(*mirror)
		if !m.used.Load() {
			m.used.Store(true)
		}
		return m, nil
	}
	b, err := known.ask(args)
	if err != nil {
		return nil, err
	}
	m := &mirror{views: v, key: k, query: known, turned: make(chan struct{})}
	m.ask = Ask{Header: h, Query: known.name, Args: b}
	m.keySize = k.size() + int64(len(k.az)+len(k.datacenter)+len(b))
	return v.add(k, m, m.keySize).(*mirror), nil
}

// asking is what is asked of a server by who holds a result, or nil.
func (m *mirror) asking(opts state.ReadOptions, had *Result) *Ask {
	q := m.ask
	q.ReadOptions = opts
	if had != nil {
		q.Have = had.tag
	}
	return &q
}

// take makes a result of an answer for which had was held, or nil, when it was asked for. Strict says that the answer is
// no older than the moment at which it was asked for. What is already held is returned where that is younger.
func (m *mirror) take(p *Packed, had *Result, strict bool) (r *Result, older bool, err error) {
	if p.Unchanged && had == nil {
		return nil, false, rpc.Errorf(rpc.Internal, "a server says that %s is unchanged to who holds nothing", m.query.name)
	}
	held := m.current.Load()
	if held == nil && p.Unchanged && m.current.CompareAndSwap(nil, had) { // refused meanwhile
		held = had
	}
	if p.Unchanged || held != nil && held.tag == p.Tag {
		m.vouch(p, strict)
		return held, false, nil
	}
	value, err := m.query.decode(p.Body)
	if err != nil {
		return nil, false, err
	}
	r = &Result{value: value, index: max(p.Index, 1), served: max(p.Index, 1), tag: p.Tag, changed: make(chan struct{}),
		views: m.views, query: m.query, mirror: m}
	m.mu.Lock()
	defer m.mu.Unlock()
	if held = m.current.Load(); held != nil && m.outdated(r, held, had, strict) {
		return held, true, nil
	}
	m.replace(held, r, len(p.Body))
	m.vouch(p, strict)
	return r, false, nil
}

// vouch notes that what is held was right when a server said so.
func (m *mirror) vouch(p *Packed, strict bool) {
	if at := m.views.clock(); strict {
		m.good.Store(int64(at))
	} else {
		m.good.Store(max(m.good.Load(), int64(at-p.LastContact)))
	}
}

// doubt is how long a server that answers with an older index is taken for one that is behind: after that it is the
// result that is not there any more, as after a restore.
const doubt = 10 * time.Second

// outdated tells whether r is older than what is held. That is sure if both are of the same server. Otherwise indexes
// tell, unless r is so fresh that nothing that was held when it was asked for can be younger. The caller holds m.mu.
func (m *mirror) outdated(r, held, had *Result, strict bool) bool {
	if r.tag.Server == held.tag.Server {
		return r.tag.Seq < held.tag.Seq
	}
	if r.served >= held.served || strict && held == had {
		m.doubtful = 0
		return false
	}
	now := m.views.clock()
	if m.doubtful == 0 {
		m.doubtful = now
	}
	return now-m.doubtful < doubt
}

// replace makes r the current result, with an index that continues that of the one before it. The caller holds m.mu.
func (m *mirror) replace(old, r *Result, size int) {
	if old != nil {
		r.succeed(old, m.waiters > 0)
	}
	if m.gone {
		r.size.Store(-1)
	}
	m.current.Store(r)
	r.count(size)
	if old != nil {
		old.release()
		if r.changed != old.changed {
			close(old.changed)
		}
	}
}

// succeed is follow for results from servers: of the one before r it knows what the server said its index was. Where
// that has gone back, as after a restore or on a server that looks at less, the index moves if the answer has.
func (r *Result) succeed(old *Result, waited bool) {
	still := r.served == old.served
	if r.served <= old.index && !still || waited && r.served > old.index {
		still = r.same(old)
	}
	switch {
	case still:
		r.index, r.changed = old.index, old.changed
	case r.served <= old.index:
		r.index = old.index + 1
	}
}

// shows tells whether r is what readers of what is followed are given.
func (m *mirror) shows(r *Result) bool { return m.phase.Load() >= live && m.current.Load() == r }

// unused tells whether nobody has asked since it was last called.
func (m *mirror) unused() bool { return !m.used.Swap(false) }

// forget drops the mirror from the views, unless somebody waits on it or reads what it follows.
func (m *mirror) forget() {
	if !m.mu.TryLock() {
		return // in use
	}
	defer m.mu.Unlock()
	if m.waiters > 0 || m.gone || m.cancel != nil && m.touched.Load() {
		return
	}
	m.halt(nil)
	m.gone = true
	m.views.Counts.Dropped.Inc()
	if r := m.current.Load(); r != nil {
		r.release()
	}
	m.views.drop(m.key, m.keySize)
}
