package raftstore

import (
	"context"

	"github.com/hashicorp/raft"
)

// WatchLeader calls changed after each change of the server that leads, until ctx is done, which it blocks for. Leader may
// change once more without a call: when this server's own duties have begun, which Lead is told of.
func (n *Node) WatchLeader(ctx context.Context, changed func()) {
	news := make(chan raft.Observation, 1) // one is enough: it says that something has changed, and is read after that
	observer := raft.NewObserver(news, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	n.raft.RegisterObserver(observer)
	defer n.raft.DeregisterObserver(observer)
	for {
		select {
		case <-news:
			changed()
		case <-ctx.Done():
			return
		}
	}
}
