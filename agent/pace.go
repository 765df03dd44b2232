package agent

import (
	"sync/atomic"

	"golang.org/x/time/rate"

	"lictor/config"
	"lictor/rpc"
	"lictor/telemetry"
)

// A pacer bounds the calls of other agents that a server answers, as limits.request_limits says.
type pacer struct{ rules atomic.Pointer[paces] }

type paces struct {
	enforce       bool
	reads, writes *rate.Limiter // nil is no bound
}

// errPace is what a call gets beyond the bounds.
var errPace = rpc.Errorf(rpc.Limited, "rate limit exceeded, try again later or against a different server")

// set puts bounds in force.
func (p *pacer) set(l *config.RequestLimits) {
	rules := &paces{enforce: l.Mode == "enforcing"}
	if l.Mode == "permissive" || rules.enforce {
		rules.reads, rules.writes = limiter(l.ReadRate), limiter(l.WriteRate)
	}
	p.rules.Store(rules)
}

// limiter lets a second's worth of calls come at once; 0 or less is no bound.
func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(int(perSecond), 1))
}

// pace tells whether a call is beyond the bounds. Beyond those that are not enforced it is counted and logged only.
func (s *server) pace(method string, reads bool) error {
	rules := s.pacer.rules.Load()
	bound, kind := rules.writes, "global/write"
	if reads {
		bound, kind = rules.reads, "global/read"
	}
	if bound == nil || bound.Allow() {
		return nil
	}
	mode := "permissive"
	if rules.enforce {
		mode = "enforcing"
	}
	s.agent.metrics.Counter("rpc.rate_limit.exceeded", telemetry.Label{Name: "limit_type", Value: kind}, telemetry.Label{Name: "op", Value: method}, telemetry.Label{Name: "mode", Value: mode}).Add(1)
	if !rules.enforce {
		s.agent.log.Debug("a call is beyond limits.request_limits, and would be refused if that were enforcing", "method", method)
		return nil
	}
	return errPace
}
