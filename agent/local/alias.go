package local

import (
	"context"

	"lictor/catalog"
	"lictor/health"
	"lictor/rpc"
	"lictor/view"
)

// Aliased implements health.AliasSource: checks of this agent come from the State, those of other nodes from Health.Alias.
func (s *State) Aliased(ctx context.Context, q health.AliasQuery) (health.AliasState, error) {
	if q.Node != "" && q.Node != s.Node.Node && q.Node != s.Node.ID {
		if s.Health.Alias == nil {
			return health.AliasState{}, rpc.Errorf(rpc.Invalid, "the checks of other nodes are out of reach")
		}
		return s.Health.Alias.Aliased(ctx, q)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Service == "" {
		return s.nodeHealth(q), nil
	}
	state := health.AliasState{Changed: s.table.watchChecks(q.Service)}
	e := s.table.service(q.Service)
	if e == nil {
		return state, nil
	}
	state.Found = true
	for _, id := range sortedKeys(e.checks) {
		if id != q.Check {
			state.Checks = append(state.Checks, e.checks[id].row)
		}
	}
	return state, nil
}

// nodeHealth is the health of this node, which is alive. Aliases do not count: two of them would hold each other up.
func (s *State) nodeHealth(q health.AliasQuery) health.AliasState {
	state := health.AliasState{Found: true, Changed: s.table.watchChecks("")}
	state.Checks = append(state.Checks, &catalog.Check{CheckID: serfHealth, Status: catalog.Passing})
	for _, id := range sortedKeys(s.table.nodeChecks) {
		if c := s.table.nodeChecks[id]; id != q.Check && c.row.Type != catalog.TypeAlias {
			state.Checks = append(state.Checks, c.row)
		}
	}
	return state
}

// Aliased reads the checks of another node from the catalog.
func (s *Servers) Aliased(ctx context.Context, q health.AliasQuery) (health.AliasState, error) {
	opts := view.Options{Header: rpc.Header{Token: q.Token}}
	args := catalog.NodeChecks{Node: q.Node}
	answer, err := view.Read(ctx, s.Views, catalog.NodeChecksQuery, &opts, args)
	if err != nil {
		return health.AliasState{}, err
	}
	changed := make(chan struct{})
	state := health.AliasState{Checks: answer.Value().Rows, Found: q.Service == "", Changed: changed}
	services, err := view.Read(ctx, s.Views, catalog.NodeServicesQuery, &opts, catalog.OnNode{Node: q.Node})
	if err != nil {
		return health.AliasState{}, err
	}
	for _, row := range services.Value().Services {
		state.Found = state.Found || row.ID == q.Service
	}
	opts.MinIndex = answer.Index()
	go func() { // ends when the answer changes, at the latest after the longest wait, or with the check
		defer close(changed)
		view.Read(ctx, s.Views, catalog.NodeChecksQuery, &opts, args)
	}()
	return state, nil
}
