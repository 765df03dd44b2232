package httpapi

import (
	"net/http"
	"strconv"

	"lictor/raftstore"
)

// A raftServer is a server as /v1/operator/raft/configuration lists it.
type raftServer struct {
	ID              string
	Node            string
	Address         string
	Leader          bool
	ProtocolVersion string
	Voter           bool
	LastIndex       uint64
}

// raftConfiguration answers GET /v1/operator/raft/configuration.
func (s *Server) raftConfiguration(w http.ResponseWriter, r *http.Request) (any, error) {
	c, err := call(s, r, raftstore.ConfigurationMethod, &struct{}{})
	if err != nil {
		return nil, err
	}
	servers := []raftServer{}
	for _, server := range c.Servers {
		servers = append(servers, raftServer{ID: server.ID, Node: server.Name, Address: server.Address, Leader: server.Leader,
			ProtocolVersion: strconv.Itoa(raftstore.ProtocolVersion), Voter: server.Voter, LastIndex: server.LastIndex})
	}
	return struct {
		Servers []raftServer
		Index   uint64
	}{servers, c.Index}, nil
}
