package agent

import (
	"io"
	"os"
	"slices"
	"syscall"
)

// LeavesOn tells whether the agent leaves the cluster before it ends on a signal: on SIGINT unless
// skip_leave_on_interrupt, on SIGTERM if leave_on_terminate.
func (a *Agent) LeavesOn(s os.Signal) bool {
	if s == syscall.SIGTERM {
		return a.cfg.Join.LeaveOnTerminate
	}
	return !a.cfg.Join.SkipLeaveOnInt
}

// ReloadNow is Reload for who has nobody to report to but the log, which has the error already.
func (a *Agent) ReloadNow() { _ = a.Reload() }

// DumpMetrics writes the metrics of the last interval as lines for people.
func (a *Agent) DumpMetrics(w io.Writer) error { return a.metrics.Summary().Dump(w) }

// Welcome logs where the agent answers.
func (a *Agent) Welcome() {
	for _, l := range a.listeners {
		scheme := l.Addr().Network()
		switch {
		case slices.Contains(a.secure, l):
			scheme = "https"
		case scheme == "tcp":
			scheme = "http"
		}
		a.log.Info("HTTP API", "address", scheme+"://"+l.Addr().String())
	}
	if path := a.pagePath(); path != "" {
		for _, l := range a.listeners {
			if l.Addr().Network() != "unix" {
				scheme := "http://"
				if slices.Contains(a.secure, l) {
					scheme = "https://"
				}
				a.log.Info("web page", "address", scheme+reachable(l.Addr().String())+path)
			}
		}
	}
	for _, l := range a.dns.Addrs() {
		a.log.Info("DNS", "address", l.String())
	}
	a.log.Info("the agent runs", "node", a.cfg.Node.Name, "id", a.id, "datacenter", a.cfg.Node.Datacenter, "server", a.server != nil)
}
