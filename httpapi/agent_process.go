package httpapi

import (
	"context"
	"net/http"

	"lictor/acl"
)

// Process is the running agent as a whole.
type Process interface {
	// Self is what /v1/agent/self shows.
	Self(ctx context.Context) (any, error)
	// Host is what /v1/agent/host shows.
	Host() (any, error)
	// Version is what /v1/agent/version shows.
	Version() any
	// Reload reads the configuration again.
	Reload() error
	// AtRest tells what is kept under which key.
	AtRest() (any, error)
	// RotateAtRest brings all that is kept under the key that writes, and tells what AtRest does.
	RotateAtRest(ctx context.Context) (any, error)
	// Leave leaves the cluster, after which the agent ends.
	Leave(ctx context.Context) error
}

// agentSelf answers GET /v1/agent/self.
func (s *Server) agentSelf(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Read); err != nil {
		return nil, err
	}
	return s.Process.Self(r.Context())
}

// agentHost answers GET /v1/agent/host.
func (s *Server) agentHost(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Operator, "", acl.Read); err != nil {
		return nil, err
	}
	return s.Process.Host()
}

// agentSecurity answers GET /v1/agent/security.
func (s *Server) agentSecurity(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Read); err != nil {
		return nil, err
	}
	return s.Security(), nil
}

// agentVersion answers GET /v1/agent/version.
func (s *Server) agentVersion(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Read); err != nil {
		return nil, err
	}
	return s.Process.Version(), nil
}

// agentReload answers PUT /v1/agent/reload.
func (s *Server) agentReload(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Write); err != nil {
		return nil, err
	}
	return done(w, s.Process.Reload())
}

// agentAtRest answers GET /v1/agent/at-rest.
func (s *Server) agentAtRest(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Read); err != nil {
		return nil, err
	}
	return s.Process.AtRest()
}

// agentRotateAtRest answers PUT /v1/agent/at-rest/rotate.
func (s *Server) agentRotateAtRest(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Write); err != nil {
		return nil, err
	}
	return s.Process.RotateAtRest(r.Context())
}

// agentLeave answers PUT /v1/agent/leave. It answers when the agent has left, right before it ends.
func (s *Server) agentLeave(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.require(r, acl.Agent, s.Node, acl.Write); err != nil {
		return nil, err
	}
	return done(w, s.Process.Leave(r.Context()))
}

// done is the empty answer of what has nothing to say but that it worked.
func done(w http.ResponseWriter, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusOK)
	return written, nil
}
