package raftstore

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A situation is what a leader goes by when it decides about the members of its cluster.
type situation struct {
	servers []ServerFitness // by ID
	config  AutopilotConfig
	since   time.Time // when the leader began to look
	now     time.Time
}

// An action is what a leader does about a server.
type action string

// The actions.
const (
	addServer     action = "add"     // as a member without a vote
	moveServer    action = "move"    // to another address
	promoteServer action = "promote" // give it a vote
	demoteServer  action = "demote"  // take its vote
	removeServer  action = "remove"
	handOver      action = "hand the leadership to"
)

// A change is one step.
type change struct {
	action action
	server *ServerFitness
	why    string
}

// fewVoters is how many healthy voters are kept, where a vote is taken for the sake of order only.
const fewVoters = 3

// forgottenTime is how long a member has to be unknown to gossip before it counts as dead: a leader that has just
// started may not have heard of all.
const forgottenTime = time.Minute

// plan decides what to do now, in this order. It looks at nothing but the situation.
func plan(s situation) []change {
	var all []change
	for i := range s.servers {
		if c, ok := follow(&s.servers[i]); ok {
			all = append(all, c)
		}
	}
	all = append(all, s.vote()...)
	if s.config.CleanupDeadServers {
		all = append(all, s.cleanUp()...)
	}
	return all
}

// follow brings the members in line with what gossip says of a server.
func follow(x *ServerFitness) (change, bool) {
	switch member := x.Role != RoleNone; {
	case member && (x.Status == leftStatus || x.Status == leavingStatus) && x.Role != RoleLeader:
		return change{removeServer, x, "it has left"}, true
	case !member && x.Status == aliveStatus:
		return change{addServer, x, "it has joined"}, true
	case member && x.Status == aliveStatus && x.configured != x.Address:
		return change{moveServer, x, "it was at " + x.configured}, true
	}
	return change{}, false
}

// ready tells whether a member may be given a vote: it has been healthy for long enough. A leader that has not looked for
// that long itself takes a healthy server for a stable one, so that a new cluster need not wait.
func (s situation) ready(x *ServerFitness) bool {
	stable := time.Duration(s.config.ServerStabilizationTime)
	if s.now.Sub(s.since) < stable+stable/10 {
		stable = 0
	}
	return x.Role == RoleNonVoter && x.Status == aliveStatus && x.Healthy && !x.ReadReplica && s.now.Sub(x.StableSince) >= stable
}

// A zone is the servers of which one has a vote: those with the same value of RedundancyZoneTag; a server that has none
// is a zone by itself.
type zone struct {
	voters  []*ServerFitness // healthy ones, the leader first, then the longest healthy
	ailing  []*ServerFitness // voters that are alive, but not healthy
	standby []*ServerFitness // ready for a vote, the longest healthy first
	healthy bool             // some server is
}

// zones sorts the servers that may vote. During a migration the servers of the new version are zones of their own.
func (s situation) zones(m migration) map[string]*zone {
	all := map[string]*zone{}
	for i := range s.servers {
		x := &s.servers[i]
		if x.ReadReplica || x.Role == RoleNone {
			continue
		}
		key := "server " + x.ID
		if tag := s.config.RedundancyZoneTag; tag != "" && x.Meta[tag] != "" {
			key = "zone " + x.Meta[tag]
		}
		if m.isNew(x) {
			key = "new " + key
		}
		z := all[key]
		if z == nil {
			z = &zone{}
			all[key] = z
		}
		z.healthy = z.healthy || x.Healthy
		switch {
		case x.Votes() && x.Healthy:
			z.voters = append(z.voters, x)
		case x.Votes() && x.Status == aliveStatus:
			z.ailing = append(z.ailing, x)
		case s.ready(x) && !m.waits(x):
			z.standby = append(z.standby, x)
		}
	}
	for _, z := range all {
		slices.SortStableFunc(z.voters, longest)
		slices.SortStableFunc(z.standby, longest)
	}
	return all
}

