package agent

import (
	"context"
	"maps"
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

// ended tells whether it has been found out.
func (p *proof) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// provedMost bounds how many servers something is remembered of, as they come and go with new ids.
const provedMost = 64

// A proving is what is known of who is there in a datacenter.
type proving struct {
	mu      sync.Mutex        // guards what follows
	servers map[string]*proof // by id
	all     time.Time         // when all were last asked
	vigils  map[rpc.Target]*vigilance
}

// A vigilance is a vigil at a server for all streams from there, which may rightly be silent for long.
type vigilance struct {
	streams int
	end     context.CancelFunc
}

// vigil doubts a server for as long as it owes an answer, which ends ctx.
func (r *distant) vigil(ctx context.Context, t rpc.Target) {
	for r.there(t) && pace.Rest(ctx, askEvery) == nil {
	}
}

// attend doubts a server for as long as there are streams from it. Who has begun one calls leave when it has ended.
func (r *distant) attend(t rpc.Target) (leave func()) {
	r.proving.mu.Lock()
	defer r.proving.mu.Unlock()
	v := r.proving.vigils[t]
	if v == nil {
		ctx, end := context.WithCancel(r.agent.ctx)
		v = &vigilance{end: end}
		r.proving.vigils[t] = v
		r.agent.running.Go(func() { // ends with the last stream, which are all lost once the server is given up
			if pace.Rest(ctx, doubtAfter) == nil {
				r.vigil(ctx, t)
			}
			r.proving.mu.Lock()
			defer r.proving.mu.Unlock()
			r.proving.dismiss(t, v)
		})
	}
	v.streams++
	return func() {
		r.proving.mu.Lock()
		defer r.proving.mu.Unlock()
		if v.streams--; v.streams == 0 {
			r.proving.dismiss(t, v)
		}
	}
}

// dismiss ends a vigil: streams that begin from now on need another one. The caller has locked mu.
func (p *proving) dismiss(t rpc.Target, v *vigilance) {
	v.end()
	if p.vigils[t] == v {
		delete(p.vigils, t)
	}
}

// there tells whether a server shows that it is there. One that does not is given up: the calls and streams at it fail.
func (r *distant) there(t rpc.Target) bool {
	r.proving.mu.Lock()
	p := r.proving.servers[t.ID]
	known := p != nil && (!p.ended() || time.Since(p.at) < doubtAfter)
	if !known {
		if len(r.proving.servers) >= provedMost {
			maps.DeleteFunc(r.proving.servers, func(_ string, p *proof) bool { return p.ended() })
		}
		p = &proof{done: make(chan struct{})}
		r.proving.servers[t.ID] = p
	}
	r.proving.mu.Unlock()
	if known {
		<-p.done
		return p.there
	}
	p.there, p.at = r.prove(t), time.Now()
	if !p.there {
		r.roster.shun(t.ID)
	}
	close(p.done)
	if !p.there {
		r.giveUp(t)
	}
	return p.there
}

// giveUp ends the connection to a server that is not there. If it may be that none is, that is found out first: so calls that fail
// with this connection are not tried at one silent server after the other.
func (r *distant) giveUp(t rpc.Target) {
	if !r.anyThere() {
		r.darken()
	}
	r.route.pool.Forget(t)
}

// anyThere tells whether a server is there, or may be. It waits for what is being found out, unless one is known to be there.
func (r *distant) anyThere() bool {
	var known, open []*proof
	r.proving.mu.Lock()
	for _, t := range r.roster.all() {
		switch p := r.proving.servers[t.ID]; {
		case p == nil:
		case p.ended():
			known = append(known, p)
		default:
			open = append(open, p)
		}
	}
	r.proving.mu.Unlock()
	for _, p := range known {
		if p.there && time.Since(p.at) < proofTime { // later than the last word of who has just been found silent
			return true
		}
	}
	for _, p := range open {
		if <-p.done; p.there {
			return true
		}
	}
	return !r.allShunned()
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
