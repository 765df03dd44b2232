package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A web page that somebody has open can make its browser send requests to the API, which trusts whoever reaches it. Two
// things stop that, and neither meets programs: what they send does not look like a browser's.
//
//   - A page of another site changes nothing: browsers tell where a request comes from (Sec-Fetch-Site, Origin).
//   - A page whose own name was made to lead to this agent (DNS rebinding) reads nothing either: browsers are answered at
//     names that are this agent's only. Over TLS the certificate sees to that.

// Hosts are the names at which browsers are answered, besides addresses, loopback names and names without a dot, which
// nobody else can have.
type Hosts struct {
	Own     []string // of this agent
	Domains []string // all names below them, too
	Allowed []string // as configured; a * at the beginning stands for one label or more
}

// What browsers are told.
const (
	crossSiteText = "Requests of other web sites are not allowed to change anything"
	hostText      = "This agent does not answer browsers at the host name of this request; if it is one of its names, add it to http_config.allowed_hosts"
)

// checkBrowser tells why a request of a web page is not let in.
func (s *Server) checkBrowser(r *http.Request) error {
	if !fromBrowser(r) {
		return nil
	}
	if r.TLS == nil && !s.Hosts.include(r.Host) {
		return &statusError{http.StatusForbidden, hostText}
	}
	if !reads(r) && !s.sameSite(r) {
		return &statusError{http.StatusForbidden, crossSiteText}
	}
	return nil
}

// fromBrowser tells whether a request may be a browser's. Each of these a page may avoid to send in some browsers, but
// not all of them.
func fromBrowser(r *http.Request) bool {
	h := r.Header
	return len(h["Sec-Fetch-Site"]) > 0 || len(h["Origin"]) > 0 || len(h["Referer"]) > 0 || strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// sameSite tells whether a request comes from a page of this agent, from no page at all, or from one that the configured
// headers let in.
func (s *Server) sameSite(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin != "" {
		return s.ownOrigin(r, origin)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return false
}

func (s *Server) ownOrigin(r *http.Request, origin string) bool {
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for name, value := range s.ResponseHeaders {
		if strings.EqualFold(name, "Access-Control-Allow-Origin") {
			return value == origin || value == "*" && r.Header.Get("X-Consul-Token") != ""
		}
	}
	return false
}

// include tells whether a name, perhaps with a port, is one at which browsers are answered.
func (h *Hosts) include(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return slices.ContainsFunc(h.Own, func(own string) bool { return strings.EqualFold(own, host) }) ||
		slices.ContainsFunc(h.Domains, func(d string) bool { return below(host, d) }) ||
		slices.ContainsFunc(h.Allowed, func(a string) bool { return matches(host, strings.ToLower(a)) })
}

func below(host, domain string) bool {
	domain = strings.ToLower(strings.Trim(domain, "."))
	return domain != "" && strings.HasSuffix(host, "."+domain)
}

func matches(host, pattern string) bool {
	if domain, ok := strings.CutPrefix(pattern, "*."); ok {
		return below(host, domain)
	}
	return host == pattern
}
