package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"lictor/acl"
	"lictor/catalog"
)

// A serviceHealth is what /v1/agent/health/service shows of one service.
type serviceHealth struct {
	AggregatedStatus string
	Service          *AgentService
	Checks           []agentCheck
}

// An agentCheck is a check as /v1/agent/health shows it: without its type and times, and with a definition that is
// written out though it is empty.
type agentCheck struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	ExposedPort int
	Definition  checkTarget
	CreateIndex uint64
	ModifyIndex uint64
}

type checkTarget struct {
	HTTP, Method, Body, TLSServerName, TCP, UDP, GRPC, OSService string
	TLSSkipVerify, TCPUseTLS, GRPCUseTLS                         bool
	Header                                                       map[string][]string
	Interval, Timeout, DeregisterCriticalServiceAfter            catalog.Duration
}

// statusOfHealth is how an aggregated status is told to who looks at the HTTP status alone.
var statusOfHealth = map[string]int{
	catalog.Passing:     http.StatusOK,
	catalog.Warning:     http.StatusTooManyRequests,
	catalog.Critical:    http.StatusServiceUnavailable,
	catalog.Maintenance: http.StatusServiceUnavailable,
}

// agentHealthByID answers GET /v1/agent/health/service/id/ID, with ?format=text.
func (s *Server) agentHealthByID(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/health/service/id/")
	az, err := s.authorizer(r)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, &statusError{http.StatusInternalServerError, "Missing serviceID"}
	}
	row, _ := s.Services.Service(id)
	if row == nil {
		nothing := &serviceHealth{AggregatedStatus: catalog.Critical}
		return s.writeHealth(w, r, healthAnswer{http.StatusNotFound, "ServiceId " + id + " not found", nothing})
	}
	if err := acl.Require(az, acl.Service, row.Service, acl.Read); err != nil {
		return nil, err
	}
	shown := s.healthOf(row, s.Checks.Checks())
	return s.writeHealth(w, r, healthAnswer{statusOfHealth[shown.AggregatedStatus], shown.AggregatedStatus, shown})
}

// agentHealthByName answers GET /v1/agent/health/service/name/NAME, with ?format=text.
func (s *Server) agentHealthByName(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/agent/health/service/name/")
	if name == "" {
		return nil, &statusError{http.StatusInternalServerError, "Missing service Name"}
	}
	if err := s.require(r, acl.Service, name, acl.Read); err != nil {
		return nil, err
	}
	all := []*serviceHealth{}
	status := catalog.Passing
	checks := s.Checks.Checks()
	for _, row := range s.Services.Services() {
		if row.Service == name {
			shown := s.healthOf(row, checks)
			status = worse(status, shown.AggregatedStatus)
			all = append(all, shown)
		}
	}
	if len(all) == 0 {
		return s.writeHealth(w, r, healthAnswer{http.StatusNotFound, "ServiceName " + name + " Not Found", all})
	}
	slices.SortFunc(all, func(a, b *serviceHealth) int { return cmp.Compare(a.Service.ID, b.Service.ID) })
	return s.writeHealth(w, r, healthAnswer{statusOfHealth[status], status, all})
}

// A healthAnswer is the health of something, for people and for programs.
type healthAnswer struct {
	status int
	reason string
	body   any
}

// writeHealth writes the answer as JSON, or its reason alone to who asks for text.
func (s *Server) writeHealth(w http.ResponseWriter, r *http.Request, a healthAnswer) (any, error) {
	h := w.Header()
	h["X-Consul-Reason"] = []string{a.reason}
	if parameters(r).Get("format") == "text" || r.Header.Get("Accept") == "text/plain" {
		h["Content-Type"] = []string{"text/plain"}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		w.WriteHeader(a.status)
		w.Write([]byte(a.reason))
		return written, nil
	}
	h["Content-Type"] = jsonType
	s.writeJSON(&statusWriter{ResponseWriter: w, status: a.status}, r, a.body)
	return written, nil
}

// A statusWriter writes the header with a status of its own before the body.
type statusWriter struct {
	http.ResponseWriter
	status int
	begun  bool
}

// Write begins with the status.
func (w *statusWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.ResponseWriter.WriteHeader(w.status)
	}
	return w.ResponseWriter.Write(b)
}

// healthOf is the health of a service: its own checks and those of the node.
func (s *Server) healthOf(row *catalog.Instance, checks map[string]*catalog.Check) *serviceHealth {
	shown := &serviceHealth{AggregatedStatus: catalog.Passing, Service: showService(row, s.Datacenter), Checks: []agentCheck{}}
	for _, c := range checks {
		if c.ServiceID != "" && c.ServiceID != row.ID {
			continue
		}
		shown.Checks = append(shown.Checks, showCheck(c))
		status := c.Status
		if c.CheckID == nodeMaintenance || strings.HasPrefix(c.CheckID, serviceMaintenancePrefix) {
			status = catalog.Maintenance
		}
		shown.AggregatedStatus = worse(shown.AggregatedStatus, status)
	}
	slices.SortFunc(shown.Checks, func(a, b agentCheck) int { return cmp.Compare(a.CheckID, b.CheckID) })
	return shown
}

// The ids of the checks that stand for maintenance.
const (
	nodeMaintenance          = "_node_maintenance"
	serviceMaintenancePrefix = "_service_maintenance:"
)

func showCheck(c *catalog.Check) agentCheck {
	return agentCheck{
		Node: c.Node, CheckID: c.CheckID, Name: c.Name, Status: c.Status, Notes: c.Notes, Output: c.Output,
		ServiceID: c.ServiceID, ServiceName: c.ServiceName, ExposedPort: c.ExposedPort,
	}
}

// worse is the worse of two states.
func worse(a, b string) string {
	order := []string{catalog.Passing, catalog.Warning, catalog.Critical, catalog.Maintenance}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
