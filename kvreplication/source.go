package kvreplication

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/acl"
	"lictor/kv"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Source following
//go:generate go tool msgp -o source_gen.go -tests=false -io=false

// FollowMethod is the stream of Pages that answers a Follow.
const FollowMethod = "KVReplication.Follow"

// A Follow asks for the keys below Prefix and then for each change of them. Who has applied all up to the index Since of the
// state Epoch is sent what has changed after it; everybody else is sent all keys.
type Follow struct {
	Prefix  string
	Exclude []string `msg:"Exclude,allownil"`
	Epoch   string
	Since   uint64 // 0 asks for all keys
	Floor   uint64 // not 0 asks for the keys after After, and then for what has changed after Floor
	After   string // a key without Prefix in front
}

// A Page is a part of the answer to a Follow. Keys are without the prefix in front, in their order.
type Page struct {
	Epoch    string
	Index    uint64   // of the state that the page is of
	Upstream []Hop    `msg:"Upstream,allownil"` // where these keys are copied from, if they are
	Full     bool     // there are no keys but Items after From and up to Last; else Items and Deleted are what has changed
	First    bool     // of a full answer: it begins with the first key, whatever From is
	From     string   // of a full answer
	Last     string   // of a full answer; with End there is no further key at all
	End      bool     // what follows are changes after Index; what came before is complete up to there
	Items    []Item   `msg:"Items,allownil"`
	Deleted  []string `msg:"Deleted,allownil"`
}

// An Item is a key with what of it is copied.
type Item struct {
	Key   string
	Flags uint64
	Value []byte `msg:"Value,allownil"`
}

// How much is in a page at most, unless one value alone is more.
const (
	pageBytes = 256 << 10
	pageKeys  = 1024
	itemBytes = 32 // of an item beside its key and value
)

// Heartbeat is how often a stream says at least that there is nothing new.
const Heartbeat = 5 * time.Second

// To find what has changed below a prefix takes time that grows with the number of its keys. So much longer is the pause
// after it, but no longer than a heartbeat.
const (
	pauseFactor = 4
	pauseMin    = 10 * time.Millisecond
)

// A Source answers Follow on a server.
type Source struct {
	Log state.Log
	// Cluster is the id of the cluster that the state is of.
	Cluster func(tx *state.Tx) string
}

// A following is one Follow under way.
type following struct {
	*Follow
	source *Source
	az     acl.Authorizer
	send   func(*Page) error
	tx     *state.Tx     // what was last sent is of this state
	epoch  string        // of it; "" until something was sent
	since  uint64        // its index
	held   time.Duration // how long send has blocked since the last pause
}

// Follow sends what q asks for until ctx ends, send fails, this server loses its leader, or the token may not read all of
// the keys: resolve tells what it may, and is asked again when that may have changed. At no time is more than a page in
// memory, and while send blocks nothing is read.
func (s *Source) Follow(ctx context.Context, resolve func(context.Context) (acl.Authorizer, error), q *Follow, send func(*Page) error) error {
	if err := q.check(); err != nil {
		return err
	}
	if _, err := s.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return err
	}
	f := &following{Follow: q, source: s}
	f.send = func(p *Page) error {
		begun := time.Now()
		defer func() { f.held += time.Since(begun) }()
		return send(p)
	}
	for {
		if f.az == nil || !acl.Fresh(f.az) {
			var err error
			if f.az, err = resolve(ctx); err != nil {
				return err
			}
			if err := acl.Require(f.az, acl.Key, q.Prefix, acl.List); err != nil {
				return err
			}
		}
		begun := time.Now()
		f.held = 0
		if err := f.advance(); err != nil {
			return err
		}
		busy := time.Since(begun) - f.held
		if err := f.wait(ctx, min(max(pauseMin, pauseFactor*busy), Heartbeat)); err != nil {
			return err
		}
	}
}

// check refuses what cannot be followed.
func (q *Follow) check() error {
	for _, e := range q.Exclude {
		if !strings.HasPrefix(e, q.Prefix) {
			return rpc.Errorf(rpc.Invalid, "the prefix %q to exclude is not below %q", e, q.Prefix)
		}
	}
	return nil
}

// wait pauses, and then blocks until something below the prefix has changed, for a heartbeat at most.
func (f *following) wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	beat, cancel := context.WithTimeout(ctx, Heartbeat)
	defer cancel()
	_ = f.tx.Watch().Wait(beat) // its end is that of the heartbeat or of ctx
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := f.source.Log.Fresh(ctx, state.ReadOptions{Consistency: state.Stale, MaxStale: 2 * Heartbeat})
	return err
}

