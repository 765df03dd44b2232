package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
)

// Services are the services that are registered on this agent. Rows are shared and are not changed.
type Services interface {
	// Services lists them by id.
	Services() map[string]*catalog.Instance
	// Service finds one, with a channel that is closed when it changes or goes; nil if there is none.
	Service(id string) (row *catalog.Instance, changed <-chan struct{})
	// RegisterService adds one with its checks, or replaces the one with its id; its other checks stay unless
	// replaceChecks. The definition is valid. Token is the secret of the request.
	RegisterService(ctx context.Context, d *catalog.ServiceDefinition, token string, replaceChecks bool) error
	// DeregisterService removes one with its checks.
	DeregisterService(ctx context.Context, id string) error
	// SetServiceMaintenance takes one out of service or back; the reason "" stands for a default text.
	SetServiceMaintenance(ctx context.Context, id string, on bool, reason, token string) error
}

// agentServices answers GET /v1/agent/services, with ?filter.
func (s *Server) agentServices(w http.ResponseWriter, r *http.Request) (any, error) {
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	filter, err := catalog.NewFilter[*AgentService](parameters(r).Get("filter"))
	if err != nil {
		return nil, err
	}
	all := map[string]*AgentService{}
	for id, row := range s.Services.Services() {
		if !az.Allow(acl.Service, row.Service, acl.Read) {
			markFiltered(w, r)
			continue
		}
		shown := showService(row, s.Datacenter)
		keep, err := filter.Keep(shown)
		if err != nil {
			return nil, err
		}
		if keep {
			all[id] = shown
		}
	}
	return all, nil
}

// agentService answers GET /v1/agent/service/ID, with ?hash and ?wait to wait for a change.
func (s *Server) agentService(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/service/")
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	known := ""
	if r.URL.RawQuery != "" {
		known = parameters(r).Get("hash")
	}
	var deadline <-chan time.Time
	for {
		az, err := s.authorizer(r) // again after each wait
		if err != nil {
			return nil, err
		}
		row, changed := s.Services.Service(id)
		if row == nil {
			return nil, rpc.Errorf(rpc.NotFound, "unknown service ID: %s", id)
		}
		if err := acl.Require(az, acl.Service, row.Service, acl.Read); err != nil {
			return nil, err
		}
		shown, err := hashService(row, s.Datacenter)
		if err != nil {
			return nil, err
		}
		if deadline == nil && known != "" {
			timer := time.NewTimer(s.waitLimit(opts.Wait))
			defer timer.Stop()
			deadline = timer.C
		}
		if shown.ContentHash != known || !waitFor(r.Context(), az, changed, deadline) {
			w.Header()["X-Consul-Contenthash"] = []string{shown.ContentHash}
			return shown, nil
		}
	}
}

// waitLimit bounds a wait as queries bound theirs.
func (s *Server) waitLimit(wait time.Duration) time.Duration {
	const usual, most = 5 * time.Minute, 10 * time.Minute
	if wait <= 0 {
		return usual
	}
	return min(wait, most)
}

// waitFor tells whether there was a change, of what is waited for or of the rights of who waits, before the deadline and
// before the client went away.
func waitFor(ctx context.Context, az acl.Authorizer, changed <-chan struct{}, deadline <-chan time.Time) bool {
	select {
	case <-changed:
		return true
	case <-acl.Ended(az):
		return true
	case <-deadline:
	case <-ctx.Done():
	}
	return false
}

// agentServiceRegister answers PUT /v1/agent/service/register, with ?replace-existing-checks.
func (s *Server) agentServiceRegister(w http.ResponseWriter, r *http.Request) (any, error) {
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	d, err := decodeService(r)
	if err != nil {
		return nil, err
	}
	if d.Name != "" {
		if err := s.mayWriteService(az, d.Identity(), d.Name); err != nil {
			return nil, err
		}
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return done(w, s.Services.RegisterService(r.Context(), d, token(r), replaces(parameters(r))))
}

// mayWriteService asks for write access to a service, and to the one that has its id until now.
func (s *Server) mayWriteService(az acl.Authorizer, id, name string) error {
	if err := acl.Require(az, acl.Service, name, acl.Write); err != nil {
		return err
	}
	if old, _ := s.Services.Service(id); old != nil && old.Service != name {
		return acl.Require(az, acl.Service, old.Service, acl.Write)
	}
	return nil
}

// replaces reads ?replace-existing-checks, which may stand alone or have a value.
func replaces(q url.Values) bool {
	if !q.Has("replace-existing-checks") {
		return false
	}
	value := q.Get("replace-existing-checks")
	yes, err := strconv.ParseBool(value)
	return value == "" || err == nil && yes
}

// agentServiceDeregister answers PUT /v1/agent/service/deregister/ID.
func (s *Server) agentServiceDeregister(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/service/deregister/")
	if err := s.mayChangeService(r, id); err != nil {
		return nil, err
	}
	return done(w, s.Services.DeregisterService(r.Context(), id))
}

// mayChangeService asks for write access to the service that has an id.
func (s *Server) mayChangeService(r *http.Request, id string) error {
	row, _ := s.Services.Service(id)
	if row == nil {
		return rpc.Errorf(rpc.NotFound, "Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)
	}
	return s.require(r, acl.Service, row.Service, acl.Write)
}
