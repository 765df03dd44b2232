package raftstore

import (
	"context"
	"sync"

	"lictor/acl"
	"lictor/rpc"
)

//msgp:ignore Service
//go:generate go tool msgp -o service_gen.go -tests=false -io=false

// The methods about the servers themselves.
var (
	LeaderMethod        = rpc.Method[struct{}, string]{Name: "Status.Leader", Anywhere: true, Repeatable: true}
	PeersMethod         = rpc.Method[struct{}, []string]{Name: "Status.Peers", Anywhere: true, Repeatable: true}
	ConfigurationMethod = rpc.Method[struct{}, Configuration]{Name: "Operator.RaftConfiguration", Repeatable: true}
)

// A Configuration is the members of the cluster. Index is 0, as Consul answers.
type Configuration struct {
	Servers []Server `msg:"Servers,allownil"`
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
	// Forget makes gossip forget a server that the leader has removed although it has not said that it leaves; may be nil.
	Forget func(server Member)

	stable stability
	once   sync.Once
	nudge  chan struct{} // made by once
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

// Configuration lists the servers, with where their logs end as of the leader's last look at them.
func (s *Service) Configuration(_ context.Context, az acl.Authorizer, _ *struct{}) (Configuration, error) {
	if err := acl.Require(az, acl.Operator, "", acl.Read); err != nil {
		return Configuration{}, err
	}
	servers, _, err := s.Node.Servers()
	for i := range servers {
		servers[i].Name = s.NameOf(servers[i].ID)
		servers[i].LastIndex = max(servers[i].LastIndex, s.stable.lastIndex(servers[i].ID))
	}
	return Configuration{Servers: servers}, err
}
