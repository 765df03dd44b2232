package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"lictor/catalog"
	"lictor/pace"
)

// What alias checks say, and how long they wait before they ask again after an error.
const (
	aliasPassing  = "All checks passing."
	aliasNone     = "No checks found."
	aliasFailing  = "Aliased check %q failing: %s"
	aliasNotFound = "Service %s could not be found on node %s"

	aliasRetryMin = time.Second
	aliasRetryMax = time.Minute
)

// An AliasQuery asks for the checks that an alias check follows.
type AliasQuery struct {
	Node    string // "" means this agent's node
	Service string // an instance's id; "" means the node itself
	Token   string // of the alias check; "" means the agent's default
	Check   string // the alias check itself, which must not be in the answer if the node is this agent's
}

// An AliasState answers an AliasQuery.
type AliasState struct {
	Checks  []*catalog.Check // of the node; those of other services are disregarded
	Node    string           // its name; "" means the one in the query
	Found   bool             // whether the node has the service; true if none is asked for and the node is there
	Changed <-chan struct{}  // closed when another answer is to be had
}

// An AliasSource knows the checks of this node and of others.
type AliasSource interface {
	// Aliased answers with the present state. It may wait for the network, until ctx is done.
	Aliased(ctx context.Context, q AliasQuery) (AliasState, error)
}

// startAlias follows the checks of something else. An alias is driven by changes, so it has a goroutine and no timer.
func startAlias(s *Scheduler, e *entry) error {
	if s.conf.Alias == nil {
		return errors.New("alias checks are not available on this agent")
	}
	s.running.Go(func() { s.follow(e) })
	return nil
}

func (s *Scheduler) follow(e *entry) {
	q := AliasQuery{Node: e.Definition.AliasNode, Service: e.Definition.AliasService, Token: e.Definition.Token, Check: e.ID}
	retry := aliasRetryMin
	for e.ctx.Err() == nil {
		state, err := s.conf.Alias.Aliased(e.ctx, q)
		if err != nil {
			s.reportAlias(e, failed(err))
			_ = pace.Rest(e.ctx, retry) // its end is seen above
			retry = min(2*retry, aliasRetryMax)
			continue
		}
		retry = aliasRetryMin
		s.reportAlias(e, q.judge(state))
		select {
		case <-state.Changed:
		case <-e.ctx.Done():
		}
	}
}

// reportAlias reports what differs from before.
func (s *Scheduler) reportAlias(e *entry, r result) {
	e.reporting.Lock()
	defer e.reporting.Unlock()
	if r.status != e.status || r.output != e.output {
		s.report(e, r.status, r.output)
	}
}

// judge is the worst of the checks that the query is about.
func (q AliasQuery) judge(state AliasState) result {
	if !state.Found {
		return critical(fmt.Sprintf(aliasNotFound, q.Service, cmp.Or(state.Node, q.Node)))
	}
	r := passing(aliasNone)
	for _, c := range state.Checks {
		if c.ServiceID != "" && c.ServiceID != q.Service {
			continue
		}
		switch {
		case c.Status == catalog.Critical:
			return critical(fmt.Sprintf(aliasFailing, c.Name, c.Output))
		case c.Status == catalog.Warning:
			r = warning(fmt.Sprintf(aliasFailing, c.Name, c.Output))
		case r.status == catalog.Passing:
			r = passing(aliasPassing)
		}
	}
	return r
}
