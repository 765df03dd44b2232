package httpapi

import (
	"net/http"

	"lictor/rpc"
)

// A route is a path with what answers each method there. A path that ends in a slash takes all that is below it.
type route struct {
	path     string
	methods  []string // in the order of the Allow header
	handlers []handler
}

// on makes a route of methods and handlers in turn.
func on(path string, pairs ...any) route {
	rt := route{path: path}
	for i := 0; i < len(pairs); i += 2 {
		rt.methods = append(rt.methods, pairs[i].(string))
		rt.handlers = append(rt.handlers, pairs[i+1].(func(*Server, http.ResponseWriter, *http.Request) (any, error)))
	}
	return rt
}

func (rt *route) handlerOf(method string) handler {
	for i, m := range rt.methods {
		if m == method {
			return rt.handlers[i]
		}
	}
	return nil
}

const (
	get  = http.MethodGet
	put  = http.MethodPut
	post = http.MethodPost
	del  = http.MethodDelete
)

// routes is THE list of routes.
var routes = []route{
	on("/v1/catalog/connect/", get, (*Server).catalogConnect),
	on("/v1/catalog/datacenters", get, (*Server).catalogDatacenters),
	on("/v1/catalog/deregister", put, (*Server).catalogDeregister),
	on("/v1/catalog/gateway-services/", get, (*Server).catalogGatewayServices),
	on("/v1/catalog/node-services/", get, (*Server).catalogNodeServices),
	on("/v1/catalog/node/", get, (*Server).catalogNode),
	on("/v1/catalog/nodes", get, (*Server).catalogNodes),
	on("/v1/catalog/register", put, (*Server).catalogRegister),
	on("/v1/catalog/service/", get, (*Server).catalogService),
	on("/v1/catalog/services", get, (*Server).catalogServices),
	on("/v1/coordinate/datacenters", get, (*Server).coordinateDatacenters),
	on("/v1/coordinate/node/", get, (*Server).coordinateNode),
	on("/v1/coordinate/nodes", get, (*Server).coordinateNodes),
	on("/v1/coordinate/update", put, (*Server).coordinateUpdate),
	on("/v1/health/checks/", get, (*Server).healthChecks),
	on("/v1/health/connect/", get, (*Server).healthConnect),
	on("/v1/health/ingress/", get, (*Server).healthIngress),
	on("/v1/health/node/", get, (*Server).healthNode),
	on("/v1/health/service/", get, (*Server).healthService),
	on("/v1/health/state/", get, (*Server).healthState),
	on("/v1/kv/", get, (*Server).kvGet, put, (*Server).kvPut, del, (*Server).kvDelete),
	on("/v1/query", get, (*Server).queryList, post, (*Server).queryCreate),
	on("/v1/query/", get, (*Server).queryRead, put, (*Server).queryUpdate, del, (*Server).queryDelete),
	on("/v1/session/create", put, (*Server).sessionCreate),
	on("/v1/session/destroy/", put, (*Server).sessionDestroy),
	on("/v1/session/info/", get, (*Server).sessionInfo),
	on("/v1/session/list", get, (*Server).sessionList),
	on("/v1/session/node/", get, (*Server).sessionNode),
	on("/v1/session/renew/", put, (*Server).sessionRenew),
	on("/v1/snapshot", get, (*Server).snapshotSave, put, (*Server).snapshotRestore),
	on("/v1/status/leader", get, (*Server).statusLeader),
	on("/v1/status/peers", get, (*Server).statusPeers),
	on("/v1/txn", put, (*Server).transaction),
	on("/v1/agent/self", get, (*Server).agentSelf),
	on("/v1/agent/host", get, (*Server).agentHost),
	on("/v1/agent/security", get, (*Server).agentSecurity),
	on("/v1/agent/version", get, (*Server).agentVersion),
	on("/v1/agent/at-rest", get, (*Server).agentAtRest),
	on("/v1/agent/at-rest/rotate", put, (*Server).agentRotateAtRest),
	on("/v1/agent/reload", put, (*Server).agentReload),
	on("/v1/agent/leave", put, (*Server).agentLeave),
	on("/v1/agent/members", get, (*Server).agentMembers),
	on("/v1/agent/join/", put, (*Server).agentJoin),
	on("/v1/agent/force-leave/", put, (*Server).agentForceLeave),
	on("/v1/agent/metrics", get, (*Server).agentMetrics),
	on("/v1/agent/metrics/stream", get, (*Server).agentMetricsStream),
	on("/v1/agent/monitor", get, (*Server).agentMonitor),
	on("/v1/agent/services", get, (*Server).agentServices),
	on("/v1/agent/service/", get, (*Server).agentService),
	on("/v1/agent/service/register", put, (*Server).agentServiceRegister),
	on("/v1/agent/service/deregister/", put, (*Server).agentServiceDeregister),
	on("/v1/agent/service/maintenance/", put, (*Server).agentServiceMaintenance),
	on("/v1/agent/checks", get, (*Server).agentChecks),
	on("/v1/agent/check/register", put, (*Server).agentCheckRegister),
	on("/v1/agent/check/deregister/", put, (*Server).agentCheckDeregister),
	on("/v1/agent/check/pass/", put, (*Server).agentCheckPass),
	on("/v1/agent/check/warn/", put, (*Server).agentCheckWarn),
	on("/v1/agent/check/fail/", put, (*Server).agentCheckFail),
	on("/v1/agent/check/update/", put, (*Server).agentCheckUpdate),
	on("/v1/agent/health/service/id/", get, (*Server).agentHealthByID),
	on("/v1/agent/health/service/name/", get, (*Server).agentHealthByName),
	on("/v1/agent/maintenance", put, (*Server).agentMaintenance),
	on("/v1/connect/ca/configuration", get, (*Server).caSettings, put, (*Server).caSetSettings),
	on("/v1/connect/ca/roots", get, (*Server).caRoots),
	on("/v1/agent/connect/ca/roots", get, (*Server).caRoots),
	on("/v1/connect/intentions", get, (*Server).intentionList, post, (*Server).intentionCreate),
	on("/v1/connect/intentions/", get, (*Server).intentionRead, put, (*Server).intentionUpdate, del, (*Server).intentionDelete),
	on("/v1/connect/intentions/check", get, (*Server).intentionCheck),
	on("/v1/connect/intentions/exact", get, (*Server).intentionExact, put, (*Server).intentionUpsert, del, (*Server).intentionDeleteExact),
	on("/v1/connect/intentions/match", get, (*Server).intentionMatch),
	on("/v1/event/fire/", put, (*Server).eventFire),
	on("/v1/event/list", get, (*Server).eventList),
	on("/v1/operator/usage", get, (*Server).operatorUsage),
	on("/v1/operator/raft/configuration", get, (*Server).raftConfiguration),
	on("/v1/operator/raft/peer", del, (*Server).raftRemovePeer),
	on("/v1/operator/raft/transfer-leader", post, (*Server).raftTransferLeader),
	on("/v1/operator/autopilot/configuration", get, (*Server).autopilotConfiguration, put, (*Server).autopilotConfigure),
	on("/v1/operator/autopilot/health", get, (*Server).autopilotHealth),
	on("/v1/operator/autopilot/state", get, (*Server).autopilotState),
	on("/v1/operator/kv-replication", get, (*Server).kvReplication),
	on("/v1/operator/keyring", get, (*Server).keyringList, post, (*Server).keyringInstall, put, (*Server).keyringUse, del, (*Server).keyringRemove),
	on("/v1/acl/auth-method", put, guarded((*Server).aclMethodCreate)),
	on("/v1/acl/auth-method/", get, guarded((*Server).aclMethodRead), put, guarded((*Server).aclMethodUpdate), del, guarded((*Server).aclMethodDelete)),
	on("/v1/acl/auth-methods", get, guarded((*Server).aclMethods)),
	on("/v1/acl/binding-rule", put, guarded((*Server).aclRuleCreate)),
	on("/v1/acl/binding-rule/", get, guarded((*Server).aclRuleRead), put, guarded((*Server).aclRuleUpdate), del, guarded((*Server).aclRuleDelete)),
	on("/v1/acl/binding-rules", get, guarded((*Server).aclRules)),
	on("/v1/acl/bootstrap", put, guarded((*Server).aclBootstrap)),
	on("/v1/acl/explain", post, guarded((*Server).aclExplain)),
	on("/v1/acl/login", post, guarded((*Server).aclLogin)),
	on("/v1/acl/logout", post, guarded((*Server).aclLogout)),
	on("/v1/acl/oidc/auth-url", post, guarded((*Server).aclOIDCStart)),
	on("/v1/acl/oidc/callback", post, guarded((*Server).aclOIDCCallback)),
	on("/v1/acl/policies", get, guarded((*Server).aclPolicies)),
	on("/v1/acl/policy", put, guarded((*Server).aclPolicyCreate)),
	on("/v1/acl/policy/", get, guarded((*Server).aclPolicyRead), put, guarded((*Server).aclPolicyUpdate), del, guarded((*Server).aclPolicyDelete)),
	on("/v1/acl/policy/name/", get, guarded((*Server).aclPolicyReadByName)),
	on("/v1/acl/replication", get, guarded((*Server).aclReplication)),
	on("/v1/acl/role", put, guarded((*Server).aclRoleCreate)),
	on("/v1/acl/role/", get, guarded((*Server).aclRoleRead), put, guarded((*Server).aclRoleUpdate), del, guarded((*Server).aclRoleDelete)),
	on("/v1/acl/role/name/", get, guarded((*Server).aclRoleReadByName)),
	on("/v1/acl/roles", get, guarded((*Server).aclRoles)),
	on("/v1/acl/templated-policies", get, guarded((*Server).aclTemplates)),
	on("/v1/acl/templated-policy/name/", get, guarded((*Server).aclTemplate)),
	on("/v1/acl/templated-policy/preview/", post, guarded((*Server).aclTemplatePreview)),
	on("/v1/acl/token", put, guarded((*Server).aclTokenCreate)),
	on("/v1/acl/token/", get, guarded((*Server).aclTokenRead), put, guarded((*Server).aclTokenUpdate), del, guarded((*Server).aclTokenDelete)),
	on("/v1/acl/token/self", get, guarded((*Server).aclTokenSelf)),
	on("/v1/acl/tokens", get, guarded((*Server).aclTokens)),
	on("/v1/agent/token/", put, guarded((*Server).agentToken)),
	on("/v1/internal/acl/authorize", post, guarded((*Server).aclAuthorize)),

	// What later versions will have.
	on("/v1/agent/connect/authorize", post, notYet("the service mesh")),
	on("/v1/agent/connect/ca/leaf/", get, notYet("the service mesh")),
	on("/v1/config", put, (*Server).configPut),
	on("/v1/config/", get, (*Server).configGet, del, (*Server).configDelete),
	on("/v1/discovery-chain/", get, notYet("discovery chains"), post, notYet("discovery chains")),
	on("/v1/exported-services", get, (*Server).exportedServices),
	on("/v1/internal/federation-state/", get, notYet("the service mesh")),
	on("/v1/internal/federation-states", get, notYet("the service mesh")),
	on("/v1/internal/federation-states/mesh-gateways", get, notYet("the service mesh")),
	on("/v1/internal/service-virtual-ip", put, notYet("the service mesh")),
	on("/v1/internal/ui/catalog-overview", get, notYet("the web interface")),
	on("/v1/internal/ui/exported-services", get, notYet("cluster peering")),
	on("/v1/internal/ui/gateway-intentions/", get, notYet("the service mesh")),
	on("/v1/internal/ui/gateway-services-nodes/", get, notYet("the service mesh")),
	on("/v1/internal/ui/metrics-proxy/", get, notYet("the web interface")),
	on("/v1/internal/ui/node/", get, notYet("the web interface")),
	on("/v1/internal/ui/nodes", get, notYet("the web interface")),
	on("/v1/internal/ui/service-topology/", get, notYet("the service mesh")),
	on("/v1/internal/ui/services", get, notYet("the web interface")),
	on("/v1/peering/", get, notYet("cluster peering"), del, notYet("cluster peering")),
	on("/v1/peering/establish", post, notYet("cluster peering")),
	on("/v1/peering/token", post, notYet("cluster peering")),
	on("/v1/peerings", get, notYet("cluster peering")),
}

// notYet answers for what a later version will have.
func notYet(feature string) func(*Server, http.ResponseWriter, *http.Request) (any, error) {
	return func(*Server, http.ResponseWriter, *http.Request) (any, error) {
		return nil, rpc.Errorf(rpc.NotImplemented, "%s: not in this version of Lictor yet", feature)
	}
}
