package raftstore

import (
	"context"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//go:generate go tool msgp -o peers_gen.go -tests=false -io=false

// The methods that change who the servers are and who of them leads. The leader answers them.
var (
	RemovePeerMethod     = rpc.Method[Peer, struct{}]{Name: "Operator.RaftRemovePeer"}
	TransferLeaderMethod = rpc.Method[Peer, struct{}]{Name: "Operator.TransferLeader"}
)

// A Peer names a server, by its ID or by its address.
type Peer struct {
	ID      string
	Address string // IP:port
}

// Texts that API clients see.
const (
	textUnknownID      = "id %q was not found in the Raft configuration"
	textUnknownAddress = "address %q was not found in the Raft configuration"
)

// RemovePeer takes a server out of the cluster.
func (s *Service) RemovePeer(ctx context.Context, az acl.Authorizer, p *Peer) (struct{}, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Write); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.Node.remove(ctx, *p)
}

// TransferLeader hands the leadership to another server, whichever is ready first if p names none. It returns when this
// server no longer leads.
func (s *Service) TransferLeader(ctx context.Context, az acl.Authorizer, p *Peer) (struct{}, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Write); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.Node.transfer(ctx, *p)
}

func (n *Node) remove(ctx context.Context, p Peer) error {
	found, _, err := n.find(p)
	if err != nil {
		return err
	}
	return n.Remove(ctx, found.ID)
}

// find finds a server in the newest configuration, which only the leader has for sure, and whose index it returns.
func (n *Node) find(p Peer) (Server, uint64, error) {
	if !n.Leads() {
		return Server{}, 0, state.ErrNoLeader
	}
	servers, index, err := n.Servers()
	if err != nil {
		return Server{}, 0, err
	}
	for _, s := range servers {
		if p.ID != "" && s.ID == p.ID || p.ID == "" && s.Address == p.Address {
			return s, index, nil
		}
	}
	if p.ID != "" {
		return Server{}, 0, rpc.Errorf(rpc.Internal, textUnknownID, p.ID)
	}
	return Server{}, 0, rpc.Errorf(rpc.Internal, textUnknownAddress, p.Address)
}

// explainPeers is explain for what does not write to the log as such: Raft's own words tell what is in the way.
func (n *Node) explainPeers(err error) error {
	if err == nil {
		return nil
	}
	if known := n.explain(err); rpc.CodeOf(known) != rpc.Internal {
		return known
	}
	return rpc.Errorf(rpc.Internal, "%s", err)
}
