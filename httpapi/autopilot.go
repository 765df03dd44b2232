package httpapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"lictor/catalog"
	"lictor/raftstore"
)

// autopilotConfiguration answers GET /v1/operator/autopilot/configuration.
func (s *Server) autopilotConfiguration(_ http.ResponseWriter, r *http.Request) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	return call(s, r, raftstore.AutopilotMethod, &opts.ReadOptions)
}

// autopilotConfigure answers PUT /v1/operator/autopilot/configuration, with ?cas.
func (s *Server) autopilotConfigure(_ http.ResponseWriter, r *http.Request) (any, error) {
	set := raftstore.SetAutopilot{Config: raftstore.DefaultAutopilot()}
	if err := readAutopilot(r, &set.Config); err != nil {
		return nil, err
	}
	if q := parameters(r); q.Has("cas") {
		var err error
		if set.Index, err = strconv.ParseUint(q.Get("cas"), 10, 64); err != nil {
			return nil, badRequest("Error parsing cas value: " + err.Error())
		}
		set.CAS = true
	}
	return call(s, r, raftstore.SetAutopilotMethod, &set)
}

func readAutopilot(r *http.Request, into *raftstore.AutopilotConfig) error {
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	switch {
	case err != nil && limited.N <= 0:
		return bodyTooLarge()
	case err != nil:
		return badRequest("Error parsing autopilot config: " + wordDecodeError(err, map[string]string{"AutopilotConfig": "AutopilotConfiguration"}))
	}
	return nil
}

// A serverHealth is a server as /v1/operator/autopilot/health lists it.
type serverHealth struct {
	ID          string
	Name        string
	Address     string
	SerfStatus  string
	Version     string
	Leader      bool
	LastContact catalog.Duration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	Voter       bool
	StableSince time.Time
}

// autopilotHealth answers GET /v1/operator/autopilot/health, with a status of its own if a server is not healthy.
func (s *Server) autopilotHealth(w http.ResponseWriter, r *http.Request) (any, error) {
	f, err := call(s, r, raftstore.FitnessMethod, &struct{}{})
	if err != nil {
		return nil, err
	}
	servers := []serverHealth{}
	for _, x := range f.Servers {
		servers = append(servers, serverHealth{ID: x.ID, Name: x.Name, Address: x.Address, SerfStatus: x.Status, Version: x.Version,
			Leader: x.Role == raftstore.RoleLeader, LastContact: contact(x.LastContact), LastTerm: x.LastTerm, LastIndex: x.LastIndex,
			Healthy: x.Healthy, Voter: x.Votes(), StableSince: x.StableSince.UTC()})
	}
	if !f.Healthy {
		w.Header()["Content-Type"] = jsonType
		w.WriteHeader(http.StatusTooManyRequests)
	}
	return struct {
		Healthy          bool
		FailureTolerance int
		Servers          []serverHealth
	}{f.Healthy, f.FailureTolerance, servers}, nil
}

// contact is how clients are told of the last contact; there may have been none.
func contact(d time.Duration) catalog.Duration { return catalog.Duration(max(0, d)) }

// A serverState is a server as /v1/operator/autopilot/state lists it.
type serverState struct {
	ID          string
	Name        string
	Address     string
	NodeStatus  string
	Version     string
	LastContact catalog.Duration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	StableSince time.Time
	ReadReplica bool
	Status      string
	Meta        map[string]string
	NodeType    string
}

// An autopilotSummary is what /v1/operator/autopilot/state answers.
type autopilotSummary struct {
	Healthy                    bool
	FailureTolerance           int
	OptimisticFailureTolerance int
	Servers                    map[string]serverState
	Leader                     string
	Voters                     []string
	ReadReplicas               []string `json:",omitempty"`
}

// autopilotState answers GET /v1/operator/autopilot/state.
func (s *Server) autopilotState(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := call(s, r, raftstore.FitnessMethod, &struct{}{})
	if err != nil {
		return nil, err
	}
	out := autopilotSummary{Healthy: f.Healthy, FailureTolerance: f.FailureTolerance, OptimisticFailureTolerance: f.FailureTolerance,
		Servers: map[string]serverState{}, Leader: f.Leader, Voters: []string{}}
	for _, x := range f.Servers {
		kind := "voter"
		if x.ReadReplica {
			kind = "read-replica"
			out.ReadReplicas = append(out.ReadReplicas, x.ID)
		}
		if x.Votes() {
			out.Voters = append(out.Voters, x.ID)
		}
		out.Servers[x.ID] = serverState{ID: x.ID, Name: x.Name, Address: x.Address, NodeStatus: x.Status, Version: x.Version,
			LastContact: contact(x.LastContact), LastTerm: x.LastTerm, LastIndex: x.LastIndex, Healthy: x.Healthy,
			StableSince: x.StableSince.UTC(), ReadReplica: x.ReadReplica, Status: x.Role, Meta: x.Meta, NodeType: kind}
	}
	return out, nil
}
