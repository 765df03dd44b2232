package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Reasons for which a member is refused.
var (
	errBadName   = errors.New("member name is empty or too long")
	errNotServer = errors.New("not a server")
)

// conflictQuiet is how long the same conflict is not reported again.
const conflictQuiet = time.Minute

// peer is what the guard remembers of a living member.
type peer struct {
	addr    netip.AddrPort
	id      string
	server  bool
	cluster string
}

func peerOf(addr netip.AddrPort, t Tags) peer { return peer{addr, t.ID, t.Server, t.ClusterID} }

func (p peer) String() string {
	if p.id == "" {
		return p.addr.String()
	}
	return fmt.Sprintf("%s (node id %s)", p.addr, p.id)
}

// rivals reports whether two claims of one name are those of two agents, not of one that has moved, or that has a new id
// at its old address.
func (p peer) rivals(q peer) bool {
	return p.addr != q.addr && p.id != q.id && p.id != "" && q.id != ""
}

// guard decides who may be a member. Agents of another datacenter, of another cluster and clients in the WAN pool are
// refused, and so is the second holder of a name or node id for as long as the first is alive: a joining agent that is
// the second one learns it from its Join. The guard is asked by memberlist under memberlist's locks, so it calls nothing
// of it back, and keeps a table of its own that the pump fills.
type guard struct {
	kind      Kind
	name      string
	transport Transport     // of this agent
	servers   time.Duration // when failed servers are reaped
	log       *slog.Logger
	// moved tells that others know this agent by another address.
	moved chan struct{}

	// mu guards all below but strangers and ways.
	mu       sync.Mutex
	tags     Tags
	self     peer
	alive    map[string]peer   // by member name
	holders  map[string]string // node id to the name of its living holder
	cluster  string            // the id that this agent goes by: see elect
	reported map[string]time.Time
	members  map[string]Member // of a WAN, by name: those that are not forgotten
	// ways are those to the members of a WAN, by the addresses at which gossip knows them.
	ways atomic.Pointer[map[netip.AddrPort]way]
	// strangers are the addresses of living members that turned out to be of another cluster; nothing is sent to them.
	strangers atomic.Pointer[map[netip.AddrPort]bool]
}

func newGuard(cfg *Config, log *slog.Logger) *guard {
	return &guard{
		kind: cfg.Kind, name: cfg.memberName(), transport: cfg.Transport, servers: cfg.ReconnectTimeoutServers, log: log, tags: cfg.Tags,
		moved:   make(chan struct{}, 1),
		cluster: cfg.Tags.ClusterID, alive: map[string]peer{}, holders: map[string]string{}, reported: map[string]time.Time{},
		members: map[string]Member{},
	}
}

// setTags makes the guard compare with new tags of this agent.
func (g *guard) setTags(t Tags) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tags = t
	g.elect()
}

// seen keeps the table of the living up to date.
func (g *guard) seen(e Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := e.Member.Name
	if old, ok := g.alive[name]; ok && g.holders[old.id] == name {
		delete(g.holders, old.id)
	}
	delete(g.alive, name)
	if e.Type == MemberJoin || e.Type == MemberUpdate {
		g.alive[name] = peerOf(e.Member.AddrPort(), e.Member.Meta)
		if e.Member.Meta.ID != "" {
			g.holders[e.Member.Meta.ID] = name
		}
	}
	if name == g.name {
		g.self = g.alive[name]
	}
	g.learn(e)
	g.elect()
}

// NotifyMerge is asked before the members that a joined or joining agent knows are taken in. An error refuses them all.
// The dead ones do not count. A conflict between two others is no reason to refuse: halves of a cluster that
// were apart would never come together again. Each claim is looked at when it comes to it, by NotifyAlive.
func (g *guard) NotifyMerge(nodes []*memberlist.Node) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range nodes {
		if n.Name == g.name {
			g.elsewhere(n)
		}
		if n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect {
			continue
		}
		claim, err := g.admit(n)
		if err != nil {
			return err
		}
		if n.Name == g.name && claim.rivals(g.self) {
			return fmt.Errorf("node name %q of %s is that of a living member at %s", g.name, g.self, claim)
		}
		if n.Name != g.name && claim.id != "" && claim.id == g.self.id && claim.addr != g.self.addr {
			return fmt.Errorf("node id of %q at %s is that of the living member %q at %s", g.name, g.self, n.Name, claim.addr)
		}
	}
	return nil
}

