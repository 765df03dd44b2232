package raftstore

import "time"

// Retention says when a snapshot is taken and how much of the log is kept behind it; zero fields are left as they are.
type Retention struct {
	Threshold uint64        // entries since the last snapshot
	Interval  time.Duration // how often to look
	Trailing  uint64        // entries that stay, for followers that are behind
}

// Retain puts a new Retention in force.
func (n *Node) Retain(r Retention) error {
	c := n.raft.ReloadableConfig()
	set(&c.SnapshotThreshold, r.Threshold)
	set(&c.SnapshotInterval, r.Interval)
	set(&c.TrailingLogs, r.Trailing)
	return n.raft.ReloadConfig(c)
}
