// Package kvreplication copies keys below chosen prefixes from another datacenter into this one, and keeps the copies like
// their source. It knows what has to change here, how far it has come and who must not copy from whom; it does not know how
// the servers of another datacenter are reached, nor who leads.
package kvreplication

import (
	"slices"
	"strings"

	"lictor/state"
)

//msgp:ignore region
//go:generate go tool msgp -o rule_gen.go -tests=false -io=false

// A Rule says what is copied: the keys below Source in Datacenter, to keys here that have Destination in the place of Source.
// What begins with one of Exclude, whole keys of the source, is not copied, and its counterpart here is left alone.
type Rule struct {
	Datacenter  string
	Source      string
	Destination string
	Exclude     []string `msg:"Exclude,allownil"`
}

// key is the key of the rule's row.
func (r *Rule) key() string { return state.Key(r.Datacenter, r.Source, r.Destination) }

// same tells whether two rules copy the same keys.
func (r *Rule) same(o *Rule) bool {
	return r.key() == o.key() && slices.Equal(r.Exclude, o.Exclude)
}

// excludes tells whether what follows the rule's prefix in a key is left out.
func (r *Rule) excludes(rest string) bool {
	return slices.ContainsFunc(r.Exclude, func(e string) bool { return strings.HasPrefix(rest, e[len(r.Source):]) })
}

// target is where the rule writes.
func (r *Rule) target() region {
	t := region{prefix: r.Destination}
	for _, e := range r.Exclude {
		t.without = append(t.without, r.Destination+e[len(r.Source):])
	}
	return t
}

// Collide tells whether two rules would write the same keys.
func Collide(a, b *Rule) bool { return a.target().overlaps(b.target()) }

// A region is the keys of one datacenter below a prefix, without those below others.
type region struct {
	prefix  string
	without []string
}

// overlaps tells whether a key can be in both regions.
func (a region) overlaps(b region) bool {
	common := a.prefix
	if len(b.prefix) > len(common) {
		common = b.prefix
	}
	if !strings.HasPrefix(common, a.prefix) || !strings.HasPrefix(common, b.prefix) {
		return false
	}
	empty := func(without string) bool { return strings.HasPrefix(common, without) }
	return !slices.ContainsFunc(a.without, empty) && !slices.ContainsFunc(b.without, empty)
}

// A Hop is a place that keys come from.
type Hop struct {
	Datacenter string
	Prefix     string
}

// A Progress is a rule of this datacenter and how far its copy has come. It is in the replicated state, so that who leads
// next goes on from there, and others can be told where the keys come from.
type Progress struct {
	Rule
	Epoch       string // of the source's state that the indexes are of: a restored state has another one
	Index       uint64 // of the source, up to which its changes are here; 0 until a full comparison has ended
	Floor       uint64 // of the source's state when the full comparison began that is under way; 0 if none is
	Cursor      string // how far that one has come: keys up to this one are compared, without Source in front
	Upstream    []Hop  `msg:"Upstream,allownil"` // where the source has the keys from
	ModifyIndex uint64
}

// same tells whether two rows say the same, whenever they were written.
func (p *Progress) same(o *Progress) bool {
	return p.Rule.same(&o.Rule) && p.Epoch == o.Epoch && p.Index == o.Index && p.Floor == o.Floor && p.Cursor == o.Cursor && slices.Equal(p.Upstream, o.Upstream)
}

// rules is the table of the rules in force.
var rules = state.NewTable("kv-replication", func(p *Progress) string { return p.key() })

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{rules} }

// hopsMost bounds how many places keys are said to come from.
const hopsMost = 64

// upstream lists where the keys of a region here are copied from, directly or by way of others. It watches the rules.
func upstream(tx *state.Tx, of region) []Hop {
	var hops []Hop
	add := func(h Hop) {
		if len(hops) < hopsMost && !slices.Contains(hops, h) {
			hops = append(hops, h)
		}
	}
	for p := range rules.All(tx) {
		if !p.target().overlaps(of) {
			continue
		}
		from := Hop{p.Datacenter, p.Source}
		if rest, narrower := strings.CutPrefix(of.prefix, p.Destination); narrower {
			from.Prefix += rest
		}
		add(from)
		for _, h := range p.Upstream {
			add(h)
		}
	}
	return hops
}
