package agent

import "lictor/raftstore"

// A cluster has an id, minted when it is made, so that two clusters that come to gossip with each other do not merge. Servers
// have it from the replicated state; client agents go by the servers that they have joined, which package gossip sees to.

// startNaming lets a server tell its cluster's id to the others as soon as it knows it.
func (a *Agent) startNaming() {
	if a.server == nil {
		return
	}
	a.running.Go(func() {
		for {
			tx := a.server.node.DB().Read()
			if id := raftstore.ClusterID(tx); id != "" {
				a.joinCluster(id)
			}
			if tx.Watch().Wait(a.ctx) != nil {
				return
			}
		}
	})
}

// joinCluster notes of which cluster this agent is part, and tells the others.
func (a *Agent) joinCluster(id string) {
	if old := a.cluster.Swap(&id); old != nil && *old == id || old == nil && id == "" {
		return
	}
	a.running.Go(func() { // it waits for the news to spread
		if err := a.lan.SetTags(a.ctx, a.tags()); err != nil && a.ctx.Err() == nil {
			a.log.Warn("the other agents were not told of which cluster this one is part", "error", err)
		}
	})
}
