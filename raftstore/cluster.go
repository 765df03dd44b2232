package raftstore

import (
	"fmt"

	"github.com/hashicorp/raft"
)

//msgp:ignore stream
//go:generate go tool msgp -o cluster_gen.go -tests=false -io=false

// queued is how many entries may wait for Raft's main loop, which takes up as many at once.
const queued = 512

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.ID)
	set(&c.HeartbeatTimeout, n.HeartbeatTimeout)
	set(&c.ElectionTimeout, n.ElectionTimeout)
	set(&c.LeaderLeaseTimeout, n.LeaseTimeout)
	c.BatchApplyCh = true
	c.MaxAppendEntries = queued
	c.Logger = n.RaftLog
	c.PreVoteDisabled = n.PreVoteDisabled
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // a server that was taken out can be taken in again
	set(&c.SnapshotThreshold, n.SnapshotThreshold)
	set(&c.SnapshotInterval, n.SnapshotInterval)
	set(&c.TrailingLogs, n.TrailingLogs)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// HasState tells whether this server has ever been part of a cluster: only one that has not can begin one.
func (n *Node) HasState() (bool, error) {
	return raft.HasExistingState(n.store.logs, n.store.stable, n.store.snapshots)
}

// bootstrap makes a cluster of this server alone, unless there is one.
func (n *Node) bootstrap(conf *raft.Config) error {
	has, err := n.HasState()
	if err != nil || has {
		return err
	}
	first := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: n.trans.LocalAddr()}}}
	if err := raft.BootstrapCluster(conf, n.store.logs, n.store.stable, n.store.snapshots, n.trans, first); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// Bootstrap makes a cluster of these servers, all of which have a vote. Each of them is to be told the same. It fails
// on a server that has been part of one already.
func (n *Node) Bootstrap(servers []Server) error {
	var first raft.Configuration
	for _, s := range servers {
		first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
	}
	err := n.ask(func() raft.Future { return n.raft.BootstrapCluster(first) })
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if n.alone() {
		n.trans.standNow(n.raft.CurrentTerm())
	}
	return nil
}

// alone tells whether this server is the only voter of its cluster, so that nobody else can lead.
func (n *Node) alone() bool { return n.store.witness.newest.Load().decides(raft.ServerID(n.ID)) }

// A Server is one member of the replicated log.
type Server struct {
	ID        string
	Name      string // of its node; "" if that is not known
	Address   string
	Voter     bool
	Leader    bool
	LastIndex uint64 // of its log; 0 if that is not known

	configured string // its address in the configuration
}

// ProtocolVersion is the version of Raft's protocol that servers speak.
const ProtocolVersion = int(raft.ProtocolVersionMax)

// Servers lists the members as of the newest configuration in the log, which has the index that is returned. Addresses
// are the current ones.
func (n *Node) Servers() ([]Server, uint64, error) {
	members := n.store.witness.newest.Load()
	_, leader := n.raft.LeaderWithID()
	var out []Server
	for _, s := range members.servers {
		server := Server{ID: string(s.ID), Address: n.address(s.ID, ""), Voter: s.Suffrage == raft.Voter, Leader: s.ID == leader, configured: string(s.Address)}
		if server.ID == n.ID {
			server.LastIndex = n.raft.LastIndex()
		}
		out = append(out, server)
	}
	return out, members.index, nil
}

// Leader is the current address and the id of the server that leads, or "" while none is known. This server names itself
// only once its duties as a leader have begun (see Config.Lead).
func (n *Node) Leader() (address, id string) {
	a, i := n.raft.LeaderWithID()
	if i == "" || string(i) == n.ID && !n.lead.ready.Load() {
		return "", ""
	}
	return n.address(i, string(a)), string(i)
}

// Leads tells whether this server leads and has applied all that was committed before.
func (n *Node) Leads() bool {
	return n.raft.State() == raft.Leader && n.lead.caughtUp.Load() == n.raft.CurrentTerm() && (!n.store.disk.stalled.Load() || n.alone())
}

// Stats are Raft's own figures, by their names in `lictor info`.
func (n *Node) Stats() map[string]string { return n.raft.Stats() }

// Snapshot writes a snapshot to disk now.
func (n *Node) Snapshot() error { return n.raft.Snapshot().Error() }
