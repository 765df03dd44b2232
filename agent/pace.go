package agent

import (
	"sync/atomic"

	"lictor/config"
	"lictor/pace"
	"lictor/rpc"
	"lictor/telemetry"
)

// A pacer bounds the calls of other agents that a server answers, as limits.request_limits says.
type pacer struct{ rules atomic.Pointer[paces] }

type paces struct {
	enforce bool
	pace    *pace.Pace
}

// errPace is what a call gets beyond the bounds.
var errPace = rpc.Errorf(rpc.Limited, "rate limit exceeded, try again later or against a different server")

// rates are the bounds of the configuration.
func rates(l *config.RequestLimits) (r pace.Rates, enforce bool) {
	if l.Mode == "permissive" || l.Mode == "enforcing" {
		r = pace.Rates{Read: l.ReadRate, Write: l.WriteRate, SourceRead: l.SourceReadRate, SourceWrite: l.SourceWriteRate}
	}
	return r, l.Mode == "enforcing"
}

// set puts bounds in force.
func (p *pacer) set(l *config.RequestLimits) {
	r, enforce := rates(l)
	p.rules.Store(&paces{enforce, pace.New(r)})
}

// pace tells whether a call is beyond the bounds. Beyond those that are not enforced it is counted and logged only.
func (s *server) pace(r *rpc.Request, reads bool) error {
	rules := s.pacer.rules.Load()
	if rules.pace.Allow(reads, r.Peer.Address) {
		return nil
	}
	kind, mode := "global/write", "permissive"
	if reads {
		kind = "global/read"
	}
	if rules.enforce {
		mode = "enforcing"
	}
	s.agent.metrics.Counter("rpc.rate_limit.exceeded", telemetry.Label{Name: "limit_type", Value: kind}, telemetry.Label{Name: "op", Value: r.Method}, telemetry.Label{Name: "mode", Value: mode}).Add(1)
	if !rules.enforce {
		s.agent.log.Debug("a call is beyond limits.request_limits, and would be refused if that were enforcing", "method", r.Method, "from", r.Peer.Address)
		return nil
	}
	return errPace
}
