package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"lictor/certs"
	"lictor/config"
	"lictor/rpc"
	"lictor/telemetry"
)

// certsConfig is what the configuration says of certificates.
func certsConfig(c *config.Config) certs.Config {
	out := certs.Config{Datacenter: c.Node.Datacenter, Domain: c.DNS.Domain, Auto: c.Auto.Encrypt.TLS || c.Auto.Config.Enabled}
	for p, t := range map[certs.Protocol]*config.TLSProtocol{certs.RPC: &c.TLS.InternalRPC, certs.HTTPS: &c.TLS.HTTPS, certs.GRPC: &c.TLS.GRPC} {
		out.Protocols[p] = certs.Settings{CAFile: t.CAFile, CAPath: t.CAPath, CertFile: t.CertFile, KeyFile: t.KeyFile, MinVersion: t.MinVersion,
			CipherSuites: t.CipherSuites, VerifyIncoming: t.VerifyIncoming, VerifyOutgoing: t.VerifyOutgoing, VerifyName: t.VerifyName, UseAutoCert: t.UseAutoCert}
	}
	return out
}

// openTLS reads the certificates.
func (a *Agent) openTLS() error {
	if a.certs == nil {
		a.certs = new(certs.Store)
	}
	if err := a.certs.Load(certsConfig(a.cfg)); err != nil {
		return err
	}
	a.reviewCerts()
	a.metrics.Collect(func(emit telemetry.Emit) {
		if at, ok := a.certs.Expires(); ok {
			emit("agent.tls.cert.expiry", time.Until(at).Seconds())
		}
	})
	a.running.Go(a.followCerts)
	return nil
}

// autoCert tells whether the servers give this agent its certificate.
func (a *Agent) autoCert() bool { return a.cfg.Auto.Encrypt.TLS || a.cfg.Auto.Config.Enabled }

const (
	lookAtCerts   = 5 * time.Second // how often to look whether files of certificates have changed
	reviewOfCerts = 12 * time.Hour  // how often to look whether one expires
)

// followCerts puts new files of certificates in use, and warns of those that expire, until the agent stops. It looks at
// the files rather than being told, because they may come by links that are swapped, and over networks.
func (a *Agent) followCerts() {
	look, review := time.NewTicker(lookAtCerts), time.NewTicker(reviewOfCerts)
	defer look.Stop()
	defer review.Stop()
	for {
		select {
		case <-look.C:
			changed, err := a.certs.Refresh()
			switch {
			case err != nil:
				a.log.Error("new certificates cannot be used; those from before stay in use", "error", err)
			case changed:
				a.log.Info("certificates have changed, and are in use")
				a.reviewCerts()
			}
		case <-review.C:
			a.reviewCerts()
		case <-a.ctx.Done():
			return
		}
	}
}

// reviewCerts warns of certificates that have expired or will soon: when a fifth of their time is left.
func (a *Agent) reviewCerts() {
	now := time.Now()
	for _, l := range a.certs.Leaves() {
		c := l.Certificate
		left := c.NotAfter.Sub(now)
		log := a.log.With("key", l.Key, "subject", c.Subject.String(), "serial", fmt.Sprintf("%x", c.SerialNumber), "not_after", c.NotAfter.Format(time.RFC3339))
		switch {
		case left <= 0:
			log.Error("a certificate has expired: others will refuse this agent")
		case now.Before(c.NotBefore):
			log.Error("a certificate is not valid yet: is the clock right?")
		case left < c.NotAfter.Sub(c.NotBefore)/5:
			log.Warn("a certificate expires soon", "left", left.Round(time.Minute))
		}
	}
}

// rpcSecurity is how connections of other agents are accepted.
func (a *Agent) rpcSecurity() rpc.Security {
	s := rpc.Security{
		Incoming: a.certs.Incoming(certs.RPC),
		Required: func() bool { return a.certs.Requires(certs.RPC) },
		Server:   a.certs.VerifyServer,
		Gossip:   a.certs.VerifyGossip,
	}
	if a.signs() {
		s.Stranger = a.certs.IncomingStranger()
	}
	return s
}

var errWaits = errors.New("this agent has no certificate yet: servers give it one")

// dialServer connects to a server of a datacenter, "" being this one, over TLS if that is configured.
func (a *Agent) dialServer(ctx context.Context, datacenter, address string) (net.Conn, error) {
	if a.certs.Waits() {
		return nil, errWaits
	}
	return a.dialSecure(ctx, address, a.certs.Outgoing(datacenter), false)
}

// dialGossip connects to a server of a datacenter, "" being any, to gossip over TLS.
func (a *Agent) dialGossip(ctx context.Context, datacenter, address string) (net.Conn, error) {
	c, err := a.certs.OutgoingGossip(datacenter)
	if err != nil {
		return nil, fmt.Errorf("gossip over TLS: %w: see tls.internal_rpc", err)
	}
	conn, err := a.dialSecure(ctx, address, c, false)
	if err != nil {
		return nil, err
	}
	return greet(ctx, conn, address, rpc.ProtocolGossip, "")
}

// dialSecure connects over TLS; c is nil for plaintext.
func (a *Agent) dialSecure(ctx context.Context, address string, c *tls.Config, stranger bool) (net.Conn, error) {
	conn, err := a.network.Dial(ctx, address)
	if err != nil || c == nil {
		return conn, err
	}
	secure, err := rpc.Encrypt(ctx, conn, c, stranger)
	if err != nil {
		conn.Close()
		var broken *net.OpError
		if errors.As(err, &broken) || ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w (if the server has no certificate, or verifies this agent's: see tls.internal_rpc)", err)
	}
	return secure, nil
}

// checkTLS is how health checks connect with the agent's own certificate; nil is without.
func (a *Agent) checkTLS() func() *tls.Config {
	if !a.cfg.Checks.AgentTLS {
		return nil
	}
	return a.certs.Checks
}
