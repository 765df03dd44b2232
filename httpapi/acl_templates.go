package httpapi

import (
	"net/http"

	"lictor/acl"
	"lictor/rpc"
)

// mayReadACLs refuses who may not read ACLs, on this agent.
func (s *Server) mayReadACLs(r *http.Request) error { return s.require(r, acl.ACL, "", acl.Read) }

// aclTemplates answers GET /v1/acl/templated-policies.
func (s *Server) aclTemplates(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.mayReadACLs(r); err != nil {
		return nil, err
	}
	all := map[string]*acl.Template{}
	for _, t := range acl.Templates() {
		all[t.TemplateName] = t
	}
	return all, nil
}

// aclTemplate answers GET /v1/acl/templated-policy/name/NAME.
func (s *Server) aclTemplate(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.mayReadACLs(r); err != nil {
		return nil, err
	}
	return findTemplate(r, "/v1/acl/templated-policy/name/")
}

func findTemplate(r *http.Request, path string) (*acl.Template, error) {
	name, err := rest(r, path, "Missing templated policy Name")
	if err != nil {
		return nil, err
	}
	if t := acl.FindTemplate(name, ""); t != nil {
		return t, nil
	}
	return nil, badRequest("Invalid templated policy Name: " + name)
}

// aclTemplatePreview answers POST /v1/acl/templated-policy/preview/NAME.
func (s *Server) aclTemplatePreview(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.mayReadACLs(r); err != nil {
		return nil, err
	}
	t, err := findTemplate(r, "/v1/acl/templated-policy/preview/")
	if err != nil {
		return nil, err
	}
	var v acl.TemplateVariables
	if r.ContentLength != 0 {
		if err := decodeLoose(r, &v); err != nil {
			return nil, err
		}
	}
	return t.Preview(&v, nil)
}

// maxAsked bounds the accesses that one request may ask about.
const maxAsked = 64

// aclAuthorize answers POST /v1/internal/acl/authorize: which of some accesses the token has.
func (s *Server) aclAuthorize(_ http.ResponseWriter, r *http.Request) (any, error) {
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	type access struct {
		Resource acl.Resource
		Segment  string `json:",omitempty"`
		Access   acl.Access
	}
	var asked []access
	if err := decodeLoose(r, &asked); err != nil {
		return nil, err
	}
	if len(asked) > maxAsked {
		return nil, rpc.Errorf(rpc.Invalid, "Refusing to process %d authorizations at once, the limit is %d", len(asked), maxAsked)
	}
	type verdict struct {
		access
		Allow bool
	}
	out := []verdict{}
	for _, a := range asked {
		if !acl.Known(a.Resource, a.Access) {
			return nil, badRequest("Invalid access level " + string(a.Access) + " for resource " + string(a.Resource))
		}
		out = append(out, verdict{a, az.Allow(a.Resource, a.Segment, a.Access)})
	}
	return out, nil
}