// NotifyAlive is asked before a member is taken in, or a change of it, of which another says that it is alive.
func (g *guard) NotifyAlive(n *memberlist.Node) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	claim, err := g.admit(n)
	if err != nil {
		g.estrange(n.Name, claim)
		return err
	}
	if held, ok := g.alive[n.Name]; ok && held.addr != claim.addr {
		g.report(n.Name, held, claim)
		if held.rivals(claim) {
			return fmt.Errorf("node name %q of %s is that of a living member at %s", n.Name, claim, held)
		}
	}
	return g.checkID(n.Name, claim)
}

// admit checks what a member is, apart from conflicts. A second claim of this agent's own name is a conflict.
func (g *guard) admit(n *memberlist.Node) (peer, error) {
	if n.Name == "" || len(n.Name) > MaxNodeName || len(n.Meta) > memberlist.MetaMaxSize {
		return peer{}, errBadName
	}
	tags, ours := ParseTags(decodeTags(n.Meta))
	claim := peerOf(netip.AddrPortFrom(addrOf(n.Addr), n.Port), tags)
	if !claim.addr.Addr().IsValid() {
		return claim, fmt.Errorf("member %q has an address of %d bytes", n.Name, len(n.Addr))
	}
	if !ours || n.Name == g.name {
		return claim, nil
	}
	if err := g.admitTags(tags); err != nil {
		return claim, fmt.Errorf("member %q at %s: %w", n.Name, claim.addr, err)
	}
	return claim, nil
}

func (g *guard) admitTags(tags Tags) error {
	switch {
	case g.kind == LAN && g.tags.Datacenter != "" && tags.Datacenter != g.tags.Datacenter:
		return fmt.Errorf("part of datacenter %q, not %q", tags.Datacenter, g.tags.Datacenter)
	case g.kind == WAN && !tags.Server:
		return errNotServer
	case g.foreign(tags.ClusterID):
		return fmt.Errorf("part of cluster %s, not %s", tags.ClusterID, g.cluster)
	}
	return nil
}

// checkID refuses a living member's node id under a second name. At the same address it is a member that was renamed.
func (g *guard) checkID(name string, claim peer) error {
	holder, ok := g.holders[claim.id]
	if claim.id == "" || !ok || holder == name || g.alive[holder].addr == claim.addr {
		return nil
	}
	return fmt.Errorf("node id of %q at %s is that of the living member %q at %s", name, claim, holder, g.alive[holder].addr)
}

// elsewhere notes that others know this agent, dead or alive, by another address.
func (g *guard) elsewhere(n *memberlist.Node) {
	if addr := netip.AddrPortFrom(addrOf(n.Addr), n.Port); addr == g.self.addr {
		return
	}
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

// report logs that two addresses claim one name.
func (g *guard) report(name string, held, claim peer) {
	now, key := time.Now(), name+" "+claim.String()
	for k, at := range g.reported {
		if now.Sub(at) >= conflictQuiet {
			delete(g.reported, k)
		}
	}
	if _, quiet := g.reported[key]; quiet {
		return
	}
	g.reported[key] = now
	if !held.rivals(claim) {
		g.log.Warn("member claims a new address, and gets it when it does not answer at its old one",
			"name", name, "holder", held.String(), "claimant", claim.String())
		return
	}
	g.log.Error("two members claim one name; who has it keeps it while alive",
		"name", name, "self", name == g.name, "holder", held.String(), "claimant", claim.String())
}

// ReconnectTimeout says how long a failed member is waited for: as long as it has asked for itself, or else as long as
// is configured for servers or for all.
func (g *guard) ReconnectTimeout(m *serf.Member, timeout time.Duration) time.Duration {
	if m.Status != serf.StatusFailed {
		return timeout
	}
	tags, _ := ParseTags(m.Tags)
	switch {
	case tags.ReconnectTimeout > 0:
		return tags.ReconnectTimeout
	case tags.Server && g.servers > 0:
		return g.servers
	}
	return timeout
}

// decodeTags reads the tags of a member as serf writes them.
func decodeTags(meta []byte) map[string]string {
	const magic = 255
	if len(meta) == 0 || meta[0] != magic {
		return map[string]string{tagRole: string(meta)}
	}
	tags := map[string]string{}
	if err := decode(meta[1:], &tags); err != nil {
		return nil // a member without our tags
	}
	return tags
}
