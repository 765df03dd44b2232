package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lictor/catalog"
	"lictor/view"
)

// healthNode answers GET /v1/health/node/NAME.
func (s *Server) healthNode(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/health/node/")
	if name == "" {
		return nil, errMissingNodeName
	}
	return answerCatalog(s, w, r, catalog.NodeChecksQuery, catalog.NodeChecks{Node: name, Filter: s.rowParameters(r).filter})
}

// healthChecks answers GET /v1/health/checks/NAME.
func (s *Server) healthChecks(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/health/checks/")
	if name == "" {
		return nil, errMissingServiceName
	}
	p := s.rowParameters(r)
	return answerCatalog(s, w, r, catalog.ServiceChecksQuery,
		catalog.ServiceChecks{Service: name, NodeMeta: p.meta, Filter: p.filter, Near: p.near})
}

// healthState answers GET /v1/health/state/STATE.
func (s *Server) healthState(w http.ResponseWriter, r *http.Request) (any, error) {
	status := strings.TrimPrefix(r.URL.Path, "/v1/health/state/")
	if status == "" {
		return nil, badRequest("Missing check state")
	}
	p := s.rowParameters(r)
	return answerCatalog(s, w, r, catalog.ChecksInStateQuery,
		catalog.ChecksInState{State: status, NodeMeta: p.meta, Filter: p.filter, Near: p.near})
}

// A way is how a service's instances are reached, and the path that asks for that.
type way struct {
	path             string
	connect, ingress bool
}

var (
	plainly        = &way{path: "/v1/health/service/"}
	throughProxies = &way{path: "/v1/health/connect/", connect: true}
	throughIngress = &way{path: "/v1/health/ingress/", ingress: true}
)

// healthService answers GET /v1/health/service/NAME.
func (s *Server) healthService(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, plainly)
}

// healthConnect answers GET /v1/health/connect/NAME.
func (s *Server) healthConnect(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, throughProxies)
}

// healthIngress answers GET /v1/health/ingress/NAME.
func (s *Server) healthIngress(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, throughIngress)
}

// serviceHealth keeps its frame small: thousands of requests may wait in it.
func (s *Server) serviceHealth(w http.ResponseWriter, r *http.Request, by *way) (any, error) {
	q, err := s.healthQuestion(r, by)
	if err != nil {
		return nil, err
	}
	answer, err := view.Read(r.Context(), s.Views, catalog.ServiceHealthQuery, q.opts, q.args)
	if err != nil {
		return nil, err
	}
	return s.answerHealth(w, r, q, answer)
}

// A healthQuestion is what a request asks of a service's health.
type healthQuestion struct {
	args   catalog.ServiceHealth
	opts   *view.Options
	stream bool // whether Consul would answer from a stream
}

func (s *Server) healthQuestion(r *http.Request, by *way) (*healthQuestion, error) {
	q := &healthQuestion{args: catalog.ServiceHealth{Connect: by.connect, Ingress: by.ingress}}
	if q.args.Service = strings.TrimPrefix(r.URL.Path, by.path); q.args.Service == "" {
		return nil, errMissingServiceName
	}
	var err error
	if q.opts, err = readOptions(r); err != nil || r.URL.RawQuery == "" {
		return q, err
	}
	q.opts.Cached = asksCached(r) && !asksFresh(r)
	p, query := s.rowParameters(r), parameters(r)
	q.args.Tags, q.args.NodeMeta, q.args.Filter, q.args.Near = p.tags, p.meta, p.filter, p.near
	q.args.Imported = query.Get("peer") != ""
	q.stream = !by.ingress && p.near == "" && (query.Has("cached") || q.opts.MinIndex > 0)
	q.args.Passing, err = passing(query)
	return q, err
}

func (s *Server) answerHealth(w http.ResponseWriter, r *http.Request, q *healthQuestion, answer view.Answer[catalog.Listing[*catalog.Entry]]) (any, error) {
	writeCatalogMeta(w.Header(), answer, q.opts)
	if q.stream {
		w.Header()["X-Consul-Query-Backend"] = streaming
	}
	s.cached.note(w, r, q.args)
	return writeAnswer(s, w, r, answer)
}

// streaming is the header of answers that Consul keeps up to date by streams.
var streaming = []string{"streaming"}

// passing reads ?passing, which may stand alone or have a value.
func passing(q url.Values) (bool, error) {
	if !q.Has("passing") {
		return false, nil
	}
	value := q.Get("passing")
	if value == "" {
		return true, nil
	}
	only, err := strconv.ParseBool(value)
	if err != nil {
		return false, badRequest("Invalid value for ?passing")
	}
	return only, nil
}
