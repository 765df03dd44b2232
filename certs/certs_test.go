package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func issue(authority Pair, kind, dc string) Pair {
	l := AgentLeaf(kind, dc, "consul")
	l.Valid = time.Hour
	return must(Issue(authority, l))
}

func authority() Pair { return must(NewAuthority(AuthorityOptions{Valid: time.Hour})) }

// place writes files into a directory and returns settings of them.
func place(t *testing.T, dir string, ca, pair Pair) Settings {
	t.Helper()
	s := Settings{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	for name, text := range map[string][]byte{s.CAFile: ca.Cert, s.CertFile: pair.Cert, s.KeyFile: pair.Key} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func conf(s Settings) Config {
	return Config{Protocols: [protocols]Settings{s, s, s}, Datacenter: "dc1", Domain: "consul"}
}

// meet makes a handshake of two sides and returns what each of them says.
func meet(server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	out := make(chan error, 1)
	s := tls.Server(a, server)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		out <- err
		if err != nil {
			a.Close()
		}
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	b.Close()
	serverErr = <-out
	return s.ConnectionState(), serverErr, clientErr
}

func TestWhoMeetsWhom(t *testing.T) {
	ca, stranger := authority(), authority()
	verified := func(s Settings) Settings {
		s.VerifyIncoming, s.VerifyOutgoing, s.VerifyName = true, true, true
		return s
	}
	open := func(pair, ca Pair) *Store { return must(Open(conf(verified(place(t, t.TempDir(), ca, pair))))) }
	server := open(issue(ca, "server", "dc1"), ca)
	for name, c := range map[string]struct {
		dials         *Store
		met, isServer bool
	}{
		"a server":                      {dials: open(issue(ca, "server", "dc1"), ca), met: true, isServer: true},
		"a client":                      {dials: open(issue(ca, "client", "dc1"), ca), met: true},
		"a server of elsewhere":         {dials: open(issue(ca, "server", "dc2"), ca), met: true},
		"a server of another authority": {dials: open(issue(stranger, "server", "dc1"), ca)},
		"who trusts another authority":  {dials: open(issue(ca, "server", "dc1"), stranger)},
	} {
		state, serverErr, clientErr := meet(server.Incoming(RPC), c.dials.Outgoing(""))
		if met := serverErr == nil && clientErr == nil; met != c.met {
			t.Errorf("%s: %v, %v", name, serverErr, clientErr)
			continue
		}
		if err := server.VerifyServer(&state); c.met && (err == nil) != c.isServer {
			t.Errorf("%s: taken for a server: %v", name, err)
		}
	}
	client := open(issue(ca, "client", "dc1"), ca)
	if _, _, err := meet(client.Incoming(RPC), server.Outgoing("")); err == nil {
		t.Error("a client's certificate was taken for a server's by who dials")
	}
	if err := server.VerifyServer(nil); !errors.Is(err, ErrNotServer) {
		t.Errorf("plaintext: %v", err)
	}
	if _, err, _ := meet(server.Incoming(HTTPS), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("HTTPS took who has no certificate")
	}
}

// A chain through an intermediate makes a server as well as a direct one.
// Gossip over TLS is among servers, whatever else is verified or not.
func TestWhoGossips(t *testing.T) {
	ca, stranger := authority(), authority()
	open := func(pair, ca Pair) *Store { return must(Open(conf(place(t, t.TempDir(), ca, pair)))) }
	server := open(issue(ca, "server", "dc1"), ca)
	wildcard := AgentLeaf("server", "dc1", "consul")
	wildcard.Valid, wildcard.Names = time.Hour, []string{"server.*.consul", "server.consul", "server.a.b.consul", "xserver.dc1.consul", "server.dc1.consulx"}
	for name, c := range map[string]struct {
		pair     Pair
		of       Pair
		accepts  bool // who is dialled
		anywhere bool // who dials any server
		there    bool // who dials a server of dc2
	}{
		"a server":                      {issue(ca, "server", "dc1"), ca, true, true, false},
		"a server of elsewhere":         {issue(ca, "server", "dc2"), ca, true, true, true},
		"a client":                      {issue(ca, "client", "dc2"), ca, false, false, false},
		"a server of another authority": {issue(stranger, "server", "dc2"), ca, false, false, false},
		"names that are nearly right":   {must(Issue(ca, wildcard)), ca, false, false, false},
	} {
		other := open(c.pair, c.of)
		state, serverErr, clientErr := meet(server.Incoming(RPC), must(other.OutgoingGossip("dc1")))
		accepts := serverErr == nil && clientErr == nil && server.VerifyGossip(&state) == nil
		if accepts != c.accepts {
			t.Errorf("%s is accepted: %v (%v, %v)", name, accepts, serverErr, clientErr)
		}
		for dc, want := range map[string]bool{"": c.anywhere, "dc2": c.there} {
			if _, _, err := meet(other.Incoming(RPC), must(server.OutgoingGossip(dc))); (err == nil) != want {
				t.Errorf("%s is dialled as a server of %q: %v", name, dc, err)
			}
		}
	}
	if _, _, err := meet(server.Incoming(RPC), &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Errorf("TLS, which calls need without a certificate: %v", err)
	}
	if err := server.VerifyGossip(&tls.ConnectionState{}); !errors.Is(err, ErrNotAnyServer) {
		t.Errorf("without a certificate: %v", err)
	}
	bare := must(Open(conf(Settings{})))
	if _, err := bare.OutgoingGossip(""); err == nil {
		t.Error("an agent without a certificate gossips over TLS")
	}
}

func TestIntermediates(t *testing.T) {
	root := authority()
	between := must(between(root))
	leaf := issue(between, "server", "dc1")
	leaf.Cert = append(leaf.Cert, between.Cert...)
	dir := t.TempDir()
	s := place(t, dir, root, leaf)
	s.VerifyIncoming, s.VerifyOutgoing, s.VerifyName = true, true, true
	store := must(Open(conf(s)))
	state, a, b := meet(store.Incoming(RPC), store.Outgoing(""))
	if err := errors.Join(a, b, store.VerifyServer(&state)); err != nil {
		t.Error(err)
	}
}

// between makes an authority that another one has signed.
func between(root Pair) (Pair, error) {
	key, serial, err := fresh()
	if err != nil {
		return Pair{}, err
	}
	parent := must(Parse(root.Cert))[0]
	signer := must(tls.X509KeyPair(root.Cert, root.Key))
	t := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: must(keyID(key.Public()))}
	t.Subject.CommonName = "between"
	return sign(t, parent, key, signer.PrivateKey.(crypto.Signer))
}

// What the servers sign for clients makes nobody a server, whatever names it has.
func TestSignedForClientsIsNoServer(t *testing.T) {
	ca, mesh := authority(), authority()
	s := place(t, t.TempDir(), ca, issue(ca, "server", "dc1"))
	s.VerifyIncoming, s.VerifyOutgoing, s.VerifyName = true, true, true
	server := must(Open(conf(s)))
	server.Trust(must(Parse(mesh.Cert)))
	forged := place(t, t.TempDir(), ca, issue(mesh, "server", "dc1"))
	forged.VerifyOutgoing = true
	state, a, b := meet(server.Incoming(RPC), must(Open(conf(forged))).Outgoing(""))
	if err := errors.Join(a, b); err != nil {
		t.Fatal(err)
	}
	if err := server.VerifyServer(&state); !errors.Is(err, ErrNotServer) {
		t.Errorf("taken for a server: %v", err)
	}
}

func TestChangedFilesAreUsedAndBadOnesAreNot(t *testing.T) {
	ca, dir := authority(), t.TempDir()
	s := place(t, dir, ca, issue(ca, "server", "dc1"))
	s.VerifyOutgoing = true
	store := must(Open(conf(s)))
	in, out := store.Incoming(HTTPS), store.Incoming(RPC)
	serial := func(c *tls.Config) string {
		var seen string
		meet(c, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			seen = s.PeerCertificates[0].SerialNumber.String()
			return nil
		}})
		return seen
	}
	before := serial(in)
	if changed, err := store.Refresh(); changed || err != nil {
		t.Errorf("nothing has changed: %v, %v", changed, err)
	}
	if err := os.WriteFile(s.CertFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := store.Refresh(); !changed || err == nil || !strings.Contains(err.Error(), "tls.internal_rpc.cert_file") {
		t.Errorf("a file that is none: %v, %v", changed, err)
	}
	if serial(in) != before || serial(out) != before {
		t.Error("the certificate from before is not in use any more")
	}
	if changed, _ := store.Refresh(); changed {
		t.Error("the same fault is told twice")
	}
	place(t, dir, ca, issue(ca, "server", "dc1"))
	if changed, err := store.Refresh(); !changed || err != nil {
		t.Errorf("new files: %v, %v", changed, err)
	}
	if now := serial(in); now == before || serial(out) != now {
		t.Error("the new certificate is not in use")
	}
}

