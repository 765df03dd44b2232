package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"lictor/pace"
	"lictor/rpc"
	"lictor/telemetry"
)

// What a request is told that the configuration does not let in: Consul's texts.
const (
	blockedText    = "Endpoint is blocked by agent configuration"
	restrictedText = "Access is restricted"
)

// Rules are what the configuration says of who may ask for what. Reload changes them.
type Rules struct {
	BlockEndpoints []string   // prefixes of paths that are refused
	AllowWriteFrom []string   // networks, as CIDRs, that may change something; none means all
	Rates          pace.Rates // of the requests that need the servers
	Enforce        bool       // refuse what is beyond the rates; otherwise it is logged alone
	Audit          Auditor    // notes each request; nil notes none
}

// A guard refuses requests for what the rules say.
type guard struct {
	blocked []string       // prefixes of paths
	writers []netip.Prefix // that may change something; none means all
	enforce bool
	pacing  *pace.Pace
	audit   Auditor
}

// newGuard takes networks that have been checked by who read the configuration; others let nobody in.
func newGuard(rules Rules) *guard {
	g := &guard{blocked: rules.BlockEndpoints, enforce: rules.Enforce, pacing: pace.New(rules.Rates), audit: rules.Audit}
	for _, w := range rules.AllowWriteFrom {
		p, err := netip.ParsePrefix(w)
		if err != nil {
			p = netip.Prefix{}
		}
		g.writers = append(g.writers, p)
	}
	return g
}

// check tells why a request is not let in.
func (g *guard) check(r *http.Request) error {
	if len(g.blocked) > 0 && slices.ContainsFunc(g.blocked, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
		return &statusError{http.StatusForbidden, blockedText}
	}
	if len(g.writers) == 0 || reads(r) {
		return nil
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return &statusError{http.StatusForbidden, restrictedText} // a unix socket has no address to be in a network
	}
	from, err := netip.ParseAddr(host)
	if err == nil && slices.ContainsFunc(g.writers, func(p netip.Prefix) bool { return p.Contains(from.Unmap()) }) {
		return nil
	}
	return &statusError{http.StatusForbidden, restrictedText}
}

func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// errRate tells that a request is beyond the configured rate.
var errRate = rpc.Errorf(rpc.Limited, "rate limit exceeded, try again later")

// exceededCounts are the counters of consul.rpc.rate_limit.exceeded, by whether the request reads and whether the rate is
// enforced.
func (s *Server) exceededCounts() (all [4]*telemetry.Counter) {
	for i := range all {
		op, mode := "write", "permissive"
		if i&1 != 0 {
			op = "read"
		}
		if i&2 != 0 {
			mode = "enforcing"
		}
		all[i] = s.Metrics.Counter("rpc.rate_limit.exceeded", telemetry.Label{Name: "limit_type", Value: "global/" + op},
			telemetry.Label{Name: "op", Value: op}, telemetry.Label{Name: "mode", Value: mode})
	}
	return all
}

// beyond counts a request that is beyond the rates.
func (s *Server) beyond(g *guard, r *http.Request) {
	i := 0
	if reads(r) {
		i |= 1
	}
	if g.enforce {
		i |= 2
	}
	s.exceeded[i].Inc()
}

// pace tells whether a request that needs the servers is beyond the rates.
func (g *guard) pace(r *http.Request) error {
	if strings.HasPrefix(r.URL.Path, "/v1/agent/") || strings.HasPrefix(r.URL.Path, "/v1/status/") {
		return nil
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr // of a unix socket
	}
	if g.pacing.Allow(reads(r), host) {
		return nil
	}
	return errRate
}
