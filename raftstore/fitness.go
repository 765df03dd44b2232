package raftstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore stability condition
//msgp:timezone utc
//go:generate go tool msgp -o fitness_gen.go -tests=false -io=false

// FitnessMethod asks the leader how the servers are.
var FitnessMethod = rpc.Method[struct{}, Fitness]{Name: "Operator.AutopilotState", Repeatable: true}

// LogStats are where a server is in the log.
type LogStats struct {
	LastContact time.Duration // with the leader; 0 on the leader itself, negative if there was none
	LastTerm    uint64
	LastIndex   uint64
}

// A Member is what gossip knows of a server.
type Member struct {
	ID          string
	Name        string
	Address     string // of Raft, IP:port
	Status      string // such as "alive"
	Version     string
	ReadReplica bool
}

// The states of a server among the others, as clients know them.
const (
	RoleLeader   = "leader"
	RoleVoter    = "voter"
	RoleNonVoter = "non-voter"
	RoleNone     = "none" // known to gossip alone
)

// The states of a server in gossip.
const (
	aliveStatus   = "alive"
	leavingStatus = "leaving"
	leftStatus    = "left"
	failedStatus  = "failed"
	noStatus      = "none" // of a server that gossip does not know
)

// A ServerFitness is how one server is, as the leader sees it.
type ServerFitness struct {
	Member
	LogStats
	Role        string
	Healthy     bool
	StableSince time.Time         // since when it is as healthy, or not, as now
	Meta        map[string]string `msg:"Meta,allownil"`

	configured string // its address as a member
}

// Votes tells whether the server has a vote.
func (s *ServerFitness) Votes() bool { return s.Role == RoleLeader || s.Role == RoleVoter }

// A Fitness is how the servers are, as the leader sees it.
type Fitness struct {
	Healthy          bool // all of them
	FailureTolerance int  // servers that may fail before there is no quorum
	Leader           string
	Servers          []ServerFitness `msg:"Servers,allownil"` // by ID
}

// stability remembers since when servers are as they are.
type stability struct {
	mu    sync.Mutex
	known map[string]condition // by ID; guarded by mu
	last  map[string]uint64    // by ID: the last index of the server's log; guarded by mu
}

type condition struct {
	healthy bool
	since   time.Time
}

// note tells since when a server is like this.
func (s *stability) note(id string, healthy bool, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.known[id]
	if !ok || c.healthy != healthy {
		c = condition{healthy, now}
		if s.known == nil {
			s.known = map[string]condition{}
		}
		s.known[id] = c
	}
	return c.since
}

// trail notes where a server is in the log; 0 if it did not answer.
func (s *stability) trail(id string, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[string]uint64{}
	}
	s.last[id] = max(s.last[id], index)
}

// lastIndex is where a server was in the log when it last answered; 0 if that is not known.
func (s *stability) lastIndex(id string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[id]
}

func (s *stability) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.last = nil, nil
}

// Fitness tells how the servers are.
func (s *Service) Fitness(ctx context.Context, az acl.Authorizer, _ *struct{}) (Fitness, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return Fitness{}, err
	}
	f, _, err := s.look(ctx)
	return f, err
}

// LogStatsMethod asks a server where it is in the log.
var LogStatsMethod = rpc.Method[struct{}, LogStats]{Name: "Operator.LogStats", Anywhere: true, Repeatable: true, Servers: true}

// LogStats tells where this server is in the log, to anybody: the leader asks all servers.
func (s *Service) LogStats(context.Context, acl.Authorizer, *struct{}) (LogStats, error) {
	return s.Node.logStats(), nil
}

// logStats tells where this server is in the log.
func (n *Node) logStats() LogStats {
	index, term := n.lastEntry()
	stats := LogStats{LastTerm: term, LastIndex: index}
	if _, id := n.raft.LeaderWithID(); string(id) != n.ID {
		stats.LastContact = -1
		if last := n.raft.LastContact(); !last.IsZero() {
			stats.LastContact = time.Since(last)
		}
	}
	return stats
}

