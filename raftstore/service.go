package raftstore

import (
	"context"

	"lictor/acl"
	"lictor/rpc"
)

// The methods about the servers themselves.
var (
	LeaderMethod        = rpc.Method[struct{}, string]{Name: "Status.Leader", Anywhere: true, Repeatable: true}
	PeersMethod         = rpc.Method[struct{}, []string]{Name: "Status.Peers", Anywhere: true, Repeatable: true}
	ConfigurationMethod = rpc.Method[struct{}, Configuration]{Name: "Operator.RaftConfiguration", Repeatable: true}
)

// A Configuration is the members of the cluster. Index is 0, as Consul answers.
type Configuration struct {
	Servers []Server
	Index   uint64
}

// A Service answers the package's methods.
type Service struct {
	Node *Node
	// NameOf finds the name of the node with this id, or "".
	NameOf func(id string) string
	// Members lists the servers that gossip knows.
	Members func() []Member
	// Ask asks another server where it is in the log; nil if none can be asked.
	Ask func(ctx context.Context, server Member) (LogStats, error)

	stable stability
}

// Leader tells the address of the leader, to anybody: it is how clients find out whether a cluster works.
func (s *Service) Leader(context.Context, acl.Authorizer, *struct{}) (string, error) {
	address, _ := s.Node.Leader()
	return address, nil
}

// Peers lists the addresses of the servers, to anybody.
func (s *Service) Peers(context.Context, acl.Authorizer, *struct{}) ([]string, error) {
	servers, _, err := s.Node.Servers()
	addresses := []string{}
	for _, server := range servers {
		addresses = append(addresses, server.Address)
	}
	return addresses, err
}

// Configuration lists the servers.
func (s *Service) Configuration(_ context.Context, az acl.Authorizer, _ *struct{}) (Configuration, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return Configuration{}, err
	}
	servers, _, err := s.Node.Servers()
	for i := range servers {
		servers[i].Name = s.NameOf(servers[i].ID)
	}
	return Configuration{Servers: servers}, err
}
