package httpapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// guarded is a handler that is there where there are ACLs.
func guarded(h handler) func(*Server, http.ResponseWriter, *http.Request) (any, error) {
	return func(s *Server, w http.ResponseWriter, r *http.Request) (any, error) {
		if !s.ACLs {
			return nil, acl.ErrDisabled
		}
		return h(s, w, r)
	}
}

// decodeACL reads a body of known fields. What is said of one that cannot be read begins with what it is.
func decodeACL(r *http.Request, what string, into any) error {
	if r.ContentLength > maxBody {
		return bodyTooLarge()
	}
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	switch {
	case err == nil:
		return nil
	case limited.N <= 0:
		return bodyTooLarge()
	}
	return badRequest(what + ": " + wordDecodeError(err, nil))
}

// rest is what follows the route's path; it must not be empty.
func rest(r *http.Request, path, missing string) (string, error) {
	if name := strings.TrimPrefix(r.URL.Path, path); name != "" {
		return name, nil
	}
	return "", badRequest(missing)
}

// readRow answers a query for one row, or 404 with a text if it is not there.
func readRow[A comparable, R comparable](s *Server, w http.ResponseWriter, r *http.Request, q query[A, R], args A, missing string) (R, error) {
	opts, err := readOptions(r)
	if err != nil {
		var none R
		return none, err
	}
	return readRowWith(s, w, r, q, opts, args, missing)
}

// readRowWith is readRow with options that may not be those of the request.
func readRowWith[A comparable, R comparable](s *Server, w http.ResponseWriter, r *http.Request, q query[A, R], opts *view.Options, args A, missing string) (R, error) {
	var none R
	answer, err := view.Read(r.Context(), s.Views, q, opts, args)
	switch {
	case err != nil:
		writeMeta(w.Header(), 1, state.ReadMeta{}) // nothing was read
		return none, err
	case answer.Value() == none:
		return none, &statusError{http.StatusNotFound, missing}
	}
	writeMeta(w.Header(), answer.Index(), answer.ReadMeta)
	return answer.Value(), nil
}

// readList answers a query for rows.
func readList[A comparable, R any](s *Server, w http.ResponseWriter, r *http.Request, q query[A, R], args A) (any, error) {
	answer, err := read(s, w, r, q, args)
	if err != nil {
		writeMeta(w.Header(), 1, state.ReadMeta{}) // nothing was read
		return nil, err
	}
	return writeAnswer(s, w, r, answer)
}

// removed answers a deletion.
func removed(was bool, err error, what string) (any, error) {
	if err == nil && !was {
		return nil, &statusError{http.StatusNotFound, "Cannot find " + what + " to delete"}
	}
	return true, err
}

// aclBootstrap answers PUT /v1/acl/bootstrap. The body may be empty.
func (s *Server) aclBootstrap(_ http.ResponseWriter, r *http.Request) (any, error) {
	var body struct{ BootstrapSecret string }
	if r.ContentLength != 0 {
		if err := decodeACL(r, "Request decode failed", &body); err != nil && err.Error() != "Request decode failed: EOF" {
			return nil, err
		}
	}
	// The token of the request, if there is one, plays no part: there is none that could be good yet.
	t, err := acl.BootstrapMethod.Call(r.Context(), s.Caller, rpc.Header{Datacenter: header(r).Datacenter}, &acl.Bootstrap{Secret: body.BootstrapSecret})
	if err != nil {
		return nil, err
	}
	return struct {
		ID string
		*acl.Token
	}{t.SecretID, t}, nil
}

// aclReplication answers GET /v1/acl/replication.
func (s *Server) aclReplication(_ http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, acl.ReplicationMethod, &struct{}{})
}

// aclPolicyCreate answers PUT /v1/acl/policy.
func (s *Server) aclPolicyCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c acl.PolicyChange
	if err := decodeACL(r, "Policy decoding failed", &c.Policy); err != nil {
		return nil, err
	}
	if c.Policy.ID != "" {
		return nil, badRequest("Cannot specify the ID when creating a new policy")
	}
	return call(s, r, acl.SetPolicyMethod, &c)
}

