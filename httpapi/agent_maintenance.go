package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"lictor/acl"
)

// Maintenance takes this node out of service or back; the reason "" stands for a default text.
type Maintenance func(ctx context.Context, on bool, reason, token string) error

// agentMaintenance answers PUT /v1/agent/maintenance, with ?enable and ?reason.
func (s *Server) agentMaintenance(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Node, s.Node, acl.Write); err != nil {
		return nil, err
	}
	on, err := enable(r)
	if err != nil {
		return nil, err
	}
	return done(w, s.Maintain(r.Context(), on, parameters(r).Get("reason"), token(r)))
}

// agentServiceMaintenance answers PUT /v1/agent/service/maintenance/ID, with ?enable and ?reason.
func (s *Server) agentServiceMaintenance(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/service/maintenance/")
	if id == "" {
		return nil, badRequest("Missing service ID")
	}
	on, err := enable(r)
	if err != nil {
		return nil, err
	}
	if err := s.mayChangeService(r, id); err != nil {
		return nil, err
	}
	return done(w, s.Services.SetServiceMaintenance(r.Context(), id, on, parameters(r).Get("reason"), token(r)))
}

// enable reads ?enable, which must be there.
func enable(r *http.Request) (bool, error) {
	q := parameters(r)
	if !q.Has("enable") {
		return false, badRequest("Missing value for enable")
	}
	on, err := strconv.ParseBool(q.Get("enable"))
	if err != nil {
		return false, badRequest("Invalid value for enable: " + strconv.Quote(q.Get("enable")))
	}
	return on, nil
}
