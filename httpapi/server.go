// Package httpapi answers HTTP: it parses requests into typed calls and queries, and writes answers with Consul's
// headers and error texts. It knows every route (see routes.go) and nothing of how an answer comes about.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"lictor/acl"
	"lictor/rpc"
	"lictor/telemetry"
	"lictor/view"
)

// Config configures a Server. Caller, Views and Log are required.
type Config struct {
	Caller rpc.Caller  // delivers methods to a server
	Views  *view.Views // answers queries
	// Resolve finds what a token may do on this agent.
	Resolve func(ctx context.Context, token string) (acl.Authorizer, error)
	// DefaultToken is the secret of requests that bring none; nil is none. SetToken changes one of the agent's own.
	DefaultToken func() string
	SetToken     func(name, secret string) error
	ACLs         bool // there are ACLs
	Snapshots    Snapshots
	Process      Process
	Security     func() any // what of the agent is open, and what closes it
	Pools        Pools
	Metrics      *telemetry.Registry
	Monitor      Monitor
	Services     Services // of this agent
	Checks       Checks
	Maintain     Maintenance // of this agent's node
	Events       Events      // of users, that this agent has received
	Datacenter   string
	Primary      string // the datacenter that has the tokens which are not here; "" means that there is none
	TranslateWAN bool   // show WAN addresses of what is in other datacenters
	Node         string // this agent's node
	Log          *slog.Logger
	Ends         <-chan struct{} // closed when the agent stops: streams end then; nil never does

	MaxValueSize int64 // of a key's value, in bytes; 0 means 512 KiB
	MaxTxnSize   int64 // of a transaction's body, in bytes; 0 means 512 KiB

	ResponseHeaders  map[string]string
	DefaultPolicy    string // of ACLs, as told in each answer; "" means allow
	DownPolicy       string // of ACLs
	AllowUnprintable bool   // in paths
	Rules            Rules  // at the start; see Reload
	EnableDebug      bool   // serve /debug/pprof also where no ACLs guard it

	Hosts Hosts // names at which browsers are answered

	UI     http.Handler // the web page; nil means that there is none
	UIPath string       // below which it is, clean and with a slash at both ends
}

// A Server answers the HTTP API. It is an http.Handler; listening is its owner's business.
type Server struct {
	Config
	mux      *http.ServeMux
	guard    atomic.Pointer[guard]
	cached   cachedMarks
	counts   map[string]*apiCounts // of the catalog
	exceeded [4]*telemetry.Counter // requests beyond the rates; see Server.beyond
}

// New makes a Server of all routes.
func New(c Config) *Server {
	if c.MaxValueSize == 0 {
		c.MaxValueSize = 512 << 10
	}
	if c.MaxTxnSize == 0 {
		c.MaxTxnSize = 512 << 10
	}
	if c.DefaultPolicy == "" {
		c.DefaultPolicy = "allow"
	}
	s := &Server{Config: c, mux: http.NewServeMux()}
	s.counts = s.catalogCounts()
	s.exceeded = s.exceededCounts()
	s.Reload(c.Rules)
	for _, rt := range routes {
		s.mux.HandleFunc(rt.path, s.wrap(&rt))
	}
	s.mux.HandleFunc("/v1/", unknownEndpoint)
	s.mux.HandleFunc("/v1", unknownPath)
	s.mux.HandleFunc("/", s.home)
	if c.EnableDebug || c.ACLs {
		s.profiles()
	}
	return s
}

// Reload puts new rules in force, for all requests from now on.
func (s *Server) Reload(rules Rules) { s.guard.Store(newGuard(rules)) }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if audit := s.guard.Load().audit; audit != nil {
		if _, ok := w.(*noted); !ok {
			s.audited(audit, w, r)
			return
		}
	}
	if !s.AllowUnprintable && unprintable(r.URL.Path) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if err := s.admit(r); err != nil {
		s.fail(w, r, err)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// admit refuses what the rules in force do not let pass.
func (s *Server) admit(r *http.Request) error {
	if err := s.checkBrowser(r); err != nil {
		return err
	}
	g := s.guard.Load()
	if err := g.check(r); err != nil {
		return err
	}
	err := g.pace(r)
	if err != nil {
		s.beyond(g, r)
	}
	if err != nil && !g.enforce {
		s.Log.Warn("a request is beyond limits.request_limits, and would be refused if that were enforcing", "path", r.URL.Path)
		return nil
	}
	return err
}

func unprintable(path string) bool {
	for i := range len(path) {
		if path[i] < ' ' || path[i] >= 0x7f { // most paths are plain ASCII
			return strings.ContainsFunc(path, func(c rune) bool { return !unicode.IsPrint(c) })
		}
	}
	return false
}

// A handler answers one request of a route: a value to be written as JSON, or an error, or written if it has written
// the answer itself.
type handler func(s *Server, w http.ResponseWriter, r *http.Request) (any, error)

// written is what a handler returns that has written its answer.
var written any = &struct{}{}

// wrap adds to a route what all routes share. Thousands of requests may wait in a handler, so its frame is kept small.
func (s *Server) wrap(rt *route) http.HandlerFunc {
	allow := "OPTIONS," + strings.Join(rt.methods, ",")
	common := s.common()
	timers := s.timers(rt)
	return func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		if r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "index=") {
			w = &late{ResponseWriter: w, common: common}
		} else {
			common(w.Header())
		}
		if s.ACLs {
			s.lendToken(r)
		}
		handle := rt.handlerOf(r.Method)
		if handle == nil {
			s.noHandler(w, r, rt, allow)
			s.finished(r, begun)
			return
		}
		err := rt.check(r)
		if err == nil {
			var value any
			if value, err = handle(s, w, r); err == nil && value != written {
				s.writeJSON(w, r, value)
			}
		}
		if err != nil {
			s.fail(w, r, err)
		}
		timers[r.Method].Since(begun)
		s.finished(r, begun)
	}
}

