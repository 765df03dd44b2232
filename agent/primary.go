package agent

import (
	"context"
	"errors"
	"time"

	"lictor/acl"
	"lictor/configentry"
	"lictor/replica"
	"lictor/rpc"
)

// The primary datacenter owns policies, roles, tokens that are not local, configuration entries and intentions. Servers of all
// others send it what changes these, copy them, and ask it about the tokens that they do not copy.

// primary is the datacenter that owns ACLs and configuration entries; "" if it is this one.
func (a *Agent) primary() string {
	if p := a.cfg.Federate.Primary; p != a.cfg.Node.Datacenter {
		return p
	}
	return ""
}

// copiesTokens tells whether the tokens of the primary datacenter are copied.
func (a *Agent) copiesTokens() bool { return a.cfg.ACL.TokenReplication }

// toPrimary makes a call that the primary datacenter owns one for there. One that is not to be sent on is refused: no server of this
// datacenter asks for that, and carried out here it would make the copies differ.
func (s *server) toPrimary(ctx context.Context, h *rpc.Header, method string, args any) error {
	primary := s.agent.primary()
	if primary == "" || s.agent.route.abroad(*h) {
		return nil
	}
	owned, err := s.registry.Owned(ctx, *h, method, args)
	if err != nil || !owned {
		return err
	}
	if h.Direct {
		return rpc.Errorf(rpc.NoDatacenter, "%s is for the primary datacenter %q, and %q is not that", method, primary, s.agent.cfg.Node.Datacenter)
	}
	if h.Hops == onward {
		return rpc.Errorf(rpc.NoDatacenter, "datacenters take each other for the primary one: primary_datacenter of %q is %q", s.agent.cfg.Node.Datacenter, primary)
	}
	h.Datacenter = primary
	if h.Hops > 0 {
		h.Hops = onward
	}
	return nil
}

// carried is a token as it leaves for another datacenter: one that is good here alone stays here.
func (a *Agent) carried(ctx context.Context, token string) string {
	if token != "" && a.cfg.ACL.Enabled && a.server.services.acl.LocalSecret(ctx, token) {
		return ""
	}
	return token
}

// elsewhere makes what finds the rights of tokens that only the primary datacenter knows; nil where there are none.
func (a *Agent) elsewhere(count func()) *acl.Remote {
	primary := a.primary()
	if primary == "" || a.copiesTokens() {
		return nil
	}
	return a.newRemote(func(ctx context.Context, token string) (*acl.Resolution, error) {
		count()
		return acl.ResolveGlobalMethod.Call(ctx, a.caller, rpc.Header{Token: token, Datacenter: primary}, &acl.Abroad{Datacenter: a.cfg.Node.Datacenter})
	})
}

// newRemote makes what asks for the rights of tokens, and keeps the answers as the configuration says.
func (a *Agent) newRemote(ask func(ctx context.Context, token string) (*acl.Resolution, error)) *acl.Remote {
	r := &acl.Remote{Defaults: a.aclDefaults(), TTL: a.cfg.ACL.TokenTTL, Down: a.cfg.ACL.DownPolicy, Context: a.ctx, Ask: ask}
	for _, ttl := range []time.Duration{a.cfg.ACL.PolicyTTL, a.cfg.ACL.RoleTTL} { // all that a token may do is one answer
		if ttl > 0 {
			r.TTL = min(r.TTL, ttl)
		}
	}
	return r
}

// unknownToken tells whether there is no such token in this datacenter.
func unknownToken(err error) bool { return errors.Is(err, acl.ErrNotFound) }

// A copying is what this server copies from the primary datacenter while it leads; nil is nothing.
type copying = *replica.Copier[acl.Authorizer]

// newCopier makes what copies some kinds of rows.
func (a *Agent) newCopier(kinds []replica.Kind[acl.Authorizer]) copying {
	return &replica.Copier[acl.Authorizer]{Log: a.server.node, Kinds: kinds, Caller: a.caller, Journal: a.log.With("module", "agent.server.replication"), Metrics: a.metrics,
		Wait: min(copyWait, a.cfg.Limits.RPCClientTimeout/2),
		Header: func() rpc.Header {
			return rpc.Header{Datacenter: a.primary(), Token: a.secrets.get(tokenReplication)}
		}}
}

// copyWait bounds how long the primary datacenter may hold back an answer.
const copyWait = 30 * time.Second

// openCopies makes what copies from the primary datacenter, and what others copy from here.
func (s *server) openCopies() {
	a, authority := s.agent, s.services.acl
	owner := &replica.Owner[acl.Authorizer]{Log: s.node, Kinds: append(authority.Copied(true), configentry.Copied()...), Fresh: acl.Fresh}
	rpc.Handle(&s.registry, replica.ListMethod, owner.List)
	rpc.Handle(&s.registry, replica.FetchMethod, owner.Fetch)
	if a.primary() == "" {
		return
	}
	authority.Own(&s.registry)
	configentry.Own(&s.registry)
	s.entries = a.newCopier(configentry.Copied())
	if a.cfg.ACL.Enabled {
		s.acls = a.newCopier(authority.Copied(a.copiesTokens()))
		authority.Copying = s.acls.Status
	}
}
