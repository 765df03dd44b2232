package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

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
	addr netip.AddrPort
	id   string
}

func (p peer) String() string { return fmt.Sprintf("%s (node id %s)", p.addr, p.id) }

// guard decides who may be a member: agents of another datacenter, of another cluster, clients in the WAN pool and a
// second holder of a living member's node id are refused. A second holder of a name is reported with both addresses;
// serf then settles it by a vote. It is asked by memberlist under memberlist's locks, so it calls nothing of it back,
// and keeps a table of its own that the pump fills.
type guard struct {
	kind Kind
	name string
	log  *slog.Logger

	// mu guards all below.
	mu       sync.Mutex
	tags     Tags
	alive    map[string]peer   // by member name
	holders  map[string]string // node id to the name of its living holder
	reported peer
	at       time.Time
}

func newGuard(cfg *Config, log *slog.Logger) *guard {
	return &guard{
		kind: cfg.Kind, name: cfg.memberName(), tags: cfg.Tags, log: log,
		alive: map[string]peer{}, holders: map[string]string{},
	}
}

// setTags makes the guard compare with new tags of this agent.
func (g *guard) setTags(t Tags) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tags = t
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
	if e.Type != MemberJoin && e.Type != MemberUpdate {
		return
	}
	g.alive[name] = peer{e.Member.AddrPort(), e.Member.Meta.ID}
	if e.Member.Meta.ID != "" {
		g.holders[e.Member.Meta.ID] = name
	}
}

// NotifyMerge is asked before members of a joined agent, and before each member that gossip says is alive, are taken
// in. An error refuses them all.
func (g *guard) NotifyMerge(members []*serf.Member) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range members {
		if err := g.admit(m, len(members) == 1); err != nil {
			return fmt.Errorf("member %q at %s:%d: %w", m.Name, m.Addr, m.Port, err)
		}
	}
	return nil
}

// admit checks one member. The list of a joined agent may hold dead members, so that node ids are compared only for a
// member that comes alone.
func (g *guard) admit(m *serf.Member, alone bool) error {
	if m.Name == "" || len(m.Name) > MaxNodeName {
		return errBadName
	}
	tags, ours := ParseTags(m.Tags)
	if ours && m.Name != g.name { // a second claim of this agent's own name is for the vote to settle
		if err := g.admitTags(tags); err != nil {
			return err
		}
	}
	if !alone {
		return nil
	}
	claim := peer{netip.AddrPortFrom(addrOf(m.Addr), m.Port), tags.ID}
	g.reportName(m.Name, claim)
	return g.checkID(m.Name, claim)
}

func (g *guard) admitTags(tags Tags) error {
	switch {
	case g.kind == LAN && g.tags.Datacenter != "" && tags.Datacenter != g.tags.Datacenter:
		return fmt.Errorf("part of datacenter %q, not %q", tags.Datacenter, g.tags.Datacenter)
	case g.kind == WAN && !tags.Server:
		return errNotServer
	case g.kind == LAN && g.tags.ClusterID != "" && tags.ClusterID != "" && tags.ClusterID != g.tags.ClusterID:
		return fmt.Errorf("part of cluster %s, not %s", tags.ClusterID, g.tags.ClusterID)
	}
	return nil
}

// checkID refuses a living member's node id under a second name.
func (g *guard) checkID(name string, claim peer) error {
	if claim.id == "" {
		return nil
	}
	holder, ok := g.holders[claim.id]
	if !ok || holder == name {
		return nil
	}
	return fmt.Errorf("node id %s is that of living member %q at %s", claim.id, holder, g.alive[holder].addr)
}

// reportName logs that two addresses claim one name.
func (g *guard) reportName(name string, claim peer) {
	held, ok := g.alive[name]
	if !ok || held.addr == claim.addr {
		return
	}
	if g.reported == claim && time.Since(g.at) < conflictQuiet {
		return
	}
	g.reported, g.at = claim, time.Now()
	g.log.Error("two members claim one name",
		"name", name, "self", name == g.name, "holder", held.String(), "claimant", claim.String())
}

// ReconnectTimeout lets a member say itself how long it is waited for after a failure.
func (g *guard) ReconnectTimeout(m *serf.Member, timeout time.Duration) time.Duration {
	if m.Status != serf.StatusFailed {
		return timeout
	}
	if d, err := time.ParseDuration(m.Tags[tagReconnectTimeout]); err == nil && d > 0 {
		return d
	}
	return timeout
}
