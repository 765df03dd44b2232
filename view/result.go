package view

import (
	"bytes"
	"encoding/json"
	"sync"
	"sync/atomic"

	"lictor/state"
)

// A Result is the answer to a query as of one change. It is shared by all who ask.
type Result struct {
	value   any
	index   uint64
	tag     Tag
	changed chan struct{} // closed once there is a Result with a higher index
	views   *Views
	query   *query

	watch  *state.WatchSet // where it was evaluated
	mirror *mirror         // where it came from servers,
	served uint64          // under this index

	once sync.Once // guards the making of body
	body []byte
	err  error
	pack sync.Once // guards the making of packed
	load []byte
	bad  error
	size atomic.Int64 // bytes that the views count; -1 once the result is out of use
}

// Index is the log index at which the answer last changed; at least 1.
func (r *Result) Index() uint64 { return r.index }

// Fresh tells whether the result still is what the query would give, as far as this agent can know: one that came from
// servers is fresh until the next one comes, even if that cannot be because the servers are away.
func (r *Result) Fresh() bool {
	if r.mirror != nil {
		return r.mirror.shows(r)
	}
	return !r.watch.Fired()
}

// JSON is the encoded answer, made once. The bytes are shared and must not be changed.
func (r *Result) JSON() ([]byte, error) {
	r.once.Do(func() {
		r.body, r.err = json.Marshal(r.value)
		r.count(len(r.body))
	})
	return r.body, r.err
}

// packed is the answer as it travels, made once.
func (r *Result) packed() ([]byte, error) {
	r.pack.Do(func() {
		r.load, r.bad = r.query.encode(r.value)
		r.count(len(r.load))
	})
	return r.load, r.bad
}

// follow makes the index of r continue that of the result before it: it never goes back, and where somebody waits and
// the answer is the same to the letter, it stands still, so that nobody is woken. After a restore of older state all are.
func (r *Result) follow(old *Result, waited bool) {
	if old.watch.Abandoned() {
		r.index = max(r.index, old.index+1)
		return
	}
	r.index = max(r.index, old.index)
	if r.index > old.index && !(waited && r.same(old)) {
		return
	}
	r.index, r.changed = old.index, old.changed
}

// same tells whether both show the same to the letter.
func (r *Result) same(old *Result) bool {
	a, err := old.JSON()
	b, err2 := r.JSON()
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// count adds n bytes to those that the views hold.
func (r *Result) count(n int) {
	for {
		have := r.size.Load()
		if n == 0 || have < 0 {
			return
		}
		if r.size.CompareAndSwap(have, have+int64(n)) {
			break
		}
	}
	if v := r.views; v.bytes.Add(int64(n)) > v.MaxBytes {
		v.trim()
	}
}

// release takes the result's bytes out of the count.
func (r *Result) release() {
	if n := r.size.Swap(-1); n > 0 {
		r.views.bytes.Add(-n)
	}
}
