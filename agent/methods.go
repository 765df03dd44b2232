package agent

import (
	"lictor/acl"
	"lictor/kv"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/view"
)

// services are what answers on a server, one for each domain.
type services struct {
	kv   *kv.Service
	raft *raftstore.Service
}

// methods is THE list of methods that servers answer.
func (s *services) methods(r *rpc.Registry[acl.Authorizer]) {
	rpc.Handle(r, kv.PutMethod, s.kv.Put)
	rpc.Handle(r, kv.DeleteMethod, s.kv.Delete)
	rpc.Handle(r, raftstore.LeaderMethod, s.raft.Leader)
	rpc.Handle(r, raftstore.PeersMethod, s.raft.Peers)
	rpc.Handle(r, raftstore.ConfigurationMethod, s.raft.Configuration)
}

// queries is THE list of queries that servers answer.
func (s *services) queries(v *view.Views) {
	view.Handle(v, kv.GetQuery, s.kv.Get)
	view.Handle(v, kv.ListQuery, s.kv.List)
	view.Handle(v, kv.KeysQuery, s.kv.Keys)
}
