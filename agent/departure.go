package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"lictor/gossip"
	"lictor/raftstore"
	"lictor/rpc"
)

const (
	// leaveTimeout bounds how long a graceful leave may take.
	leaveTimeout = 15 * time.Second
	// handoverTimeout bounds the search for a new leader before this one stops.
	handoverTimeout = 2 * time.Second
	// removalTimeout bounds the wait of a leaving server for the others to take its vote.
	removalTimeout = 5 * time.Second
)

// Leave makes the agent leave the cluster gracefully, in leaveTimeout at most and whether or not who asked for it is
// still there. The owner then stops it. A second call waits for the first and returns the same.
//
// A server that leads hands the leadership over first. Then the other agents learn that this one has left, the leader takes
// a server's vote, and for leave_drain_time a server still answers those who have not heard yet.
func (a *Agent) Leave(ctx context.Context) error {
	a.leaving.Do(func() {
		a.departing.Store(true)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
		a.log.Info("leaving the cluster")
		others := a.handOver(ctx)
		a.leaveErr = a.leavePools(ctx)
		if others {
			a.awaitRemoval(ctx)
		}
		close(a.left)
	})
	return a.leaveErr
}

// leavePools says goodbye in both pools at once.
func (a *Agent) leavePools(ctx context.Context) error {
	pools := []*gossip.Pool{a.wan, a.lan}
	errs := make([]error, len(pools))
	var all sync.WaitGroup
	for i, p := range pools {
		if p != nil {
			all.Go(func() { errs[i] = p.Leave(ctx) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// handOver makes another server the leader, if this one is, and tells whether there are other voters.
func (a *Agent) handOver(ctx context.Context) (others bool) {
	if a.server == nil || a.server.node == nil {
		return false
	}
	servers, _, err := a.server.node.Servers()
	if err != nil || !voterBeside(servers, a.id) {
		return false
	}
	if !a.server.node.Leads() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	if err := a.server.node.Handover(ctx); err != nil {
		a.log.Warn("failed to hand the leadership over", "error", err)
	}
	return true
}

func voterBeside(servers []raftstore.Server, id string) bool {
	for _, s := range servers {
		if s.Voter && s.ID != id {
			return true
		}
	}
	return false
}

// awaitRemoval waits until the leader has taken this server out of the cluster, so that the cluster does not count on it any
// more, and for leave_drain_time at least.
func (a *Agent) awaitRemoval(ctx context.Context) {
	drained := time.NewTimer(a.cfg.Raft.Performance.LeaveDrainTime)
	defer drained.Stop()
	waiting, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	err := a.server.node.Removed(waiting, func(ctx context.Context) ([]raftstore.Server, error) {
		peers, err := raftstore.PeersMethod.Call(ctx, a.caller, rpc.Header{}, &struct{}{}) // which is told to everybody
		var servers []raftstore.Server
		for _, address := range peers {
			s := raftstore.Server{Address: address}
			if address == a.cfg.Network.Endpoints.RPCAdvertise.String() {
				s.ID = a.id
			}
			servers = append(servers, s)
		}
		return servers, err
	})
	if err != nil {
		a.log.Warn("the other servers have not yet removed this one from the cluster", "error", err)
	}
	select {
	case <-drained.C:
	case <-ctx.Done():
	}
}
