package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lictor/gossip"
	"lictor/rpc"
)

// A roster is the servers of a datacenter that gossip takes for alive, in the order in which this agent prefers them:
// near ones first, and among those of one distance each agent in an order of its own, so that many agents spread evenly
// over the servers and only few of them move when a server comes or goes.
type roster struct {
	self       string // id of this agent
	distance   func(name string) time.Duration
	datacenter string // of the servers; "" is this agent's own

	mu      sync.Mutex               // guards what follows, and replacing list
	alive   map[string]gossip.Member // by name: the servers
	failed  map[string]time.Time     // by id: when it was last out of reach
	changed chan struct{}            // closed at the next change
	list    atomic.Pointer[[]rpc.Target]
}

// shunned is how long a server that was out of reach comes last.
const shunned = 5 * time.Second

func newRoster(self string, distance func(name string) time.Duration) *roster {
	r := &roster{self: self, distance: distance, alive: map[string]gossip.Member{}, failed: map[string]time.Time{}, changed: make(chan struct{})}
	r.list.Store(new([]rpc.Target))
	return r
}

// set learns of all members of the LAN pool at once, and returns the servers that are gone from the roster.
func (r *roster) set(members []gossip.Member) (gone []rpc.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.alive)
	for _, m := range members {
		if serves(m) {
			r.alive[m.Name] = m
		}
	}
	return r.rank()
}

// note learns of a change of one member.
func (r *roster) note(m gossip.Member, here bool) (gone []rpc.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, was := r.alive[m.Name]; !was && !serves(m) {
		return nil
	}
	delete(r.alive, m.Name)
	if here && serves(m) {
		r.alive[m.Name] = m
	}
	return r.rank()
}

// serves tells whether a member is a server that can be asked.
func serves(m gossip.Member) bool {
	return m.Ours && m.Meta.Server && m.Status == gossip.StatusAlive
}

// rank orders the servers. The caller holds mu.
func (r *roster) rank() (gone []rpc.Target) {
	type ranked struct {
		rpc.Target
		distance time.Duration
		order    uint64
	}
	var all []ranked
	for name, m := range r.alive {
		order := sha256.Sum256([]byte(r.self + m.Meta.ID))
		all = append(all, ranked{r.target(m), r.distance(name).Truncate(time.Millisecond), binary.BigEndian.Uint64(order[:])})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID))
	})
	now := make([]rpc.Target, len(all))
	for i := range all {
		now[i] = all[i].Target
	}
	old := *r.list.Swap(&now)
	if slices.Equal(old, now) {
		return nil
	}
	for _, t := range old {
		if !slices.Contains(now, t) {
			gone = append(gone, t)
			delete(r.failed, t.ID)
		}
	}
	r.wake()
	return gone
}

// target is where a server of this roster answers calls.
func (r *roster) target(m gossip.Member) rpc.Target {
	t := targetOf(m)
	t.Datacenter = r.datacenter
	return t
}

// targetOf is where a server answers calls.
func targetOf(m gossip.Member) rpc.Target {
	return rpc.Target{ID: m.Meta.ID, Address: net.JoinHostPort(m.Addr.String(), strconv.Itoa(m.Meta.Ports.Server))}
}

// wake tells who waits for a change. The caller holds mu.
func (r *roster) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// next is closed when the servers, or what is known of them, change.
func (r *roster) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// stir wakes all who wait for a change, because one is known that the roster does not hold: who leads.
func (r *roster) stir() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake()
}

// shun puts a server last for a while: it was out of reach.
func (r *roster) shun(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[id] = time.Now()
}

// trust takes back that a server was out of reach.
func (r *roster) trust(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, id)
}

// isShunned tells whether a server was out of reach a moment ago.
func (r *roster) isShunned(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.failed[id]
	return ok && time.Since(at) <= shunned
}

// all are the servers in the order of preference.
func (r *roster) all() []rpc.Target { return *r.list.Load() }

// find finds a server by its id.
func (r *roster) find(id string) (rpc.Target, bool) {
	for _, t := range r.all() {
		if t.ID == id {
			return t, true
		}
	}
	return rpc.Target{}, false
}

// best is the server to ask if any will do.
func (r *roster) best() (rpc.Target, bool) {
	list := r.all()
	if len(list) == 0 {
		return rpc.Target{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) == 0 {
		return list[0], true
	}
	first := list[0]
	for _, t := range list {
		at, ok := r.failed[t.ID]
		if ok && time.Since(at) > shunned {
			delete(r.failed, t.ID)
			ok = false
		}
		if !ok {
			return t, true
		}
		if at.Before(r.failed[first.ID]) {
			first = t
		}
	}
	return first, true
}
