package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"lictor/acl"
	"lictor/rpc"
)

// decodeMethod reads an auth method as clients send it.
func decodeMethod(r *http.Request) (acl.AuthMethod, error) {
	type plain acl.AuthMethod
	var form struct {
		MaxTokenTTL span
		plain
	}
	err := decodeACL(r, "Auth Method decoding failed", &form)
	m := acl.AuthMethod(form.plain)
	m.MaxTokenTTL = time.Duration(form.MaxTokenTTL)
	return m, err
}

// aclMethodCreate answers PUT /v1/acl/auth-method.
func (s *Server) aclMethodCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	m, err := decodeMethod(r)
	if err != nil {
		return nil, err
	}
	return call(s, r, acl.SetAuthMethodMethod, &acl.AuthMethodChange{Method: m})
}

// aclMethodRead answers GET /v1/acl/auth-method/NAME.
func (s *Server) aclMethodRead(w http.ResponseWriter, r *http.Request) (any, error) {
	name, err := rest(r, "/v1/acl/auth-method/", "Missing auth method name")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.AuthMethodQuery, acl.Named{Name: name}, "Requested auth method does not exist: ACL not found")
}

// aclMethodUpdate answers PUT /v1/acl/auth-method/NAME.
func (s *Server) aclMethodUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	name, err := rest(r, "/v1/acl/auth-method/", "Missing auth method name")
	if err != nil {
		return nil, err
	}
	m, err := decodeMethod(r)
	if err != nil {
		return nil, err
	}
	if m.Name != "" && m.Name != name {
		return nil, badRequest("Auth method name in URL and payload do not match")
	}
	m.Name = name
	return call(s, r, acl.SetAuthMethodMethod, &acl.AuthMethodChange{Method: m})
}

// aclMethodDelete answers DELETE /v1/acl/auth-method/NAME.
func (s *Server) aclMethodDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	name, err := rest(r, "/v1/acl/auth-method/", "Missing auth method name")
	if err != nil {
		return nil, err
	}
	was, err := call(s, r, acl.DeleteAuthMethodMethod, &acl.ByName{Name: name})
	return removed(was, err, "auth method")
}

// aclMethods answers GET /v1/acl/auth-methods.
func (s *Server) aclMethods(w http.ResponseWriter, r *http.Request) (any, error) {
	return readList(s, w, r, acl.AuthMethodsQuery, acl.ListAuthMethods{})
}

// aclRuleCreate answers PUT /v1/acl/binding-rule.
func (s *Server) aclRuleCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c acl.BindingRuleChange
	if err := decodeACL(r, "BindingRule decoding failed", &c.Rule); err != nil {
		return nil, err
	}
	if c.Rule.ID != "" {
		return nil, badRequest("Cannot specify the ID when creating a new binding rule")
	}
	return call(s, r, acl.SetBindingRuleMethod, &c)
}

// aclRuleRead answers GET /v1/acl/binding-rule/ID.
func (s *Server) aclRuleRead(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/binding-rule/", "Missing binding rule ID")
	if err != nil {
		return nil, err
	}
	return readRow(s, w, r, acl.BindingRuleQuery, acl.Named{ID: id}, "Requested binding rule does not exist: ACL not found")
}

// aclRuleUpdate answers PUT /v1/acl/binding-rule/ID.
func (s *Server) aclRuleUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/binding-rule/", "Missing binding rule ID")
	if err != nil {
		return nil, err
	}
	var c acl.BindingRuleChange
	if err := decodeACL(r, "BindingRule decoding failed", &c.Rule); err != nil {
		return nil, err
	}
	if c.Rule.ID != "" && c.Rule.ID != id {
		return nil, badRequest("BindingRule ID in URL and payload do not match")
	}
	c.Rule.ID = id
	return call(s, r, acl.SetBindingRuleMethod, &c)
}

// aclRuleDelete answers DELETE /v1/acl/binding-rule/ID.
func (s *Server) aclRuleDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := rest(r, "/v1/acl/binding-rule/", "Missing binding rule ID")
	if err != nil {
		return nil, err
	}
	was, err := call(s, r, acl.DeleteBindingRuleMethod, &acl.ByID{ID: id})
	return removed(was, err, "binding rule")
}

// aclRules answers GET /v1/acl/binding-rules.
func (s *Server) aclRules(w http.ResponseWriter, r *http.Request) (any, error) {
	return readList(s, w, r, acl.BindingRulesQuery, acl.ListBindingRules{AuthMethod: parameters(r).Get("authmethod")})
}

// aclLogin answers POST /v1/acl/login.
func (s *Server) aclLogin(_ http.ResponseWriter, r *http.Request) (any, error) {
	return byStranger(s, r, acl.LoginMethod)
}

// aclOIDCStart answers POST /v1/acl/oidc/auth-url.
func (s *Server) aclOIDCStart(_ http.ResponseWriter, r *http.Request) (any, error) {
	return byStranger(s, r, acl.StartOIDCMethod)
}

// aclOIDCCallback answers POST /v1/acl/oidc/callback.
func (s *Server) aclOIDCCallback(_ http.ResponseWriter, r *http.Request) (any, error) {
	return byStranger(s, r, acl.FinishOIDCMethod)
}

// byStranger calls a method of a login with the body. The token of the request, if there is one, plays no part.
func byStranger[In, Out any](s *Server, r *http.Request, method rpc.Method[In, Out]) (any, error) {
	var in In
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&in); err != nil {
		return nil, badRequest("Failed to decode request body: " + wordDecodeError(err, nil))
	}
	return method.Call(r.Context(), s.Caller, rpc.Header{Datacenter: header(r).Datacenter}, &in)
}

// aclLogout answers POST /v1/acl/logout.
func (s *Server) aclLogout(_ http.ResponseWriter, r *http.Request) (any, error) {
	if token(r) == "" {
		return nil, &statusError{http.StatusUnauthorized, "Supplied token does not exist"}
	}
	return call(s, r, acl.LogoutMethod, &struct{}{})
}

// aclExplain answers POST /v1/acl/explain: which rule of which policy decides an access.
func (s *Server) aclExplain(_ http.ResponseWriter, r *http.Request) (any, error) {
	var q acl.Question
	if err := decodeACL(r, "Request decode failed", &q); err != nil {
		return nil, err
	}
	return call(s, r, acl.ExplainMethod, &q)
}
