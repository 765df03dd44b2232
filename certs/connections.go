package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Incoming is how connections of a protocol are accepted. Each handshake uses what is in use at that moment.
func (s *Store) Incoming(p Protocol) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: offers(p), GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current.Load().incoming(p)
	}}
}

// IncomingStranger is how agents are accepted that ask for their first certificate: none is asked of them.
func (s *Store) IncomingStranger() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := s.current.Load().incoming(RPC)
		if err == nil {
			c.ClientAuth = tls.NoClientCert
		}
		return c, err
	}}
}

// offers are the protocols inside TLS.
func offers(p Protocol) []string {
	if p == HTTPS {
		return []string{"h2", "http/1.1"}
	}
	return nil
}

var errNoCertificate = errors.New("there is no certificate to present")

func (st *state) incoming(p Protocol) (*tls.Config, error) {
	m, pair := &st.of[p], st.pair(p)
	if pair == nil {
		return nil, errNoCertificate
	}
	c := &tls.Config{MinVersion: m.version, CipherSuites: m.suites, NextProtos: offers(p), Certificates: []tls.Certificate{*pair},
		// A resumed session would be that of certificates which may have been replaced since.
		SessionTicketsDisabled: true}
	switch {
	case m.VerifyIncoming:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case p == RPC && (len(m.roots) > 0 || len(st.roots) > 0):
		c.ClientAuth = tls.VerifyClientCertIfGiven // whoever shows that it is a server may act as one
	}
	c.ClientCAs = pool(m.roots, st.roots, st.granted.roots())
	return c, nil
}

func (g *Granted) roots() []*x509.Certificate {
	if g == nil {
		return nil
	}
	return g.Roots
}

// ErrNotServer tells that the other side of a connection has not proven to be a server of this datacenter.
var ErrNotServer = errors.New("the certificate is not that of a server of this datacenter")

// VerifyServer tells why who has connected is not to be taken for a server. Only where both verify_incoming and
// verify_server_hostname are set do certificates tell that; otherwise everybody passes. A nil state is a plaintext
// connection. The chain must lead to an authority of the files: what the servers sign for clients makes nobody a server.
func (s *Store) VerifyServer(state *tls.ConnectionState) error {
	st := s.current.Load()
	m := &st.of[RPC]
	if !m.VerifyIncoming || !m.VerifyName {
		return nil
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		return ErrNotServer
	}
	leaf := state.PeerCertificates[0]
	if err := leaf.VerifyHostname(ServerName(st.Datacenter, st.Domain)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotServer, err)
	}
	if err := verify(state.PeerCertificates, pool(m.roots), x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("%w: %w", ErrNotServer, err)
	}
	return nil
}

// verify checks that a chain, leaf first, leads to an authority.
func verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: pool(chain[1:]), CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// Outgoing is how this agent connects to servers of a datacenter; nil is in plaintext.
func (s *Store) Outgoing(datacenter string) *tls.Config {
	st := s.current.Load()
	m := &st.of[RPC]
	if !m.VerifyOutgoing && !st.Auto {
		return nil
	}
	name := ""
	if m.VerifyName {
		name = s.ServerName(datacenter)
	}
	return st.dial(m, name)
}

var errNoAuthority = errors.New("there is no authority to verify certificates with")

// OutgoingGossip is how this server connects to gossip with a server of a datacenter, "" being any. Both sides prove to be
// servers, whatever verify_incoming, verify_outgoing and verify_server_hostname say: there is no gossip over TLS with others.
func (s *Store) OutgoingGossip(datacenter string) (*tls.Config, error) {
	st := s.current.Load()
	m := &st.of[RPC]
	if m.pair == nil {
		return nil, errNoCertificate
	}
	if len(m.roots) == 0 {
		return nil, errNoAuthority
	}
	c := st.dial(m, "")
	c.VerifyConnection = func(state tls.ConnectionState) error {
		return st.verifyGossip(state.PeerCertificates, datacenter, x509.ExtKeyUsageServerAuth)
	}
	return c, nil
}

// VerifyGossip tells why who has connected is not to be taken for a server of any datacenter.
func (s *Store) VerifyGossip(state *tls.ConnectionState) error {
	return s.current.Load().verifyGossip(state.PeerCertificates, "", x509.ExtKeyUsageClientAuth)
}

// ErrNotAnyServer tells that the other side of a connection has not proven to be a server of the datacenter that is meant,
// or of any.
var ErrNotAnyServer = errors.New("the certificate is not that of a server")

func (st *state) verifyGossip(chain []*x509.Certificate, datacenter string, usage x509.ExtKeyUsage) error {
	if err := verify(chain, pool(st.of[RPC].roots), usage); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAnyServer, err)
	}
	if datacenter != "" {
		if err := chain[0].VerifyHostname(ServerName(datacenter, st.Domain)); err != nil {
			return fmt.Errorf("%w of datacenter %q: %w", ErrNotAnyServer, datacenter, err)
		}
		return nil
	}
	for _, name := range chain[0].DNSNames {
		if servesSomewhere(name, st.Domain) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has the names %q, and none is %s", ErrNotAnyServer, chain[0].DNSNames, ServerName("<datacenter>", st.Domain))
}

// servesSomewhere tells whether a name is that of the servers of some datacenter.
func servesSomewhere(name, domain string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), "server.")
	datacenter, under := strings.CutSuffix(rest, "."+strings.ToLower(Domain(domain)))
	return ok && under && datacenter != "" && !strings.ContainsAny(datacenter, ".*")
}

// OutgoingStranger is how an agent without a certificate asks servers for one; they still prove who they are, as far as
// this agent is told how to tell. Nil is in plaintext, where nothing is told.
func (s *Store) OutgoingStranger() *tls.Config {
	st := s.current.Load()
	m := &st.of[RPC]
	name := ""
	if m.VerifyName {
		name = ServerName(st.Datacenter, st.Domain)
	}
	return st.dial(m, name)
}

// dial is how a connection is opened to who must have this name; "" is any.
func (st *state) dial(m *material, name string) *tls.Config {
	roots, trusted := pool(m.roots), len(m.roots) > 0
	return &tls.Config{
		MinVersion: m.version, CipherSuites: m.suites, ServerName: name, InsecureSkipVerify: true, // VerifyConnection verifies
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if pair := st.pair(RPC); pair != nil {
				return pair, nil
			}
			return &tls.Certificate{}, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if !trusted {
				return nil
			}
			if err := verify(state.PeerCertificates, roots, x509.ExtKeyUsageServerAuth); err != nil || name == "" {
				return err
			}
			return state.PeerCertificates[0].VerifyHostname(name)
		},
	}
}

// Checks is how health checks connect with the agent's own certificate; it is for one connection after the other, as it
// holds what is in use now.
func (s *Store) Checks() *tls.Config {
	st := s.current.Load()
	m := &st.of[RPC]
	c := &tls.Config{MinVersion: m.version, CipherSuites: m.suites, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if pair := s.current.Load().pair(RPC); pair != nil {
			return pair, nil
		}
		return &tls.Certificate{}, nil
	}}
	if len(m.roots) > 0 || st.granted != nil {
		c.RootCAs = pool(m.roots, st.granted.roots())
	}
	return c
}
