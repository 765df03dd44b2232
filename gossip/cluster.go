package gossip

import "net/netip"

// A cluster has an id, which its servers carry in their tags. An agent that was not told the id of its own, as a client
// or a server that joins, goes by the id that most living servers of the LAN pool carry, and by none while none does. So it
// needs no memory that could outlive its cluster, and once it has joined it refuses agents of any other.

// ClusterID returns the id of the cluster that this agent is part of: that of its tags, or else the one that most of
// the living servers in the LAN pool carry (of equals the one it went by before, then the first in order). It is empty while
// no server carries one, and in the WAN pool, which joins clusters.
func (p *Pool) ClusterID() string {
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	return p.guard.cluster
}

// foreign reports whether an id is that of another cluster.
func (g *guard) foreign(id string) bool {
	return g.kind == LAN && id != "" && g.cluster != "" && id != g.cluster
}

// elect settles which cluster this agent is part of, and so who is a stranger.
func (g *guard) elect() {
	if g.kind != LAN {
		return
	}
	g.cluster = g.elected()
	var strangers map[netip.AddrPort]bool
	for name, p := range g.alive {
		if name != g.name && g.foreign(p.cluster) {
			if strangers == nil {
				strangers = map[netip.AddrPort]bool{}
			}
			strangers[p.addr] = true
		}
	}
	g.strangers.Store(&strangers)
}

func (g *guard) elected() string {
	if g.tags.ClusterID != "" {
		return g.tags.ClusterID
	}
	votes := map[string]int{}
	for _, p := range g.alive {
		if p.server && p.cluster != "" {
			votes[p.cluster]++
		}
	}
	best := ""
	for id, n := range votes {
		if n > votes[best] || n == votes[best] && best != g.cluster && (id == g.cluster || id < best) {
			best = id
		}
	}
	return best
}

// estrange notes that a member of this pool says now that it is of another cluster. Nothing is sent to it any more, so
// that it soon counts as failed, as this agent does there.
func (g *guard) estrange(name string, claim peer) {
	held, ok := g.alive[name]
	if !ok || name == g.name || held.addr != claim.addr || held.cluster == claim.cluster || !g.foreign(claim.cluster) {
		return
	}
	g.log.Error("a member belongs to another cluster now and is cut off",
		"name", name, "holder", held.String(), "cluster", claim.cluster, "own_cluster", g.cluster)
	held.cluster = claim.cluster
	g.alive[name] = held
	g.elect()
}

// strange reports whether nothing may be sent to an address. It is asked for each packet and takes no lock.
func (g *guard) strange(addr netip.AddrPort) bool {
	strangers := g.strangers.Load()
	return strangers != nil && len(*strangers) > 0 && (*strangers)[addr]
}
