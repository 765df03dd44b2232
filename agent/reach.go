package agent

import (
	"context"
	"sync"
	"time"

	"lictor/coordinate"
	"lictor/pace"
	"lictor/rpc"
)

// When machines lose power their connections say nothing, and to wait for the end of each, of one server after the other and
// then of the ways round, takes half a minute. So a server that owes an answer is doubted soon, and asked to show that it is there;
// one that stays silent is followed by all others of its datacenter at once, and by a search for a way round, all of which end together.
const (
	doubtAfter   = time.Second     // how long an answer may take before its server is asked whether it is there, and how long that is known
	askEvery     = 2 * time.Second // how often it is asked again, while the answer does not come
	suspectAfter = time.Second     // how long that may take before the others are asked, too
	proofTime    = 3 * time.Second // how long it may take at most: as long as it may take to connect
)

// A proof is one attempt to find out whether a server is there, shared by all who want to know.
type proof struct {
	done  chan struct{} // closed when what follows is set
	there bool
	at    time.Time
}

// A proving is what is known of who is there in a datacenter.
type proving struct {
	mu      sync.Mutex        // guards what follows
	servers map[string]*proof // by id
	all     time.Time         // when all were last asked
}

// vigil doubts a server for as long as it owes an answer, which ends ctx.
func (r *distant) vigil(ctx context.Context, t rpc.Target) {
	for r.there(t) && pace.Rest(ctx, askEvery) == nil {
	}
}

// there tells whether a server shows that it is there. The calls and streams at one that does not fail: it is given up before those
// who wait for it are told.
func (r *distant) there(t rpc.Target) bool {
	r.proving.mu.Lock()
	p := r.proving.servers[t.ID]
	known := p != nil
	if known {
		select {
		case <-p.done:
			known = time.Since(p.at) < doubtAfter
		default: // is being found out
		}
	}
	if !known {
		p = &proof{done: make(chan struct{})}
		r.proving.servers[t.ID] = p
	}
	r.proving.mu.Unlock()
	if known {
		<-p.done
		return p.there
	}
	p.there, p.at = r.prove(t), time.Now()
	close(p.done)
	return p.there
}

// prove is there, for one who asks.
func (r *distant) prove(t rpc.Target) bool {
	ctx, cancel := context.WithTimeout(r.agent.ctx, proofTime)
	defer cancel()
	suspicion := time.AfterFunc(suspectAfter, func() {
		r.suspect()
		r.seek()
	})
	defer suspicion.Stop()
	if r.route.pool.Reach(ctx, t) == nil {
		r.roster.trust(t.ID)
		return true
	}
	if r.agent.ctx.Err() != nil {
		return true // nobody wants to know
	}
	r.roster.shun(t.ID)
	if r.allShunned() {
		r.darken()
	}
	r.route.pool.Forget(t)
	return false
}

// suspect finds out of all servers whether they are there, and does not wait for that.
func (r *distant) suspect() {
	r.proving.mu.Lock()
	recent := time.Since(r.proving.all) < doubtAfter
	if !recent {
		r.proving.all = time.Now()
	}
	r.proving.mu.Unlock()
	if recent || r.dark.Load() {
		return
	}
	for _, t := range r.roster.all() {
		go r.there(t)
	}
}

// allShunned tells whether all servers were out of reach a moment ago.
func (r *distant) allShunned() bool {
	for _, t := range r.roster.all() {
		if !r.roster.isShunned(t.ID) {
			return false
		}
	}
	return true
}

// A search is one for a way to a datacenter through another one, shared by all who want to know.
type search struct {
	done chan struct{} // closed when what follows is set
	hub  *distant      // nil: there is none
	at   time.Time
}

// How long a way round is gone before it is looked for anew, and how long it is known that there is none.
const (
	wayKept   = 10 * time.Second
	noWayKept = time.Second
)

// hubsMost bounds how many other datacenters are asked for a way.
const hubsMost = 3

// seek looks for a way round, unless that is known. It does not wait.
func (r *distant) seek() *search {
	r.searching.Lock()
	defer r.searching.Unlock()
	if s := r.way; s != nil {
		select {
		case <-s.done:
			if s.hub != nil && time.Since(s.at) < wayKept && !s.hub.dark.Load() || s.hub == nil && time.Since(s.at) < noWayKept {
				return s
			}
		default:
			return s
		}
	}
	s := &search{done: make(chan struct{})}
	r.way = s
	go func() {
		s.hub = r.search()
		s.at = time.Now()
		close(s.done)
	}()
	return s
}

// wait blocks for the outcome of a search; nil is that there is no way, or the end of ctx.
func (s *search) wait(ctx context.Context) *distant {
	select {
	case <-s.done:
		return s.hub
	case <-ctx.Done():
		return nil
	}
}

// lose forgets a way that is none any more.
func (r *distant) lose(hub *distant) {
	r.searching.Lock()
	defer r.searching.Unlock()
	if s := r.way; s != nil {
		select {
		case <-s.done:
			if s.hub == hub {
				r.way = nil
			}
		default:
		}
	}
}

// search asks the nearest other datacenters whether they reach this one, and returns the first that does.
func (r *distant) search() *distant {
	ctx, cancel := context.WithTimeout(r.agent.ctx, proofTime+suspectAfter)
	defer cancel()
	hubs := r.agent.server.federation.hubs(r)
	found := make(chan *distant, len(hubs))
	for _, hub := range hubs {
		go func() {
			_, err := hub.call(ctx, rpc.Header{Datacenter: r.name, Hops: through}, coordinate.NamesMethod.Name, nil, rpc.Traits{Repeatable: true})
			if rpc.CodeOf(err) == rpc.NoDatacenter || ctx.Err() != nil {
				hub = nil
			}
			found <- hub
		}()
	}
	for range hubs {
		if hub := <-found; hub != nil {
			return hub
		}
	}
	return nil
}
