package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"lictor/ca"
	"lictor/certs"
	"lictor/rpc"
	"lictor/view"
)

// With auto_encrypt.tls a client agent has no certificate of its own at first. It asks the servers for one over TLS in
// which it is a stranger, so that they answer nothing but such requests, and asks again long before it expires.

// The pauses between requests that fail.
const (
	askAgainMin = time.Second
	askAgainMax = time.Minute
)

// startCerts begins to ask for this agent's certificate, if that is where it comes from; servers that sign accept
// what they have signed.
func (a *Agent) startCerts() {
	switch {
	case a.server != nil && a.signs():
		a.running.Go(a.followRoots)
	case a.autoCert():
		pool := a.strangerPool()
		a.cleanups.add(func() error { pool.Stop(); return nil })
		keep := a.keepCert
		if a.cfg.Auto.Config.Enabled {
			keep = a.renewIntroduction
		}
		a.running.Go(func() { keep(pool) })
	}
}

// signs tells whether this server gives certificates to clients.
func (a *Agent) signs() bool {
	return a.cfg.Auto.Encrypt.AllowTLS || a.cfg.Auto.Config.Authorization.Enabled
}

// hasAuthority tells whether the servers have a certificate authority in the replicated state.
func (a *Agent) hasAuthority() bool { return a.cfg.Mesh.Connect.Enabled || a.signs() }

// followRoots accepts the certificates of the authority in the replicated state, until the agent stops.
func (a *Agent) followRoots() {
	var index uint64
	for a.ctx.Err() == nil {
		answer, err := view.Read(a.ctx, a.views, ca.RootsQuery, &view.Options{MinIndex: index}, struct{}{})
		if err != nil || len(answer.Value().Roots) == 0 {
			pause(a.ctx, askAgainMin)
			continue
		}
		index = answer.Index()
		var texts []string
		for _, r := range answer.Value().Roots {
			texts = append(texts, r.RootCert)
		}
		roots, err := parseAll(texts)
		if err != nil {
			a.log.Error("the authority's certificates cannot be read", "error", err)
			continue
		}
		a.certs.Trust(roots)
	}
}

func parseAll(texts []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, text := range texts {
		some, err := certs.Parse([]byte(text))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// keepCert asks for a certificate and for the next one in time, until the agent stops.
func (a *Agent) keepCert(pool *rpc.Pool) {
	again := askAgainMin
	for a.ctx.Err() == nil {
		changed := a.route.roster.next()
		granted, err := a.askForCert(pool)
		if err != nil {
			if !errors.Is(err, errNoServers) && a.ctx.Err() == nil {
				a.log.Warn("auto_encrypt: no certificate was given", "error", err)
			}
			sleep(a.ctx, changed, again/2+rand.N(again/2))
			again = min(2*again, askAgainMax)
			continue
		}
		again = askAgainMin
		a.certs.Grant(granted)
		leaf := granted.Pair.Leaf
		a.log.Info("auto_encrypt: this agent has a certificate", "id", leaf.URIs[0].String(), "not_after", leaf.NotAfter.Format(time.RFC3339))
		pause(a.ctx, renewal(leaf, leaf.NotBefore))
	}
}

// renewal is how long to wait with asking for the next certificate: until between half and two thirds of this one's time
// have passed, so that agents that have started together do not ask together. One that begins in the future is older than this
// agent's clock can tell. One that was given just now is as old as at its beginning, whatever the clock says, which may be wrong by
// more than its time.
func renewal(leaf *x509.Certificate, now time.Time) time.Duration {
	if now.Before(leaf.NotBefore) {
		return askAgainMin
	}
	life := max(leaf.NotAfter.Sub(leaf.NotBefore), askAgainMin)
	at := leaf.NotBefore.Add(life/2 + rand.N(life/6))
	return max(at.Sub(now), askAgainMin)
}

// pause waits; false is the end of ctx.
func pause(ctx context.Context, d time.Duration) bool { return sleep(ctx, nil, d) }

// askForCert asks the best server for a certificate.
func (a *Agent) askForCert(pool *rpc.Pool) (*certs.Granted, error) {
	t, ok := a.route.roster.best()
	if !ok {
		return nil, errNoServers
	}
	csr, key, err := a.certRequest(a.cfg.Auto.Encrypt.DNSSAN, a.cfg.Auto.Encrypt.IPSAN)
	if err != nil {
		return nil, err
	}
	args, err := rpc.Append(nil, &ca.SignRequest{Node: a.cfg.Node.Name, CSR: string(csr)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.ctx, a.cfg.Limits.RPCClientTimeout)
	defer cancel()
	reply, err := pool.Call(ctx, t, rpc.Header{Token: a.agentToken()}, ca.SignMethod.Name, args)
	if err != nil {
		a.route.again(err, t, true)
		return nil, err
	}
	var signed *ca.Signed
	if err := rpc.Decode(reply, &signed); err != nil || signed == nil {
		return nil, fmt.Errorf("an answer that cannot be read: %w", err)
	}
	return granted(signed, key)
}

// certRequest makes a key and a request for a certificate of this agent, with further names and addresses.
func (a *Agent) certRequest(names, addresses []string) (csr, key []byte, err error) {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, text := range addresses {
		ips = append(ips, net.ParseIP(text))
	}
	dc := a.cfg.Node.Datacenter
	return ca.NewRequest(dc, a.cfg.Node.Name, append([]string{"localhost", "client." + dc + "." + certs.Domain(a.cfg.DNS.Domain)}, names...), ips)
}

func granted(signed *ca.Signed, key []byte) (*certs.Granted, error) {
	pair, err := tls.X509KeyPair([]byte(signed.Cert), key)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("the certificate: %w", err)
		}
	}
	if len(pair.Leaf.URIs) != 1 {
		return nil, errors.New("the certificate has not exactly one URI")
	}
	roots, err := parseAll(signed.Roots)
	if err != nil {
		return nil, fmt.Errorf("the authorities: %w", err)
	}
	return &certs.Granted{Pair: &pair, Roots: roots}, nil
}

// agentToken is the token of this agent's own requests.
func (a *Agent) agentToken() string {
	if t := a.secrets.get(tokenAgent); t != "" {
		return t
	}
	return a.secrets.get(tokenDefault)
}
