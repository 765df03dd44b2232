package raftstore

import (
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.ID)
	set(&c.HeartbeatTimeout, n.HeartbeatTimeout)
	set(&c.ElectionTimeout, n.ElectionTimeout)
	set(&c.LeaderLeaseTimeout, n.LeaseTimeout)
	c.BatchApplyCh = true
	c.MaxAppendEntries = 512
	c.Logger = n.RaftLog
	c.PreVoteDisabled = n.PreVoteDisabled
	c.NoLegacyTelemetry = true
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

// bootstrap makes a cluster of this server alone, unless there is one.
func (n *Node) bootstrap(conf *raft.Config) error {
	has, err := raft.HasExistingState(n.store.logs, n.store.stable, n.store.snapshots)
	if err != nil || has {
		return err
	}
	first := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: n.trans.LocalAddr()}}}
	if err := raft.BootstrapCluster(conf, n.store.logs, n.store.stable, n.store.snapshots, n.trans, first); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// alone tells whether this server is the only voter of its cluster.
func (n *Node) alone() bool {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return false
	}
	servers := f.Configuration().Servers
	return len(servers) == 1 && servers[0].ID == raft.ServerID(n.ID)
}

// hurry makes a server that is alone elect itself now rather than after a heartbeat time-out, in which no leader could
// make itself heard anyway. It asks through Raft's own message for a transfer of leadership.
func (n *Node) hurry() {
	args := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.ID), Addr: n.trans.EncodePeer(raft.ServerID(n.ID), n.trans.LocalAddr()),
	}}
	err := n.trans.TimeoutNow(raft.ServerID(n.ID), n.trans.LocalAddr(), args, &raft.TimeoutNowResponse{})
	if err != nil {
		n.Log.Debug("could not hurry the election", "error", err)
	}
}

// A Server is one member of the replicated log.
type Server struct {
	ID        string
	Name      string // of its node; "" if that is not known
	Address   string
	Voter     bool
	Leader    bool
	LastIndex uint64 // of its log; 0 if that is not known
}

// ProtocolVersion is the version of Raft's protocol that servers speak.
const ProtocolVersion = int(raft.ProtocolVersionMax)

// Servers lists the members as of the newest configuration in the log, which has the index that is returned.
func (n *Node) Servers() ([]Server, uint64, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, 0, n.explain(err)
	}
	_, leader := n.raft.LeaderWithID()
	var out []Server
	for _, s := range f.Configuration().Servers {
		server := Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Leader: s.ID == leader}
		if server.ID == n.ID {
			server.LastIndex = n.raft.LastIndex()
		}
		out = append(out, server)
	}
	return out, f.Index(), nil
}

// Leader is the address and the id of the server that leads, or "" while none is known. This server names itself only
// once its duties as a leader have begun (see Config.Lead).
func (n *Node) Leader() (address, id string) {
	a, i := n.raft.LeaderWithID()
	if string(i) == n.ID && !n.lead.ready.Load() {
		return "", ""
	}
	return string(a), string(i)
}

// Leads tells whether this server leads and has applied all that was committed before.
func (n *Node) Leads() bool {
	return n.raft.State() == raft.Leader && n.lead.caughtUp.Load() == n.raft.CurrentTerm() && (!n.store.disk.stalled.Load() || n.alone())
}

// Stats are Raft's own figures, by their names in `lictor info`.
func (n *Node) Stats() map[string]string { return n.raft.Stats() }

// Snapshot writes a snapshot to disk now.
func (n *Node) Snapshot() error { return n.raft.Snapshot().Error() }

// stream is Raft's view of the connections that carry it.
type stream struct {
	net.Listener
	advertise net.Addr
	dial      func(address string, timeout time.Duration) (net.Conn, error)
}

// Addr is where the other servers reach this one.
func (s *stream) Addr() net.Addr { return s.advertise }

// Dial opens a connection to another server.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.dial(string(address), timeout)
}
