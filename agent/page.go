package agent

import (
	"net"
	"net/http"

	"lictor/ui"
)

// page is the web page and the path below which it is served, or nil and "" if it is off.
func (a *Agent) page() (http.Handler, string) {
	base := a.pagePath()
	if base == "" {
		return nil, ""
	}
	return ui.Handler(ui.Config{Path: base, Dir: a.cfg.UI.Dir}), base
}

// pagePath is the path below which the web page is served, or "" if it is off.
func (a *Agent) pagePath() string {
	c := &a.cfg.UI
	if !c.Enabled && c.Dir == "" {
		return ""
	}
	return ui.Base(c.ContentPath)
}

// reachable is an address that a browser on this host can open: one that stands for all interfaces becomes localhost.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
