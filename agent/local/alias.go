package local

import (
	"context"

	"lictor/catalog"
	"lictor/health"
	"lictor/rpc"
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
	state := health.AliasState{Node: s.Node.Node, Changed: s.table.watchChecks(q.Service)}
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
	state := health.AliasState{Node: s.Node.Node, Found: true, Changed: s.table.watchChecks("")}
	state.Checks = append(state.Checks, &catalog.Check{CheckID: serfHealth, Status: catalog.Passing})
	for _, id := range sortedKeys(s.table.nodeChecks) {
		if c := s.table.nodeChecks[id]; id != q.Check && c.row.Type != catalog.TypeAlias {
			state.Checks = append(state.Checks, c.row)
		}
	}
	return state
}
