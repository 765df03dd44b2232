package gossip

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/serf/serf"
)

// Status is the state of a member, with the numbers of /v1/agent/members.
type Status int

// The states of a member.
const (
	StatusNone Status = iota
	StatusAlive
	StatusLeaving
	StatusLeft
	StatusFailed
)

// String returns the state as `members` prints it: alive, leaving, left, failed or none.
func (s Status) String() string {
	if s < StatusNone || s > StatusFailed {
		s = StatusNone
	}
	return [...]string{"none", "alive", "leaving", "left", "failed"}[s]
}

// Member is one member of a pool at one moment.
type Member struct {
	Name   string
	Addr   netip.Addr
	Port   uint16
	Status Status
	// Tags are the tags that API clients may see.
	Tags map[string]string
	// Meta is Tags (and what is hidden of them) read as fields; Ours is false where the member has none of our tags.
	Meta Tags
	Ours bool

	Versions MemberVersions
}

// MemberVersions are the versions of memberlist's protocol and of serf's, called the delegate's, that a member speaks.
type MemberVersions struct {
	ProtocolMin, ProtocolMax, ProtocolCur uint8
	DelegateMin, DelegateMax, DelegateCur uint8
}

// AddrPort returns where the member gossips.
func (m Member) AddrPort() netip.AddrPort { return netip.AddrPortFrom(m.Addr, m.Port) }

func memberOf(m serf.Member) Member {
	meta, ours := ParseTags(m.Tags)
	return Member{
		Name:   m.Name,
		Addr:   addrOf(m.Addr),
		Port:   m.Port,
		Status: Status(m.Status),
		Tags:   publicTags(m.Tags),
		Meta:   meta,
		Ours:   ours,
		Versions: MemberVersions{
			ProtocolMin: m.ProtocolMin, ProtocolMax: m.ProtocolMax, ProtocolCur: m.ProtocolCur,
			DelegateMin: m.DelegateMin, DelegateMax: m.DelegateMax, DelegateCur: m.DelegateCur,
		},
	}
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// features lists the server features of a tag map, sorted; nil when there are none.
func features(m map[string]string) []string {
	var out []string
	for k, v := range m {
		if name, ok := strings.CutPrefix(k, tagFeature); ok && v == tagYes {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func sortMembers(ms []Member) {
	slices.SortFunc(ms, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
}
