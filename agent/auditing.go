package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"lictor/acl"
	"lictor/agent/audit"
	"lictor/agent/logging"
	"lictor/config"
	"lictor/dnsserver"
	"lictor/httpapi"
)

// openAudit begins the record of who does what.
func (a *Agent) openAudit() error {
	l := audit.New(audit.Config{Datacenter: a.cfg.Node.Datacenter, Node: a.cfg.Node.Name, Log: a.log.With("module", "agent.audit"),
		Written: a.countAudit("audit.written"), Lost: a.countAudit("audit.lost")})
	if err := l.Reload(auditSinks(a.cfg)); err != nil {
		return err
	}
	a.audit = l
	a.cleanups.add(l.Stop)
	if dir := a.dataDir(); dir != "" {
		if err := l.TakeOver(dir); err != nil {
			return fmt.Errorf("what was done while no agent ran: %w", err)
		}
	}
	return nil
}

// countAudit makes what counts records; the counter appears with the first.
func (a *Agent) countAudit(name string) func() {
	return func() { a.metrics.Counter(name).Inc() }
}

// auditSinks are where the configuration wants the record; none is nowhere.
func auditSinks(c *config.Config) []audit.Sink {
	var all []audit.Sink
	if !c.Paid.Audit.Enabled {
		return nil
	}
	for _, name := range c.Paid.Audit.Names() {
		s := c.Paid.Audit.Sink[name]
		all = append(all, audit.Sink{Name: name, Type: s.Type, Facility: s.Facility, File: logging.FileConfig{Path: filepath.Clean(s.Path),
			Mode: s.Permissions(), MaxBytes: int64(s.RotateBytes), MaxAge: s.RotateDuration, Keep: s.RotateMaxFiles}})
	}
	return all
}

// auditor notes requests; it is nil where there is no audit log.
func (a *Agent) auditor(c *config.Config) httpapi.Auditor {
	if !c.Paid.Audit.Enabled {
		return nil
	}
	return func(o *httpapi.Operation) func(httpapi.Outcome) {
		op := a.audit.Begin(audit.HTTP, a.auditAuth(o.Who, o.WhoErr), audit.Request{Operation: o.Method, Endpoint: o.Path, Query: o.Query, Datacenter: o.Datacenter,
			RemoteAddr: o.RemoteAddr, UserAgent: o.UserAgent, Host: o.Host})
		if op == nil {
			return nil
		}
		return func(r httpapi.Outcome) { op.End(audit.Response{Status: strconv.Itoa(r.Status), Error: r.Error}) }
	}
}

// questionAuditor notes questions of DNS; it is nil where there is no audit log.
func (a *Agent) questionAuditor(c *config.Config) func(*dnsserver.Asked) {
	if !c.Paid.Audit.Enabled || !a.cfg.ACL.Enabled {
		return nil
	}
	return func(q *dnsserver.Asked) {
		ctx, cancel := context.WithTimeout(a.ctx, time.Second)
		defer cancel()
		who, err := a.resolve(ctx, q.Token)
		a.audit.Note(audit.DNS, a.auditAuth(who, err), audit.Request{Operation: q.Type, Endpoint: q.Name, RemoteAddr: q.From}, audit.Response{Status: q.Rcode})
	}
}

// auditAuth tells who has a token.
func (a *Agent) auditAuth(who acl.Authorizer, err error) *audit.Auth {
	switch {
	case !a.cfg.ACL.Enabled:
		return nil
	case err != nil:
		return &audit.Auth{Error: err.Error()}
	}
	about := acl.About(who)
	w := &audit.Auth{Accessor: who.Accessor(), Description: about.Description, CreateTime: about.CreateTime.Time()}
	if w.Accessor == "" {
		w.Accessor = acl.AnonymousID
	}
	return w
}

// noteReset records that somebody with access to the host has allowed one more bootstrap of ACLs, and that it was used.
func (a *Agent) noteReset(path string) {
	if a.audit != nil {
		a.audit.Note(audit.Local, &audit.Auth{Description: "user of the host"}, audit.Request{Operation: "acl bootstrap reset", Endpoint: path}, audit.Response{Status: "used"})
	}
}
