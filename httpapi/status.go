package httpapi

import (
	"net/http"

	"lictor/raftstore"
)

// statusLeader answers GET /v1/status/leader: the address of the leader, or "" if none is known.
func (s *Server) statusLeader(w http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, raftstore.LeaderMethod, &struct{}{})
}

// statusPeers answers GET /v1/status/peers: the addresses of the servers.
func (s *Server) statusPeers(w http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, raftstore.PeersMethod, &struct{}{})
}
