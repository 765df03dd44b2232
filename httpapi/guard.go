package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// What a request is told that the configuration does not let in: Consul's texts.
const (
	blockedText    = "Endpoint is blocked by agent configuration"
	restrictedText = "Access is restricted"
)

// A guard refuses requests for what the configuration says of paths and of where they come from.
type guard struct {
	blocked []string       // prefixes of paths
	writers []netip.Prefix // that may change something; none means all
}

// newGuard takes networks that have been checked by who read the configuration; others let nobody in.
func newGuard(blocked, writers []string) *guard {
	g := &guard{blocked: blocked}
	for _, w := range writers {
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
	if len(g.writers) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
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
