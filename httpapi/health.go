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

// healthService answers GET /v1/health/service/NAME.
func (s *Server) healthService(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, "/v1/health/service/", catalog.ServiceHealth{})
}

// healthConnect answers GET /v1/health/connect/NAME.
func (s *Server) healthConnect(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, "/v1/health/connect/", catalog.ServiceHealth{Connect: true})
}

// healthIngress answers GET /v1/health/ingress/NAME.
func (s *Server) healthIngress(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.serviceHealth(w, r, "/v1/health/ingress/", catalog.ServiceHealth{Ingress: true})
}

func (s *Server) serviceHealth(w http.ResponseWriter, r *http.Request, path string, args catalog.ServiceHealth) (any, error) {
	args.Service = strings.TrimPrefix(r.URL.Path, path)
	if args.Service == "" {
		return nil, errMissingServiceName
	}
	cached := false
	if r.URL.RawQuery != "" {
		p, q := s.rowParameters(r), r.URL.Query()
		args.Tags, args.NodeMeta, args.Filter, args.Near = p.tags, p.meta, p.filter, p.near
		var err error
		if args.Passing, err = passing(q); err != nil {
			return nil, err
		}
		cached = q.Has("cached")
	}
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := view.Read(r.Context(), s.Views, catalog.ServiceHealthQuery, opts, args)
	if err != nil {
		return nil, err
	}
	writeCatalogMeta(w.Header(), answer, opts)
	if !args.Ingress && args.Near == "" && (cached || opts.MinIndex > 0) {
		w.Header()["X-Consul-Query-Backend"] = streaming
	}
	s.cached.note(w, r, args)
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
