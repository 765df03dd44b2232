package httpapi

import (
	"context"
	"net/http"
	"strings"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
)

// Checks are the checks that are registered on this agent. Rows are shared and are not changed.
type Checks interface {
	// Checks lists them by id.
	Checks() map[string]*catalog.Check
	// CheckRow finds one; nil if there is none.
	CheckRow(id string) *catalog.Check
	// RegisterCheck adds one or replaces the one with its id. The definition is valid. Token is the secret of the
	// request.
	RegisterCheck(ctx context.Context, d *catalog.CheckDefinition, token string) error
	// DeregisterCheck removes one.
	DeregisterCheck(ctx context.Context, id string) error
	// UpdateCheck sets the state of a TTL check.
	UpdateCheck(ctx context.Context, id, status, output string) error
}

// agentChecks answers GET /v1/agent/checks, with ?filter.
func (s *Server) agentChecks(w http.ResponseWriter, r *http.Request) (any, error) {
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	filter, err := catalog.NewFilter[*catalog.Check](parameters(r).Get("filter"))
	if err != nil {
		return nil, err
	}
	all := map[string]*catalog.Check{}
	for id, row := range s.Checks.Checks() {
		if onCheck(az, s.Node, row.ServiceName, acl.Read) != nil {
			markFiltered(w, r)
			continue
		}
		keep, err := filter.Keep(row)
		if err != nil {
			return nil, err
		}
		if keep {
			all[id] = row
		}
	}
	return all, nil
}

// onCheck asks for access to a check: to the service that it is of, else to the node.
func onCheck(az acl.Authorizer, node, service string, access acl.Access) error {
	if service != "" {
		return acl.Require(az, acl.Service, service, access)
	}
	return acl.Require(az, acl.Node, node, access)
}

// agentCheckRegister answers PUT /v1/agent/check/register.
func (s *Server) agentCheckRegister(w http.ResponseWriter, r *http.Request) (any, error) {
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	d, err := decodeCheck(r)
	if err != nil {
		return nil, err
	}
	if err := s.mayRegisterCheck(az, d); err != nil {
		return nil, err
	}
	switch {
	case d.Name == "":
		return nil, badRequest("Missing check name")
	case !catalog.ValidStatus(d.Status):
		return nil, badRequest("Bad check status")
	}
	if err := d.Validate(); err != nil {
		return nil, badRequest("Invalid check: " + err.Error())
	}
	return done(w, s.Checks.RegisterCheck(r.Context(), d, token(r)))
}

// mayRegisterCheck asks for write access to what the check is of, and to what the one is of that has its id until now.
func (s *Server) mayRegisterCheck(az acl.Authorizer, d *catalog.CheckDefinition) error {
	service := ""
	if d.ServiceID != "" {
		row, _ := s.Services.Service(d.ServiceID)
		if row == nil {
			return rpc.Errorf(rpc.NotFound, "ServiceID %q does not exist", d.ServiceID)
		}
		service = row.Service
	}
	if err := onCheck(az, s.Node, service, acl.Write); err != nil {
		return err
	}
	if old := s.Checks.CheckRow(d.Identity()); old != nil {
		return onCheck(az, s.Node, old.ServiceName, acl.Write)
	}
	return nil
}

// mayChangeCheck asks for write access to a check that is there.
func (s *Server) mayChangeCheck(r *http.Request, id string) error {
	az, err := s.authorizer(r)
	if err != nil {
		return err
	}
	row := s.Checks.CheckRow(id)
	if row == nil {
		return rpc.Errorf(rpc.NotFound, "Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)
	}
	return onCheck(az, s.Node, row.ServiceName, acl.Write)
}

// agentCheckDeregister answers PUT /v1/agent/check/deregister/ID.
func (s *Server) agentCheckDeregister(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/check/deregister/")
	if err := s.mayChangeCheck(r, id); err != nil {
		return nil, err
	}
	return done(w, s.Checks.DeregisterCheck(r.Context(), id))
}

// agentCheckPass answers PUT /v1/agent/check/pass/ID, with ?note.
func (s *Server) agentCheckPass(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.setCheck(w, r, "/v1/agent/check/pass/", catalog.Passing)
}

// agentCheckWarn answers PUT /v1/agent/check/warn/ID, with ?note.
func (s *Server) agentCheckWarn(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.setCheck(w, r, "/v1/agent/check/warn/", catalog.Warning)
}

// agentCheckFail answers PUT /v1/agent/check/fail/ID, with ?note.
func (s *Server) agentCheckFail(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.setCheck(w, r, "/v1/agent/check/fail/", catalog.Critical)
}

func (s *Server) setCheck(w http.ResponseWriter, r *http.Request, path, status string) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, path)
	if err := s.mayChangeCheck(r, id); err != nil {
		return nil, err
	}
	return done(w, s.Checks.UpdateCheck(r.Context(), id, status, parameters(r).Get("note")))
}

// agentCheckUpdate answers PUT /v1/agent/check/update/ID.
func (s *Server) agentCheckUpdate(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/check/update/")
	var update struct{ Status, Output string }
	if err := decode(r, &update, nil); err != nil {
		return nil, err
	}
	if update.Status == "" || !catalog.ValidStatus(update.Status) {
		return nil, badRequest("Invalid check status: '" + update.Status + "'")
	}
	if err := s.mayChangeCheck(r, id); err != nil {
		return nil, err
	}
	return done(w, s.Checks.UpdateCheck(r.Context(), id, update.Status, update.Output))
}
