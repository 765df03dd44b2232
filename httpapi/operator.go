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

// raftConfiguration answers GET /v1/operator/raft/configuration, with ?stale from whichever server is asked: where there is
// no leader that is all there is.
func (s *Server) raftConfiguration(w http.ResponseWriter, r *http.Request) (any, error) {
	h := header(r)
	h.Direct = parameters(r).Has("stale")
	c, err := raftstore.ConfigurationMethod.Call(r.Context(), s.Caller, h, &struct{}{})
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

// raftRemovePeer answers DELETE /v1/operator/raft/peer, with ?id or ?address.
func (s *Server) raftRemovePeer(w http.ResponseWriter, r *http.Request) (any, error) {
	q := parameters(r)
	peer := raftstore.Peer{ID: q.Get("id"), Address: q.Get("address")}
	switch {
	case peer.ID == "" && peer.Address == "":
		return nil, badRequest("Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
	case peer.ID != "" && peer.Address != "":
		return nil, badRequest("Must specify only one of ?id or ?address")
	}
	if _, err := call(s, r, raftstore.RemovePeerMethod, &peer); err != nil {
		return nil, err
	}
	w.Header()["Content-Type"] = jsonType
	return written, nil
}

// raftTransferLeader answers POST /v1/operator/raft/transfer-leader, with ?id.
func (s *Server) raftTransferLeader(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := call(s, r, raftstore.TransferLeaderMethod, &raftstore.Peer{ID: parameters(r).Get("id")}); err != nil {
		return nil, err
	}
	return struct{ Success bool }{true}, nil
}
