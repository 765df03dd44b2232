package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"lictor/acl"
)

// A span is a duration that is read from a text or from a number of nanoseconds.
type span time.Duration

// UnmarshalJSON reads it.
func (d *span) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		var n int64
		err := json.Unmarshal(b, &n)
		*d = span(n)
		return err
	}
	if text == "" {
		return nil
	}
	v, err := time.ParseDuration(text)
	*d = span(v)
	return err
}

// decodeToken reads a token as clients send it.
func decodeToken(r *http.Request) (acl.Token, error) {
	var form struct {
		ExpirationTTL span
		acl.Token
	}
	err := decodeACL(r, "Token decoding failed", &form)
	form.Token.ExpirationTTL = time.Duration(form.ExpirationTTL)
	return form.Token, err
}

// aclTokenCreate answers PUT /v1/acl/token.
func (s *Server) aclTokenCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	t, err := decodeToken(r)
	if err != nil {
		return nil, err
	}
	return call(s, r, acl.SetTokenMethod, &acl.TokenChange{Token: t, Create: true})
}

// aclTokenRead answers GET /v1/acl/token/ACCESSOR.
func (s *Server) aclTokenRead(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/token/", "Missing token AccessorID")
	if err != nil {
		return nil, err
	}
	found, err := readRow(s, w, r, acl.TokenQuery, acl.OneToken{AccessorID: id, Expanded: parameters(r).Has("expanded")}, "token does not exist: ACL not found")
	if err != nil {
		return nil, err
	}
	if !found.Expanded {
		return &found.Token, nil
	}
	policies, roles := found.ExpandedPolicies, found.ExpandedRoles
	if policies == nil {
		policies = []*acl.Policy{}
	}
	if roles == nil {
		roles = []*acl.Role{}
	}
	return struct {
		*acl.Token
		ExpandedPolicies                                           []*acl.Policy
		ExpandedRoles                                              []*acl.Role
		NamespaceDefaultPolicyIDs, NamespaceDefaultRoleIDs         []string
		AgentACLDefaultPolicy, AgentACLDownPolicy, ResolvedByAgent string
	}{&found.Token, policies, roles, nil, nil, s.DefaultPolicy, s.DownPolicy, s.Node}, nil
}

// aclTokenSelf answers GET /v1/acl/token/self. A token that is not in this datacenter is asked for in the primary one.
func (s *Server) aclTokenSelf(w http.ResponseWriter, r *http.Request) (any, error) {
	const missing = "token does not exist: ACL not found"
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	t, err := readRowWith(s, w, r, acl.SelfQuery, opts, acl.Self{}, missing)
	if s.Primary != "" && opts.Datacenter == "" && err != nil && err.Error() == missing {
		opts.Datacenter = s.Primary
		t, err = readRowWith(s, w, r, acl.SelfQuery, opts, acl.Self{}, missing)
	}
	if err != nil && err.Error() == acl.ErrNotFound.Error() {
		err = &statusError{http.StatusForbidden, missing}
	}
	return t, err
}

// aclTokenUpdate answers PUT /v1/acl/token/ACCESSOR and PUT /v1/acl/token/ACCESSOR/clone.
func (s *Server) aclTokenUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/token/", "Missing token AccessorID")
	if err != nil {
		return nil, err
	}
	t, err := decodeToken(r)
	if err != nil {
		return nil, err
	}
	if of, clone := strings.CutSuffix(id, "/clone"); clone {
		return call(s, r, acl.CloneTokenMethod, &acl.Clone{AccessorID: of, Description: t.Description})
	}
	if t.AccessorID != "" && t.AccessorID != id {
		return nil, badRequest("Token Accessor ID in URL and payload do not match")
	}
	t.AccessorID = id
	return call(s, r, acl.SetTokenMethod, &acl.TokenChange{Token: t})
}

// aclTokenDelete answers DELETE /v1/acl/token/ACCESSOR.
func (s *Server) aclTokenDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/token/", "Missing token AccessorID")
	if err != nil {
		return nil, err
	}
	was, err := call(s, r, acl.DeleteTokenMethod, &acl.ByID{ID: id})
	return removed(was, err, "token")
}

// aclTokens answers GET /v1/acl/tokens.
func (s *Server) aclTokens(w http.ResponseWriter, r *http.Request) (any, error) {
	q := parameters(r)
	return readList(s, w, r, acl.TokensQuery, acl.ListTokens{Policy: q.Get("policy"), Role: q.Get("role"),
		AuthMethod: q.Get("authmethod"), ServiceName: q.Get("servicename")})
}

// agentToken answers PUT /v1/agent/token/NAME.
func (s *Server) agentToken(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Write); err != nil {
		return nil, err
	}
	var body struct{ Token string }
	if err := decodeLoose(r, &body); err != nil {
		return nil, err
	}
	return done(w, s.SetToken(strings.TrimPrefix(r.URL.Path, "/v1/agent/token/"), body.Token))
}

// decodeLoose reads a body whose fields need not be known.
func decodeLoose(r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(into); err != nil {
		return badRequest("Request decode failed: " + wordDecodeError(err, nil))
	}
	return nil
}
