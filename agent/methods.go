package agent

import (
	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/kv"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/session"
	"lictor/txn"
	"lictor/view"
)

// services are what answers on a server, one for each domain.
type services struct {
	ca         *ca.Service
	catalog    *catalog.Service
	coordinate *coordinate.Service
	event      *event.Service
	gossip     *gossip.Service
	kv         *kv.Service
	raft       *raftstore.Service
	session    *session.Service
	txn        *txn.Service
}

// methods is THE list of methods that servers answer; inviteMethod, which is about servers that have no state yet, is one
// more.
func (s *services) methods(r *rpc.Registry[acl.Authorizer]) {
	rpc.Handle(r, catalog.RegisterMethod, s.catalog.Register)
	rpc.Handle(r, catalog.DeregisterMethod, s.catalog.Deregister)
	rpc.Handle(r, coordinate.UpdateMethod, s.coordinate.Update)
	rpc.Handle(r, coordinate.NamesMethod, s.coordinate.ListNames)
	rpc.Handle(r, coordinate.DatacentersMethod, s.coordinate.ListDatacenters)
	rpc.Handle(r, event.FireMethod, s.event.Fire)
	rpc.Handle(r, gossip.KeyringMethod, s.gossip.Keyring)
	rpc.Handle(r, kv.PutMethod, s.kv.Put)
	rpc.Handle(r, kv.DeleteMethod, s.kv.Delete)
	rpc.Handle(r, raftstore.LeaderMethod, s.raft.Leader)
	rpc.Handle(r, raftstore.PeersMethod, s.raft.Peers)
	rpc.Handle(r, raftstore.ConfigurationMethod, s.raft.Configuration)
	rpc.Handle(r, raftstore.RemovePeerMethod, s.raft.RemovePeer)
	rpc.Handle(r, raftstore.TransferLeaderMethod, s.raft.TransferLeader)
	rpc.Handle(r, raftstore.AutopilotMethod, s.raft.Autopilot)
	rpc.Handle(r, raftstore.SetAutopilotMethod, s.raft.SetAutopilot)
	rpc.Handle(r, raftstore.FitnessMethod, s.raft.Fitness)
	rpc.Handle(r, raftstore.LogStatsMethod, s.raft.LogStats)
	rpc.Handle(r, raftstore.ReadIndexMethod, s.raft.ReadIndex)
	rpc.Handle(r, session.CreateMethod, s.session.Create)
	rpc.Handle(r, session.DestroyMethod, s.session.Destroy)
	rpc.Handle(r, session.RenewMethod, s.session.Renew)
	rpc.Handle(r, session.LockMethod, s.session.Lock)
	rpc.Handle(r, txn.WriteMethod, s.txn.Write)
	rpc.Handle(r, txn.ReadMethod, s.txn.Read)
}

// queries is THE list of queries that servers answer.
func (s *services) queries(v *view.Views) {
	view.Handle(v, ca.RootsQuery, s.ca.Roots)
	view.Handle(v, catalog.NodesQuery, s.catalog.Nodes)
	view.Handle(v, catalog.NodeQuery, s.catalog.Node)
	view.Handle(v, catalog.NodeServicesQuery, s.catalog.NodeServices)
	view.Handle(v, catalog.ServicesQuery, s.catalog.Services)
	view.Handle(v, catalog.ServiceNodesQuery, s.catalog.ServiceNodes)
	view.Handle(v, catalog.GatewayQuery, s.catalog.GatewayServices)
	view.Handle(v, catalog.ServiceHealthQuery, s.catalog.ServiceHealth)
	view.Handle(v, catalog.NodeChecksQuery, s.catalog.NodeChecks)
	view.Handle(v, catalog.ServiceChecksQuery, s.catalog.ServiceChecks)
	view.Handle(v, catalog.ChecksInStateQuery, s.catalog.ChecksInState)
	view.Handle(v, catalog.AddressQuery, s.catalog.AtAddress)
	view.Handle(v, catalog.VirtualAddressQuery, s.catalog.VirtualAddress)
	view.Handle(v, catalog.UsageQuery, s.catalog.Usage)
	view.Handle(v, coordinate.NodesQuery, s.coordinate.Nodes)
	view.Handle(v, coordinate.NodeQuery, s.coordinate.Node)
	view.Handle(v, kv.GetQuery, s.kv.Get)
	view.Handle(v, kv.ListQuery, s.kv.List)
	view.Handle(v, kv.KeysQuery, s.kv.Keys)
	view.Handle(v, session.InfoQuery, s.session.Info)
	view.Handle(v, session.ListQuery, s.session.List)
	view.Handle(v, session.NodeQuery, s.session.OnNode)
}
