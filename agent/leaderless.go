package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"lictor/raftstore"
	"lictor/rpc"
	"lictor/state"
)

// leaderlessMemory is how long it is remembered which voters answer.
const leaderlessMemory = time.Second

// voters remembers which servers have a vote and which of them answer, for those who ask why there is no leader.
type voters struct {
	turn chan struct{} // of capacity one: full while somebody reads what follows or asks the voters (a mutex is not held over calls)
	at   time.Time
	text string
}

// leaderless is the error of a call for which there is no leader: Consul's text, and then what stands in the way.
func (s *server) leaderless() error {
	text := s.quorum()
	if text == "" {
		return state.ErrNoLeader
	}
	return rpc.Errorf(rpc.NoLeader, "%s (%s)", state.ErrNoLeader, text)
}

// quorum tells which voters are known, where, and which of them answer; "" where this server is alone.
func (s *server) quorum() string {
	s.voters.turn <- struct{}{}
	defer func() { <-s.voters.turn }()
	if time.Since(s.voters.at) > leaderlessMemory {
		s.voters.text, s.voters.at = s.askVoters(), time.Now()
	}
	return s.voters.text
}

// askVoters asks all voters at once.
func (s *server) askVoters() string {
	servers, _, err := s.node.Servers()
	if err != nil {
		return ""
	}
	voters := slices.DeleteFunc(servers, func(v raftstore.Server) bool { return !v.Voter })
	if len(voters) == 0 {
		if expect := s.agent.cfg.Server.BootstrapExpect; expect > 1 {
			return fmt.Sprintf("no voters yet: %d of bootstrap_expect = %d servers are known", len(s.agent.route.roster.all()), expect)
		}
		return "no voters yet: this server has not joined a cluster"
	}
	if len(voters) == 1 && voters[0].ID == s.agent.id {
		return ""
	}
	ctx, cancel := context.WithTimeout(s.agent.ctx, leaderlessMemory)
	defer cancel()
	said := make([]string, len(voters))
	var all sync.WaitGroup
	for i, v := range voters {
		all.Go(func() { said[i] = s.describeVoter(ctx, v) })
	}
	all.Wait()
	return "voters: " + strings.Join(said, ", ")
}

func (s *server) describeVoter(ctx context.Context, v raftstore.Server) string {
	name, t := s.services.raft.NameOf(v.ID), rpc.Target{ID: v.ID, Address: v.Address}
	if known, ok := s.agent.route.roster.find(v.ID); ok {
		t = known
	}
	if name == "" {
		name = v.ID
	}
	if v.ID == s.agent.id {
		return fmt.Sprintf("%s at %s is this server", name, t.Address)
	}
	if _, err := s.logStats(ctx, t); err != nil {
		return fmt.Sprintf("%s at %s does not answer", name, t.Address)
	}
	return fmt.Sprintf("%s at %s answers", name, t.Address)
}
