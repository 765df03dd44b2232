package raftstore

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A migration replaces the servers of one version by as many of a newer one: the new ones wait without a vote until
// they are as many as the old ones that have one; then they are given theirs, the leadership goes to one of them, and
// the old ones lose theirs. The operator stops them then. It takes place only where UpgradeVersionTag says which version
// a server has: who starts the same servers with another program, one after the other, wants all of them to vote.
type migration struct {
	tag    string // "" if there is none under way
	newest string
	wait   bool // there are too few new servers yet
	old    []*ServerFitness
	fresh  []*ServerFitness // healthy voters of the newest version
	leader *ServerFitness
}

// migration looks whether there are old and new servers.
func (s situation) migration() migration {
	m := migration{tag: s.config.UpgradeVersionTag}
	if m.tag == "" || s.config.DisableUpgradeMigration {
		return migration{}
	}
	for i := range s.servers {
		if x := &s.servers[i]; x.Status == aliveStatus && !x.ReadReplica && compareVersions(x.Meta[m.tag], m.newest) > 0 {
			m.newest = x.Meta[m.tag]
		}
	}
	ready, older := 0, false
	for i := range s.servers {
		x := &s.servers[i]
		older = older || x.Role != RoleNone && !m.isNew(x)
		switch {
		case x.Role == RoleLeader:
			m.leader = x
		case m.isNew(x) && s.ready(x):
			ready++
		}
		switch {
		case x.Votes() && !m.isNew(x):
			m.old = append(m.old, x)
		case x.Votes() && x.Healthy:
			m.fresh = append(m.fresh, x)
		}
	}
	if !older {
		return migration{}
	}
	m.wait = ready+len(m.fresh) < len(m.old)
	return m
}

// isNew tells whether a server has the newest version.
func (m migration) isNew(x *ServerFitness) bool {
	return m.tag != "" && compareVersions(x.Meta[m.tag], m.newest) == 0
}

// waits tells whether a server is given no vote for now.
func (m migration) waits(x *ServerFitness) bool { return m.tag != "" && m.isNew(x) == m.wait }

// retire takes the votes of old servers once the new ones have theirs. So many healthy servers vote now.
func (m migration) retire(healthy int) []change {
	if m.tag == "" || m.wait || len(m.fresh) == 0 {
		return nil
	}
	if m.leader != nil && !m.isNew(m.leader) {
		return []change{{handOver, slices.MinFunc(m.fresh, longest), "it is of the newest version"}}
	}
	var all []change
	for _, x := range m.old {
		if x.Healthy {
			healthy--
		}
		if healthy >= fewVoters {
			all = append(all, change{demoteServer, x, "servers of a newer version vote"})
		}
	}
	return all
}

// compareVersions compares versions such as 1.21.4: number by number, and what are no numbers as text.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y string
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		n, err := strconv.Atoi(x)
		k, err2 := strconv.Atoi(y)
		order := cmp.Compare(x, y)
		if err == nil && err2 == nil {
			order = cmp.Compare(n, k)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}