func longest(a, b *ServerFitness) int {
	if (a.Role == RoleLeader) != (b.Role == RoleLeader) {
		return map[bool]int{true: -1, false: 1}[a.Role == RoleLeader]
	}
	return cmp.Or(a.StableSince.Compare(b.StableSince), cmp.Compare(a.ID, b.ID))
}

// vote decides who has a vote: one healthy server of each zone, and one more for each zone in which none is healthy. A
// vote is given before another one is taken, so that there are never fewer than before.
func (s situation) vote() []change {
	m := s.migration()
	zones := s.zones(m)
	var given, taken []change
	lost, healthy := 0, 0
	keys := slices.Sorted(maps.Keys(zones))
	for _, key := range keys {
		z := zones[key]
		healthy += len(z.voters)
		switch {
		case len(z.voters) == 0 && len(z.standby) > 0:
			given = append(given, change{promoteServer, z.standby[0], "it is healthy and stable"})
		case !z.healthy && s.config.RedundancyZoneTag != "":
			lost++
		}
	}
	for _, key := range keys {
		z := zones[key]
		if len(z.voters) == 0 {
			continue
		}
		for _, x := range z.voters[1:] {
			if lost--; lost < 0 && healthy > fewVoters {
				taken = append(taken, change{demoteServer, x, "another server of its zone votes"})
				healthy--
			}
		}
		for _, x := range z.ailing {
			taken = append(taken, change{demoteServer, x, "a healthy server of its zone votes"})
		}
	}
	for _, key := range keys {
		for _, x := range zones[key].standby {
			if lost > 0 && len(zones[key].voters) > 0 {
				given = append(given, change{promoteServer, x, "another zone has no healthy server"})
				lost--
			}
		}
	}
	taken = append(taken, s.replicas()...)
	if len(given) == 0 {
		taken = append(taken, m.retire(healthy)...)
	}
	return append(given, taken...)
}

// replicas takes the vote of those that are to have none.
func (s situation) replicas() []change {
	var all []change
	for i := range s.servers {
		if x := &s.servers[i]; x.ReadReplica && x.Role == RoleVoter && x.Status == aliveStatus {
			all = append(all, change{demoteServer, x, "it is a read replica"})
		}
	}
	return all
}

// cleanUp removes members that are dead. One without a vote is in nobody's way. One with a vote makes the quorum larger
// than it need be: it goes once the others can bear the failure of more servers without it than with it, as when a
// healthy server has come in its place. Never more go at once than a quorum can lose, and so many that fewer than
// MinQuorum are left.
func (s situation) cleanUp() []change {
	var all []change
	var dead []*ServerFitness
	voters, healthy := 0, 0
	for i := range s.servers {
		x := &s.servers[i]
		gone := x.Status == failedStatus || x.Status == noStatus && !x.Healthy && s.now.Sub(x.StableSince) >= forgottenTime
		switch {
		case x.Votes():
			voters++
			if x.Healthy {
				healthy++
			}
			if gone && x.Role != RoleLeader {
				dead = append(dead, x)
			}
		case gone && x.Role == RoleNonVoter:
			all = append(all, change{removeServer, x, "it has failed"})
		}
	}
	slices.SortStableFunc(dead, longest)
	most := min(len(dead), (voters-1)/2, voters-int(min(s.config.MinQuorum, uint(voters))))
	best := 0
	for n := 1; n <= most; n++ {
		if tolerance(voters-n, healthy) > tolerance(voters-best, healthy) {
			best = n
		}
	}
	for _, x := range dead[:best] {
		all = append(all, change{removeServer, x, "it has failed, and others have its place"})
	}
	return all
}

// tolerance is how many of the healthy voters may fail before there is no quorum.
func tolerance(voters, healthy int) int { return healthy - (voters/2 + 1) }