func TestUnusableSettingsNameTheirKey(t *testing.T) {
	ca := authority()
	good := place(t, t.TempDir(), ca, issue(ca, "server", "dc1"))
	for want, change := range map[string]func(*Settings){
		"tls.https.ca_file":           func(s *Settings) { s.CAFile = "/does/not/exist" },
		"tls.https.ca_path":           func(s *Settings) { s.CAFile, s.CAPath = "", t.TempDir() },
		"tls.https.cert_file":         func(s *Settings) { s.KeyFile = s.CertFile },
		"tls.https.tls_min_version":   func(s *Settings) { s.MinVersion = "TLSv1_9" },
		"tls.https.tls_cipher_suites": func(s *Settings) { s.CipherSuites = "TLS_RSA_WITH_RC4_128_SHA" },
	} {
		c := conf(good)
		change(&c.Protocols[HTTPS])
		if _, err := Open(c); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestVersionsAndSuites(t *testing.T) {
	ca := authority()
	s := place(t, t.TempDir(), ca, issue(ca, "server", "dc1"))
	s.MinVersion, s.CipherSuites = "TLSv1_2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	store := must(Open(conf(s)))
	state, a, b := meet(store.Incoming(HTTPS), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if a != nil || b != nil || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		t.Errorf("suite %x, %v, %v", state.CipherSuite, a, b)
	}
	s.MinVersion = "TLSv1_3"
	if _, err, _ := meet(must(Open(conf(s))).Incoming(HTTPS), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("an older version was accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(authority().Cert)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if all, err := Parse(text); err == nil && len(all) == 0 {
			t.Error("nothing was read, and no error")
		}
	})
}