// common sets the headers that all answers share.
func (s *Server) common() func(http.Header) {
	policy := []string{s.DefaultPolicy}
	return func(h http.Header) {
		h["X-Consul-Default-Acl-Policy"] = policy
		if s.TranslateWAN {
			h["X-Consul-Translate-Addresses"] = isTrue
		}
		for k, v := range s.ResponseHeaders {
			h.Set(k, v)
		}
	}
}

// timers are the handles of consul.api.http for each method of a route.
func (s *Server) timers(rt *route) map[string]*telemetry.Sample {
	path := strings.ReplaceAll(strings.Trim(rt.path, "/"), "/", "_")
	timers := map[string]*telemetry.Sample{}
	for _, m := range rt.methods {
		timers[m] = s.Metrics.Sample("api.http", telemetry.Label{Name: "method", Value: m}, telemetry.Label{Name: "path", Value: path})
	}
	return timers
}

// check refuses what no route accepts.
func (rt *route) check(r *http.Request) error {
	if err := checkHeaders(r.Header); err != nil {
		return err
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	return checkParameters(r)
}

func (s *Server) noHandler(w http.ResponseWriter, r *http.Request, rt *route, allow string) {
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.Header()["Content-Type"] = jsonType
		return
	}
	s.fail(w, r, &statusError{http.StatusMethodNotAllowed, "method " + r.Method + " not allowed"})
}

func unknownEndpoint(w http.ResponseWriter, r *http.Request) {
	plain(w, http.StatusNotFound, "Invalid URL path: not a recognized HTTP API endpoint\n")
}

func unknownPath(w http.ResponseWriter, r *http.Request) {
	plain(w, http.StatusNotFound, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	w.WriteHeader(status)
	w.Write([]byte(text))
}

// call makes a method call on behalf of a request.
func call[A, R any](s *Server, r *http.Request, m rpc.Method[A, R], args *A) (R, error) {
	return m.Call(r.Context(), s.Caller, header(r), args)
}

// header is what a request tells besides its arguments.
func header(r *http.Request) rpc.Header {
	h := rpc.Header{Token: token(r)}
	if r.URL.RawQuery != "" {
		h.Datacenter = parameters(r).Get("dc")
	}
	return h
}

// token is the secret that a request comes with, from the places in which Consul looks for it.
func token(r *http.Request) string {
	if t := r.Header["X-Consul-Token"]; len(t) > 0 {
		return t[0]
	}
	if a := r.Header.Get("Authorization"); a != "" {
		if scheme, t, _ := strings.Cut(strings.TrimSpace(a), " "); strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(t)
		}
	}
	if strings.Contains(r.URL.RawQuery, "token=") {
		return parameters(r).Get("token")
	}
	return ""
}

// lendToken gives a request that brings no token the one that the configuration has for such.
//
//go:noinline // requests wait on top of its caller's frame
func (s *Server) lendToken(r *http.Request) {
	if s.DefaultToken == nil {
		return
	}
	if t := s.DefaultToken(); t != "" && token(r) == "" {
		r.Header["X-Consul-Token"] = []string{t}
	}
}

// authorizer is what a request may do on this agent.
func (s *Server) authorizer(r *http.Request) (acl.Authorizer, error) {
	return s.Resolve(r.Context(), token(r))
}

// require refuses a request that does not have access to something of this agent's own.
func (s *Server) require(r *http.Request, resource acl.Resource, name string, access acl.Access) error {
	az, err := s.authorizer(r)
	if err != nil {
		return err
	}
	return acl.Require(az, resource, name, access)
}

// recheck is how often the token of a stream is looked at on agents that are not told when it changes.
const recheck = 10 * time.Second

// entitled is require for an answer that takes long: the context ends with the request, once its token no longer has the
// access, or when end is called, which the caller must do.
func (s *Server) entitled(r *http.Request, resource acl.Resource, name string, access acl.Access) (ctx context.Context, end func(), err error) {
	az, err := s.authorizer(r)
	if err == nil {
		err = acl.Require(az, resource, name, access)
	}
	if err != nil {
		return nil, nil, err
	}
	ctx, end = context.WithCancel(r.Context())
	go func() {
		defer end()
		again := time.NewTicker(recheck)
		defer again.Stop()
		for changed := acl.Ended(az); ; {
			select {
			case <-changed:
			case <-again.C:
			case <-ctx.Done():
				return
			}
			az, err := s.Resolve(ctx, token(r))
			if err == nil {
				err = acl.Require(az, resource, name, access)
			}
			if rpc.CodeOf(err) == rpc.PermissionDenied {
				return
			}
			if changed = nil; err == nil { // else nobody could be asked: the next round tells
				changed = acl.Ended(az)
			}
		}
	}()
	return ctx, end, nil
}
