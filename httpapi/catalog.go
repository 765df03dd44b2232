package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"lictor/catalog"
	"lictor/coordinate"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// catalogNames are Consul's names for the types of package catalog, for messages.
var catalogNames = map[string]string{
	"Register":    "RegisterRequest",
	"Deregister":  "DeregisterRequest",
	"Instance":    "NodeService",
	"Check":       "HealthCheck",
	"CheckTarget": "HealthCheckDefinition",
	"Proxy":       "ConnectProxyConfig",
	"Connect":     "ServiceConnect",
}

// catalogRegister answers PUT /v1/catalog/register. Only the body says which datacenter is meant.
func (s *Server) catalogRegister(_ http.ResponseWriter, r *http.Request) (any, error) {
	var reg catalog.Register
	if err := decode(r, &reg, catalogNames); err != nil {
		return nil, err
	}
	return countedCall(s, r, catalog.RegisterMethod, reg.Datacenter, &reg)
}

// catalogDeregister answers PUT /v1/catalog/deregister.
func (s *Server) catalogDeregister(_ http.ResponseWriter, r *http.Request) (any, error) {
	var d catalog.Deregister
	if err := decode(r, &d, catalogNames); err != nil {
		return nil, err
	}
	return countedCall(s, r, catalog.DeregisterMethod, d.Datacenter, &d)
}

// countedCall makes a method call of the catalog, for which the body has said which datacenter is meant.
func countedCall[A, R any](s *Server, r *http.Request, m rpc.Method[A, R], datacenter string, args *A) (R, error) {
	count := s.counts[m.Name]
	count.ask()
	answer, err := m.Call(r.Context(), s.Caller, rpc.Header{Token: token(r), Datacenter: datacenter}, args)
	count.done(r, err)
	return answer, err
}

// catalogDatacenters answers GET /v1/catalog/datacenters: the nearest first.
func (s *Server) catalogDatacenters(w http.ResponseWriter, r *http.Request) (any, error) {
	names, err := coordinate.NamesMethod.Call(r.Context(), s.Caller, rpc.Header{Token: token(r)}, &struct{}{})
	if err != nil {
		return nil, err
	}
	s.cached.note(w, r, "datacenters")
	s.counts[datacentersRead].ask()
	s.counts[datacentersRead].done(r, nil)
	return names, nil
}

// catalogNodes answers GET /v1/catalog/nodes.
func (s *Server) catalogNodes(w http.ResponseWriter, r *http.Request) (any, error) {
	p := s.rowParameters(r)
	return answerCatalog(s, w, r, catalog.NodesQuery, catalog.Nodes{NodeMeta: p.meta, Filter: p.filter, Near: p.near})
}

// catalogServices answers GET /v1/catalog/services.
func (s *Server) catalogServices(w http.ResponseWriter, r *http.Request) (any, error) {
	p := s.rowParameters(r)
	args := catalog.Services{NodeMeta: p.meta, Filter: p.filter}
	s.cached.note(w, r, args)
	return answerCatalog(s, w, r, catalog.ServicesQuery, args)
}

// catalogService answers GET /v1/catalog/service/NAME.
func (s *Server) catalogService(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceNodes(w, r, "/v1/catalog/service/", false)
}

// catalogConnect answers GET /v1/catalog/connect/NAME.
func (s *Server) catalogConnect(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceNodes(w, r, "/v1/catalog/connect/", true)
}

func (s *Server) serviceNodes(w http.ResponseWriter, r *http.Request, path string, connect bool) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, path)
	if name == "" {
		return nil, errMissingServiceName
	}
	p := s.rowParameters(r)
	args := catalog.ServiceNodes{Service: name, Tags: p.tags, NodeMeta: p.meta, Filter: p.filter, Near: p.near,
		Connect: connect, Imported: parameters(r).Get("peer") != ""}
	s.cached.note(w, r, args)
	return answerCatalog(s, w, r, catalog.ServiceNodesQuery, args)
}

// catalogNode answers GET /v1/catalog/node/NAME.
func (s *Server) catalogNode(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/catalog/node/")
	if name == "" {
		return nil, errMissingNodeName
	}
	return answerCatalog(s, w, r, catalog.NodeQuery, catalog.OnNode{Node: name, Filter: s.rowParameters(r).filter})
}

// catalogNodeServices answers GET /v1/catalog/node-services/NAME.
func (s *Server) catalogNodeServices(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/catalog/node-services/")
	if name == "" {
		return nil, errMissingNodeName
	}
	args := catalog.OnNode{Node: name, Filter: s.rowParameters(r).filter}
	s.cached.note(w, r, args)
	return answerCatalog(s, w, r, catalog.NodeServicesQuery, args)
}