// advance sends what is new, or that nothing is.
func (f *following) advance() error {
	tx := f.source.Log.DB().Read()
	old := f.tx
	idle := old != nil && !old.Watch().Fired() // asked after tx began, so tx shows nothing new below the prefix
	index := max(tx.Unwatched().Changed(kv.Entries.Name(), kv.Tombstones.Name()), 1)
	page := &Page{Epoch: f.source.epoch(tx), Index: index, Upstream: upstream(tx.Unwatched(), region{f.Prefix, f.Exclude})}
	_ = kv.Entries.Prefix(tx, "id", f.Prefix) // what tx watches
	before, since := f.epoch, f.since
	f.tx, f.epoch, f.since = tx, page.Epoch, index
	switch {
	case idle:
		page.End = true
		return f.send(page)
	case before == page.Epoch:
		return f.changes(page, since, old)
	case old == nil && f.can(page, f.Since):
		return f.changes(page, f.Since, nil)
	case old == nil && f.can(page, f.Floor):
		rest := *page
		if err := f.all(page, f.After, false); err != nil {
			return err
		}
		return f.changes(&rest, f.Floor, nil)
	}
	return f.all(page, "", true)
}

// can tells whether the state that a page is of has all that has changed after an index.
func (f *following) can(page *Page, since uint64) bool {
	return since > 0 && f.Epoch == page.Epoch && since <= page.Index && kv.ForgottenUpTo(f.tx) <= since
}

// epoch names the state such that indexes of two states with one name can be compared.
func (s *Source) epoch(tx *state.Tx) string {
	return s.Cluster(tx) + "/" + strconv.FormatUint(tx.Floor(), 10)
}

// changes sends what has changed after an index. Old is the state at that index, or nil if it is not at hand.
func (f *following) changes(page *Page, since uint64, old *state.Tx) error {
	size := 0
	quiet := f.tx.Unwatched()
	for e := range kv.Entries.Prefix(quiet, "id", f.Prefix) {
		if e.ModifyIndex <= since || f.left(e.Key) {
			continue
		}
		if err := f.add(page, e, &size); err != nil {
			return err
		}
	}
	remove := func(key string) error {
		if f.left(key) || kv.Entries.Get(quiet, key) != nil {
			return nil
		}
		if !f.az.Allow(acl.Key, key, acl.Read) {
			return f.denied()
		}
		page.Deleted = append(page.Deleted, key[len(f.Prefix):])
		return f.flush(page, len(key)+itemBytes, &size)
	}
	if old != nil && kv.ForgottenUpTo(f.tx) > since { // the stream was held up for so long that there may be no tombstones any more
		for e := range kv.Entries.Prefix(old.Unwatched(), "id", f.Prefix) {
			if err := remove(e.Key); err != nil {
				return err
			}
		}
	}
	for t := range kv.Tombstones.Prefix(quiet, "id", f.Prefix) {
		if t.Index > since {
			if err := remove(t.Key); err != nil {
				return err
			}
		}
	}
	page.End = true
	return f.send(page)
}

// all sends all keys after one.
func (f *following) all(page *Page, after string, first bool) error {
	page.Full, page.First, page.From = true, first, after
	size := 0
	for e := range kv.Entries.Prefix(f.tx.Unwatched(), "id", f.Prefix) {
		if !first && e.Key[len(f.Prefix):] <= after || f.left(e.Key) {
			continue
		}
		page.Last = e.Key[len(f.Prefix):]
		if err := f.add(page, e, &size); err != nil {
			return err
		}
	}
	page.End = true
	return f.send(page)
}

// left tells whether a key is left out.
func (f *following) left(key string) bool {
	return slices.ContainsFunc(f.Exclude, func(e string) bool { return strings.HasPrefix(key, e) })
}

// denied is the error for a token that may not read all keys. It does not name one that the token may not know of.
func (f *following) denied() error {
	return rpc.Errorf(rpc.PermissionDenied, "Permission denied: the token, with AccessorID '%s', may not read all keys below %q: give it 'key_prefix:read' on that, or exclude what it may not read",
		f.az.Accessor(), f.Prefix)
}

// add puts an entry into a page, and sends that if it is full.
func (f *following) add(page *Page, e *kv.Entry, size *int) error {
	if !f.az.Allow(acl.Key, e.Key, acl.Read) {
		return f.denied()
	}
	page.Items = append(page.Items, Item{Key: e.Key[len(f.Prefix):], Flags: e.Flags, Value: e.Value})
	return f.flush(page, len(e.Key)+len(e.Value)+itemBytes, size)
}

// flush counts what a page has got, and sends it if it is full.
func (f *following) flush(page *Page, more int, size *int) error {
	if *size += more; *size < pageBytes && len(page.Items)+len(page.Deleted) < pageKeys {
		return nil
	}
	err := f.send(page)
	page.Items, page.Deleted, page.First, page.From, *size = nil, nil, false, page.Last, 0
	return err
}