// look asks all servers how they are.
func (s *Service) look(ctx context.Context) (Fitness, AutopilotConfig, error) {
	if !s.Node.Leads() {
		return Fitness{}, AutopilotConfig{}, state.ErrNoLeader
	}
	servers, err := s.roster()
	if err != nil {
		return Fitness{}, AutopilotConfig{}, err
	}
	tx := s.Node.DB().Read().Unwatched()
	config := autopilotOf(tx)
	if config == nil {
		first := DefaultAutopilot()
		config = &first
	}
	own := s.Node.logStats()
	heard := s.askAll(ctx, servers, own, time.Duration(config.LastContactThreshold))
	now := time.Now()
	for i := range servers {
		server := &servers[i]
		server.LogStats = LogStats{LastContact: -1}
		if heard[i] != nil {
			server.LogStats = *heard[i]
		}
		s.stable.trail(server.ID, server.LastIndex)
		server.Healthy = heard[i] != nil && server.Status == aliveStatus && config.keepsUp(*heard[i], own)
		server.StableSince = s.stable.note(server.ID, server.Healthy, now)
		if node := catalog.FindNode(tx, server.Name); node != nil {
			server.Meta = node.Meta
		}
	}
	return summary(servers, s.Node.ID), *config, nil
}

// keepsUp tells whether a server is close enough to the leader.
func (c *AutopilotConfig) keepsUp(server, leader LogStats) bool {
	return server.LastContact >= 0 && server.LastContact <= time.Duration(c.LastContactThreshold) &&
		server.LastTerm == leader.LastTerm && server.LastIndex+c.MaxTrailingLogs >= leader.LastIndex
}

// roster lists the servers that Raft or gossip knows, by ID.
func (s *Service) roster() ([]ServerFitness, error) {
	peers, _, err := s.Node.Servers()
	if err != nil {
		return nil, err
	}
	known := map[string]Member{}
	for _, m := range s.Members() {
		known[m.ID] = m
	}
	var all []ServerFitness
	for _, p := range peers {
		m, ok := known[p.ID]
		if !ok {
			m = Member{ID: p.ID, Status: noStatus, Address: p.Address}
		}
		delete(known, p.ID)
		if m.Address == "" {
			m.Address = p.Address
		}
		all = append(all, ServerFitness{Member: m, Role: roleOf(p), configured: p.configured})
	}
	for _, m := range known {
		if m.Status == aliveStatus {
			all = append(all, ServerFitness{Member: m, Role: RoleNone})
		}
	}
	slices.SortFunc(all, func(a, b ServerFitness) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func roleOf(s Server) string {
	switch {
	case s.Leader:
		return RoleLeader
	case s.Voter:
		return RoleVoter
	default:
		return RoleNonVoter
	}
}

// askTime bounds the wait for a server to say how it is, however small the threshold.
const askTime = time.Second

// askAll asks all servers at once where they are in the log. Those who do not answer in time have nil.
func (s *Service) askAll(ctx context.Context, servers []ServerFitness, own LogStats, threshold time.Duration) []*LogStats {
	ctx, cancel := context.WithTimeout(ctx, max(threshold, askTime))
	defer cancel()
	heard := make([]*LogStats, len(servers))
	var asked sync.WaitGroup
	for i := range servers {
		if servers[i].ID == s.Node.ID {
			heard[i] = &own
		} else if s.Ask != nil && servers[i].Status == aliveStatus {
			asked.Go(func() {
				if stats, err := s.Ask(ctx, servers[i].Member); err == nil {
					heard[i] = &stats
				}
			})
		}
	}
	asked.Wait()
	return heard
}

// summary counts what the servers can bear.
func summary(servers []ServerFitness, leader string) Fitness {
	f := Fitness{Healthy: true, Leader: leader, Servers: servers}
	voters, healthy := 0, 0
	for i := range servers {
		if !servers[i].Healthy {
			f.Healthy = false
		}
		if servers[i].Votes() {
			voters++
			if servers[i].Healthy {
				healthy++
			}
		}
	}
	f.FailureTolerance = max(0, healthy-(voters/2+1))
	return f
}