// catalogGatewayServices answers GET /v1/catalog/gateway-services/NAME.
func (s *Server) catalogGatewayServices(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/catalog/gateway-services/")
	if name == "" {
		return nil, badRequest("Missing gateway name")
	}
	return answerCatalog(s, w, r, catalog.GatewayQuery, catalog.GatewayServices{Gateway: name})
}

var (
	errMissingServiceName = badRequest("Missing service name")
	errMissingNodeName    = badRequest("Missing node name")
)

// rowParameters are the parameters by which clients choose and sort rows.
type rowParameters struct {
	tags   catalog.List
	meta   catalog.Pairs
	filter string
	near   string
}

func (s *Server) rowParameters(r *http.Request) (p rowParameters) {
	if r.URL.RawQuery == "" {
		return p
	}
	q := parameters(r)
	p.tags = catalog.ListOf(q["tag"]...)
	p.meta = nodeMeta(q)
	p.filter = q.Get("filter")
	if p.near = q.Get("near"); p.near == "_agent" {
		p.near = s.Node
	}
	return p
}

// nodeMeta reads ?node-meta=KEY:VALUE. Of several values for one key the last counts.
func nodeMeta(q url.Values) catalog.Pairs {
	if !q.Has("node-meta") {
		return catalog.Pairs{}
	}
	m := map[string]string{}
	for _, pair := range q["node-meta"] {
		key, value, _ := strings.Cut(pair, ":")
		m[key] = value
	}
	return catalog.PairsOf(m)
}

// answerCatalog answers a query of the catalog, whose headers come with errors, too.
func answerCatalog[A comparable, R any](s *Server, w http.ResponseWriter, r *http.Request, q rpc.Query[A, R], args A) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	opts.Cached = asksCached(r) && !asksFresh(r)
	s.counts[q.Name].ask()
	answer, err := view.Read(r.Context(), s.Views, q, opts, args)
	s.counts[q.Name].done(r, err)
	if err != nil {
		writeMeta(w.Header(), 0, state.ReadMeta{})
		return nil, err
	}
	writeCatalogMeta(w.Header(), answer, opts)
	return writeAnswer(s, w, r, answer)
}

// Values of headers that are shared by all answers and never changed.
var (
	fromLeader     = []string{"leader"}
	fromAny        = []string{"stale"}
	fromConsistent = []string{"consistent"}
)

// writeCatalogMeta writes the headers of an answer, with those that only the catalog and what is made of it have.
func writeCatalogMeta[R any](h http.Header, answer view.Answer[R], opts *view.Options) {
	writeMeta(h, answer.Index(), answer.ReadMeta)
	switch opts.Consistency {
	case state.Default:
		h["X-Consul-Effective-Consistency"] = fromLeader
	case state.Consistent:
		h["X-Consul-Effective-Consistency"] = fromConsistent
	case state.Stale:
		h["X-Consul-Effective-Consistency"] = fromAny
	}
	if f, ok := any(answer.Value()).(interface{ FilteredByACLs() bool }); ok && f.FilteredByACLs() && opts.Token != "" { // who brings no token is not told
		h["X-Consul-Results-Filtered-By-Acls"] = isTrue
	}
}

// operatorUsage answers GET /v1/operator/usage. There is one datacenter, so ?global changes nothing.
func (s *Server) operatorUsage(w http.ResponseWriter, r *http.Request) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := view.Read(r.Context(), s.Views, catalog.UsageQuery, opts, catalog.Count{})
	if err != nil {
		return nil, err
	}
	writeCatalogMeta(w.Header(), answer, opts)
	return usageAnswer{
		ConsistencyLevel: w.Header()["X-Consul-Effective-Consistency"][0],
		Index:            answer.Index(),
		KnownLeader:      answer.KnownLeader,
		LastContact:      answer.LastContact.Milliseconds(),
		Usage:            map[string]catalog.Usage{cmp.Or(opts.Datacenter, s.Datacenter): answer.Value()},
	}, nil
}

// A usageAnswer is what /v1/operator/usage shows.
type usageAnswer struct {
	Backend               int
	ConsistencyLevel      string
	Index                 uint64
	KnownLeader           bool
	LastContact           int64 // milliseconds
	NotModified           bool
	ResultsFilteredByACLs bool
	Usage                 map[string]catalog.Usage
}
