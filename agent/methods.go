package agent

import (
	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/kv"
	"lictor/kvreplication"
	prepared "lictor/query"
	"lictor/raftstore"
	"lictor/rpc"
	"lictor/session"
	"lictor/txn"
	"lictor/view"
)

// services are what answers on a server, one for each domain.
type services struct {
	acl        *acl.Authority
	ca         *ca.Service
	signer     *ca.Signer
	catalog    *catalog.Service
	coordinate *coordinate.Service
	entry      *configentry.Service
	event      *event.Service
	gossip     *gossip.Service
	kv         *kv.Service
	replicas   *kvreplication.Manager
	query      *prepared.Keeper
	raft       *raftstore.Service
	session    *session.Service
	txn        *txn.Service
}

// methods is THE list of methods that servers answer. Four more are not of a domain: inviteMethod, which is about servers that
// have no state yet, ca.IntroduceMethod, which is about an agent's own settings, and those of replica, which are about rows of
// several domains.
func (s *services) methods(r *rpc.Registry[acl.Authorizer]) {
	rpc.Handle(r, acl.BootstrapMethod, s.acl.Bootstrap)
	rpc.Handle(r, acl.SetPolicyMethod, s.acl.SetPolicy)
	rpc.Handle(r, acl.DeletePolicyMethod, s.acl.DeletePolicy)
	rpc.Handle(r, acl.SetRoleMethod, s.acl.SetRole)
	rpc.Handle(r, acl.DeleteRoleMethod, s.acl.DeleteRole)
	rpc.Handle(r, acl.SetTokenMethod, s.acl.SetToken)
	rpc.Handle(r, acl.CloneTokenMethod, s.acl.CloneToken)
	rpc.Handle(r, acl.DeleteTokenMethod, s.acl.DeleteToken)
	rpc.Handle(r, acl.SetAuthMethodMethod, s.acl.SetAuthMethod)
	rpc.Handle(r, acl.DeleteAuthMethodMethod, s.acl.DeleteAuthMethod)
	rpc.Handle(r, acl.SetBindingRuleMethod, s.acl.SetBindingRule)
	rpc.Handle(r, acl.DeleteBindingRuleMethod, s.acl.DeleteBindingRule)
	rpc.Handle(r, acl.LoginMethod, s.acl.Login)
	rpc.Handle(r, acl.StartOIDCMethod, s.acl.StartOIDC)
	rpc.Handle(r, acl.FinishOIDCMethod, s.acl.FinishOIDC)
	rpc.Handle(r, acl.LogoutMethod, s.acl.Logout)
	rpc.Handle(r, acl.ExplainMethod, s.acl.Explain)
	rpc.Handle(r, acl.ResolveMethod, s.acl.Resolve)
	rpc.Handle(r, acl.ResolveGlobalMethod, s.acl.ResolveGlobal)
	rpc.Handle(r, acl.ReplicationMethod, s.acl.Replication)
	rpc.Handle(r, ca.SettingsMethod, s.ca.Settings)
	rpc.Handle(r, ca.SetSettingsMethod, s.ca.SetSettings)
	rpc.Handle(r, ca.SignMethod, s.signer.Sign)
	rpc.Handle(r, catalog.RegisterMethod, s.catalog.Register)
	rpc.Handle(r, catalog.DeregisterMethod, s.catalog.Deregister)
	rpc.Handle(r, configentry.PutMethod, s.entry.Put)
	rpc.Handle(r, configentry.DeleteMethod, s.entry.Delete)
	rpc.Handle(r, configentry.ChangeIntentionMethod, s.entry.ChangeIntention)
	rpc.Handle(r, coordinate.UpdateMethod, s.coordinate.Update)
	rpc.Handle(r, coordinate.NamesMethod, s.coordinate.ListNames)
	rpc.Handle(r, coordinate.DatacentersMethod, s.coordinate.ListDatacenters)
	rpc.Handle(r, event.FireMethod, s.event.Fire)
	rpc.Handle(r, gossip.KeyringMethod, s.gossip.Keyring)
	rpc.Handle(r, kv.PutMethod, s.kv.Put)
	rpc.Handle(r, kv.DeleteMethod, s.kv.Delete)
	rpc.Handle(r, kvreplication.StatusMethod, s.replicas.Status)
	rpc.Handle(r, prepared.CreateMethod, s.query.Create)
	rpc.Handle(r, prepared.UpdateMethod, s.query.Update)
	rpc.Handle(r, prepared.DeleteMethod, s.query.Delete)
	rpc.Handle(r, prepared.ElsewhereMethod, s.query.Elsewhere)
	rpc.Handle(r, prepared.SearchMethod, s.query.Search)
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
	view.Handle(v, acl.TokenQuery, s.acl.Token)
	view.Handle(v, acl.SelfQuery, s.acl.Self)
	view.Handle(v, acl.TokensQuery, s.acl.Tokens)
	view.Handle(v, acl.PolicyQuery, s.acl.Policy)
	view.Handle(v, acl.PoliciesQuery, s.acl.Policies)
	view.Handle(v, acl.RoleQuery, s.acl.Role)
	view.Handle(v, acl.RolesQuery, s.acl.Roles)
	view.Handle(v, acl.AuthMethodQuery, s.acl.AuthMethod)
	view.Handle(v, acl.AuthMethodsQuery, s.acl.AuthMethods)
	view.Handle(v, acl.BindingRuleQuery, s.acl.BindingRule)
	view.Handle(v, acl.BindingRulesQuery, s.acl.BindingRules)
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
	view.Handle(v, configentry.GetQuery, s.entry.Get)
	view.Handle(v, configentry.ListQuery, s.entry.List)
	view.Handle(v, configentry.ExportedQuery, s.entry.Exported)
	view.Handle(v, configentry.ListIntentionsQuery, s.entry.ListIntentions)
	view.Handle(v, configentry.OneIntentionQuery, s.entry.OneIntention)
	view.Handle(v, configentry.MatchQuery, s.entry.Match)
	view.Handle(v, configentry.CheckQuery, s.entry.Check)
	view.Handle(v, coordinate.NodesQuery, s.coordinate.Nodes)
	view.Handle(v, coordinate.NodeQuery, s.coordinate.Node)
	view.Handle(v, kv.GetQuery, s.kv.Get)
	view.Handle(v, kv.ListQuery, s.kv.List)
	view.Handle(v, kv.KeysQuery, s.kv.Keys)
	view.Handle(v, prepared.ListQuery, s.query.List)
	view.Handle(v, prepared.GetQuery, s.query.Get)
	view.Handle(v, prepared.ExplainQuery, s.query.Explain)
	view.Handle(v, prepared.ExecuteQuery, s.query.Execute)
	view.Handle(v, session.InfoQuery, s.session.Info)
	view.Handle(v, session.ListQuery, s.session.List)
	view.Handle(v, session.NodeQuery, s.session.OnNode)
}
