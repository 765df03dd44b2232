// Package certs keeps an agent's certificates: it reads the files that the configuration names, makes of them how
// connections of each protocol are encrypted and verified, and replaces all of that while the agent runs. It also makes
// authorities and certificates, for the command line. It knows X.509 and crypto/tls; it knows nothing of listeners,
// of the configuration's files, or of the authority in the replicated state.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Protocol is one of those that TLS is configured for.
type Protocol int

// The protocols.
const (
	RPC   Protocol = iota // between agents
	HTTPS                 // the HTTP API
	GRPC
	protocols int = iota
)

// String is the protocol's key below tls.
func (p Protocol) String() string { return [protocols]string{"internal_rpc", "https", "grpc"}[p] }

// Settings are what is configured for a protocol. Files are PEM; "" is none.
type Settings struct {
	CAFile, CAPath    string // authorities: a file, or a directory of such
	CertFile, KeyFile string
	MinVersion        string // TLSv1_0 to TLSv1_3, or TLS_AUTO
	CipherSuites      string // names, separated by commas; of TLS 1.2 and before
	VerifyIncoming    bool
	VerifyOutgoing    bool
	VerifyName        bool // of servers: server.<datacenter>.<domain>
	UseAutoCert       bool // present what Grant has given
}

// A Config is what a Store is made of.
type Config struct {
	Protocols  [protocols]Settings // by Protocol
	Datacenter string
	Domain     string
	// Auto tells that the servers give this agent its certificate: see Grant.
	Auto bool
}

// A Store holds what is in use. It may be used by several goroutines.
type Store struct {
	mu      sync.Mutex // one change at a time
	current atomic.Pointer[state]
	watched stamps // guarded by mu
}

// A state never changes.
type state struct {
	Config
	of      [protocols]material
	granted *Granted
	roots   []*x509.Certificate // of the authority in the replicated state, on servers that sign for clients
}

// Granted is what the servers have given to a client agent.
type Granted struct {
	Pair  *tls.Certificate
	Roots []*x509.Certificate // whose certificates are accepted besides those of the files
}

// Open reads all files. Errors name the key of the configuration.
func Open(c Config) (*Store, error) {
	s := &Store{}
	return s, s.Load(c)
}

// Load reads all files again, as c names them. If they cannot be used, it returns why, and all stays as it was.
func (s *Store) Load(c Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load(c)
}

// load is Load for who has locked mu.
func (s *Store) load(c Config) error {
	next := &state{Config: c}
	s.watched = stamp(c.files()) // before they are read: a change meanwhile is seen as one
	if was := s.current.Load(); was != nil {
		next.granted, next.roots = was.granted, was.roots
	}
	var errs []error
	for p := range protocols {
		m, err := read(&c.Protocols[p])
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.%s.%w", Protocol(p), err))
			continue
		}
		next.of[p] = *m
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.current.Store(next)
	return nil
}

// Refresh reads the files again if any has changed since they were read last. It tells whether there was a change.
func (s *Store) Refresh() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.current.Load().Config
	if stamp(c.files()).equal(s.watched) {
		return false, nil
	}
	return true, s.load(c)
}

// Grant puts a certificate in use that the servers have given.
func (s *Store) Grant(g *Granted) { s.change(func(next *state) { next.granted = g }) }

// Trust accepts certificates of further authorities from agents that connect: those of clients that servers have signed.
// They never make anybody a server.
func (s *Store) Trust(roots []*x509.Certificate) { s.change(func(next *state) { next.roots = roots }) }

func (s *Store) change(do func(next *state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.current.Load()
	do(&next)
	s.current.Store(&next)
}

// Granted is what was granted last, nil if nothing was.
func (s *Store) Granted() *Granted { return s.current.Load().granted }

// A Leaf is a certificate that the agent presents.
type Leaf struct {
	Key         string // of the configuration
	Certificate *x509.Certificate
}

// Leaves are the certificates in use, each once.
func (s *Store) Leaves() []Leaf {
	st := s.current.Load()
	var all []Leaf
	seen := map[string]bool{}
	add := func(key string, pair *tls.Certificate) {
		if pair != nil && !seen[string(pair.Certificate[0])] {
			seen[string(pair.Certificate[0])] = true
			all = append(all, Leaf{key, pair.Leaf})
		}
	}
	for p := range protocols {
		add("tls."+Protocol(p).String()+".cert_file", st.of[p].pair)
	}
	if st.granted != nil {
		add("auto_encrypt", st.granted.Pair)
	}
	return all
}

// Expires is when the first of the certificates in use expires; false if there is none.
func (s *Store) Expires() (time.Time, bool) {
	var first time.Time
	for _, l := range s.Leaves() {
		if first.IsZero() || l.Certificate.NotAfter.Before(first) {
			first = l.Certificate.NotAfter
		}
	}
	return first, !first.IsZero()
}

// Serves tells whether there is a certificate to present on connections of a protocol that come in.
func (s *Store) Serves(p Protocol) bool { return s.current.Load().pair(p) != nil }

// Requires tells whether connections of a protocol must be encrypted and come with a certificate.
func (s *Store) Requires(p Protocol) bool { return s.current.Load().of[p].VerifyIncoming }

// Waits tells that this agent has to be given a certificate before it can connect to servers.
func (s *Store) Waits() bool {
	st := s.current.Load()
	return st.Auto && st.pair(RPC) == nil
}

// pair is the certificate to present; nil if there is none.
func (st *state) pair(p Protocol) *tls.Certificate {
	m := &st.of[p]
	if st.granted != nil && (m.pair == nil || m.UseAutoCert) {
		return st.granted.Pair
	}
	return m.pair
}

// ServerName is the name that certificates of a datacenter's servers have.
func (s *Store) ServerName(datacenter string) string {
	st := s.current.Load()
	if datacenter == "" {
		datacenter = st.Datacenter
	}
	return ServerName(datacenter, st.Domain)
}

// ServerName is the name that certificates of servers have.
func ServerName(datacenter, domain string) string {
	return "server." + datacenter + "." + Domain(domain)
}

// Domain is a domain as certificates write it, without a dot at its end.
func Domain(domain string) string { return strings.TrimSuffix(domain, ".") }