// aclPolicyRead answers GET /v1/acl/policy/ID.
func (s *Server) aclPolicyRead(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/policy/", "Missing policy ID")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.PolicyQuery, acl.Named{ID: id}, "Requested policy does not exist: ACL not found")
}

// aclPolicyReadByName answers GET /v1/acl/policy/name/NAME.
func (s *Server) aclPolicyReadByName(w http.ResponseWriter, r *http.Request) (any, error) {
	name, err := rest(r, "/v1/acl/policy/name/", "Missing policy Name")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.PolicyQuery, acl.Named{Name: name}, "Requested policy does not exist: ACL not found")
}

// aclPolicyUpdate answers PUT /v1/acl/policy/ID.
func (s *Server) aclPolicyUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/policy/", "Missing policy ID")
	if err != nil {
		return nil, err
	}
	var c acl.PolicyChange
	if err := decodeACL(r, "Policy decoding failed", &c.Policy); err != nil {
		return nil, err
	}
	if c.Policy.ID != "" && c.Policy.ID != id {
		return nil, badRequest("Policy ID in URL and payload do not match")
	}
	c.Policy.ID = id
	return call(s, r, acl.SetPolicyMethod, &c)
}

// aclPolicyDelete answers DELETE /v1/acl/policy/ID.
func (s *Server) aclPolicyDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/policy/", "Missing policy ID")
	if err != nil {
		return nil, err
	}
	was, err := call(s, r, acl.DeletePolicyMethod, &acl.ByID{ID: id})
	return removed(was, err, "policy")
}

// aclPolicies answers GET /v1/acl/policies.
func (s *Server) aclPolicies(w http.ResponseWriter, r *http.Request) (any, error) {
	return readList(s, w, r, acl.PoliciesQuery, acl.ListPolicies{})
}

// aclRoleCreate answers PUT /v1/acl/role.
func (s *Server) aclRoleCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c acl.RoleChange
	if err := decodeACL(r, "Role decoding failed", &c.Role); err != nil {
		return nil, err
	}
	if c.Role.ID != "" {
		return nil, badRequest("Cannot specify the ID when creating a new role")
	}
	return call(s, r, acl.SetRoleMethod, &c)
}

// aclRoleRead answers GET /v1/acl/role/ID.
func (s *Server) aclRoleRead(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/role/", "Missing role ID")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.RoleQuery, acl.Named{ID: id}, "Requested role does not exist: ACL not found")
}

// aclRoleReadByName answers GET /v1/acl/role/name/NAME.
func (s *Server) aclRoleReadByName(w http.ResponseWriter, r *http.Request) (any, error) {
	name, err := rest(r, "/v1/acl/role/name/", "Missing role Name")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.RoleQuery, acl.Named{Name: name}, "Requested role does not exist: ACL not found")
}

// aclRoleUpdate answers PUT /v1/acl/role/ID.
func (s *Server) aclRoleUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/role/", "Missing role ID")
	if err != nil {
		return nil, err
	}
	var c acl.RoleChange
	if err := decodeACL(r, "Role decoding failed", &c.Role); err != nil {
		return nil, err
	}
	if c.Role.ID != "" && c.Role.ID != id {
		return nil, badRequest("Role ID in URL and payload do not match")
	}
	c.Role.ID = id
	return call(s, r, acl.SetRoleMethod, &c)
}

// aclRoleDelete answers DELETE /v1/acl/role/ID.
func (s *Server) aclRoleDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/role/", "Missing role ID")
	if err != nil {
		return nil, err
	}
	was, err := call(s, r, acl.DeleteRoleMethod, &acl.ByID{ID: id})
	return removed(was, err, "role")
}

// aclRoles answers GET /v1/acl/roles.
func (s *Server) aclRoles(w http.ResponseWriter, r *http.Request) (any, error) {
	return readList(s, w, r, acl.RolesQuery, acl.ListRoles{Policy: parameters(r).Get("policy")})
}
