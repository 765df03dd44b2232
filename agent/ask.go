package agent

import (
	"context"
	"time"

	"lictor/raftstore"
	"lictor/rpc"
	"lictor/state"
)

// readIndex asks the leader up to where a follower must have come for a read.
func (s *server) readIndex(ctx context.Context, q raftstore.ReadIndex) (raftstore.ReadPoint, error) {
	t, ok := s.leader()
	if !ok || t.ID == s.agent.id {
		return raftstore.ReadPoint{}, state.ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, readIndexTimeout)
	defer cancel()
	var from raftstore.ReadPoint
	err := s.ask(ctx, t, raftstore.ReadIndexMethod.Name, &q, &from)
	return from, err
}

// readIndexTimeout bounds the wait for a leader that may be gone.
const readIndexTimeout = 2 * time.Second

// logStats asks a server where it is in the log.
func (s *server) logStats(ctx context.Context, t rpc.Target) (raftstore.LogStats, error) {
	var stats raftstore.LogStats
	err := s.ask(ctx, t, raftstore.LogStatsMethod.Name, new(struct{}), &stats)
	return stats, err
}

// ask makes a call that is for one server alone.
func (s *server) ask(ctx context.Context, t rpc.Target, method string, args, reply any) error {
	body, err := rpc.Append(nil, args)
	if err != nil {
		return err
	}
	answer, err := s.agent.route.pool.Call(ctx, t, rpc.Header{Direct: true}, method, body)
	if err != nil {
		return err
	}
	return rpc.Decode(answer, reply)
}
