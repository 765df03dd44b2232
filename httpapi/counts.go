package httpapi

import (
	"net/http"

	"lictor/catalog"
	"lictor/telemetry"
)

// apiCounts count the requests to one family of routes of the catalog, on the agent that is asked. Nil counts nothing.
type apiCounts struct{ asked, answered, failed, refused *telemetry.Counter }

// catalogCounts are all of them, by the query or method that answers.
func (s *Server) catalogCounts() map[string]*apiCounts {
	node := telemetry.Label{Name: "node", Value: s.Node}
	all := map[string]*apiCounts{}
	for name, what := range map[string]string{
		catalog.RegisterMethod.Name: "catalog_register", catalog.DeregisterMethod.Name: "catalog_deregister",
		datacentersRead: "catalog_datacenters", catalog.NodesQuery.Name: "catalog_nodes", catalog.ServicesQuery.Name: "catalog_services",
		catalog.ServiceNodesQuery.Name: "catalog_service_nodes", catalog.NodeQuery.Name: "catalog_node_services",
		catalog.NodeServicesQuery.Name: "catalog_node_service_list", catalog.GatewayQuery.Name: "catalog_gateway_services",
	} {
		all[name] = &apiCounts{s.Metrics.Counter("client.api."+what, node), s.Metrics.Counter("client.api.success."+what, node),
			s.Metrics.Counter("client.rpc.error."+what, node), nil}
	}
	all[catalog.ServiceNodesQuery.Name].refused = s.Metrics.Counter("client.api.error.catalog_service_nodes", node)
	return all
}

// datacentersRead is what answers for the datacenters, which no query does.
const datacentersRead = "datacenters"

// ask counts a request that has come in.
func (c *apiCounts) ask() {
	if c != nil {
		c.asked.Inc()
	}
}

// done counts what has come of a request. A client that has gone is no error.
func (c *apiCounts) done(r *http.Request, err error) {
	switch {
	case c == nil:
	case err == nil:
		c.answered.Inc()
	case r.Context().Err() == nil:
		c.failed.Inc()
		c.refused.Inc()
	}
}
