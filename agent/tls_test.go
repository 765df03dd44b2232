package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lictor/certs"
	"lictor/rpc"
)

// A vault has the certificates of an agent under test.
type vault struct {
	testing.TB
	dir string
	dc  string // of the agents
	ca  certs.Pair
}

func newVault(t testing.TB) *vault {
	ca, err := certs.NewAuthority(certs.AuthorityOptions{Valid: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return newBranch(t, "dc1", ca)
}

// newBranch makes the vault of a datacenter, with the authority of all.
func newBranch(t testing.TB, dc string, ca certs.Pair) *vault {
	v := &vault{t, t.TempDir(), dc, ca}
	v.write("ca.pem", ca.Cert)
	v.place("server")
	return v
}

func (v *vault) write(name string, text []byte) {
	v.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, name), text, 0o600); err != nil {
		v.Fatal(err)
	}
}

func (v *vault) issue(kind string) certs.Pair {
	v.Helper()
	l := certs.AgentLeaf(kind, v.dc, "consul")
	l.Valid = time.Hour
	pair, err := certs.Issue(v.ca, l)
	if err != nil {
		v.Fatal(err)
	}
	return pair
}

// place gives the agent a new certificate, and returns its serial number.
func (v *vault) place(kind string) string {
	v.Helper()
	pair := v.issue(kind)
	v.write("cert.pem", pair.Cert)
	v.write("key.pem", pair.Key)
	leaf, err := certs.Parse(pair.Cert)
	if err != nil {
		v.Fatal(err)
	}
	return leaf[0].SerialNumber.String()
}

// hcl is the configuration of an agent that verifies everybody.
func (v *vault) hcl() string {
	return fmt.Sprintf(`tls { defaults { ca_file = "%[1]s/ca.pem" cert_file = "%[1]s/cert.pem" key_file = "%[1]s/key.pem"
		verify_incoming = true verify_outgoing = true } internal_rpc { verify_server_hostname = true } }`, v.dir)
}

// client is how somebody with a certificate connects, or without one if the kind is "".
func (v *vault) client(kind string) *tls.Config {
	v.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(v.ca.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "server.dc1.consul"}
	if kind != "" {
		p := v.issue(kind)
		pair, err := tls.X509KeyPair(p.Cert, p.Key)
		if err != nil {
			v.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startSecure runs an agent that verifies everybody, with HTTPS beside HTTP, and returns the address of HTTPS.
func startSecure(t *testing.T, v *vault, hcl ...string) (*subject, string) {
	t.Helper()
	s := start(t, t.TempDir(), append([]string{v.hcl(), fmt.Sprintf("ports { https = %d }", freePort(t))}, hcl...)...)
	return s, s.secure[0].Addr().String()
}

func (s *subject) rpcAddr() string { return s.cfg.Network.Endpoints.RPCBind.String() }

// speak opens a connection to port 8300 in a protocol, over TLS unless c is nil, and tells whether the other side keeps it.
func speak(t *testing.T, address string, c *tls.Config, protocol byte) bool {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c != nil {
		secure, err := rpc.Encrypt(within(t), conn, c, false)
		if err != nil {
			return false
		}
		conn = secure
	}
	if err := rpc.Greet(conn, protocol, ""); err != nil {
		return false
	}
	conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestHTTPS(t *testing.T) {
	v := newVault(t)
	s, address := startSecure(t, v, `log_level = "DEBUG"`)
	c := v.client("cli")
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: c.Clone(), ForceAttemptHTTP2: h2}
		answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + address + "/v1/status/leader")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || (answer.ProtoMajor == 2) != h2 {
			t.Errorf("%s %s", answer.Proto, answer.Status)
		}
		transport.CloseIdleConnections()
	}
	if _, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: v.client("")}}).Get("https://" + address + "/v1/status/leader"); err == nil {
		t.Error("who has no certificate was answered")
	}
	status, text := s.do(must(http.NewRequest("GET", "http://"+address+"/v1/status/leader", nil)))
	if status != http.StatusBadRequest || text != "Client sent an HTTP request to an HTTPS server.\n" {
		t.Errorf("plaintext: %d %q", status, text)
	}
	for _, why := range []string{"client didn't provide a certificate", "first record does not look like a TLS handshake"} {
		s.eventually("the log tells "+why, func() bool { return strings.Contains(s.log.String(), why) })
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Port 8300 takes Raft from servers of the datacenter, gossip from those of any, calls from whoever has a certificate, and
// nothing in plaintext.
func TestWhoMaySpeak(t *testing.T) {
	v := newVault(t)
	elsewhere := newBranch(t, "dc2", v.ca)
	s, _ := startSecure(t, v)
	for name, c := range map[string]struct {
		tls                 *tls.Config
		raft, calls, gossip bool
	}{
		"plaintext":            {nil, false, false, false},
		"without certificate":  {v.client(""), false, false, false},
		"a client":             {v.client("client"), false, true, false},
		"a client elsewhere":   {elsewhere.client("client"), false, true, false},
		"a server":             {v.client("server"), true, true, true},
		"a server elsewhere":   {elsewhere.client("server"), false, true, true},
		"of another authority": {newVault(t).client("server"), false, false, false},
	} {
		if got := speak(t, s.rpcAddr(), c.tls, rpc.ProtocolRaft); got != c.raft {
			t.Errorf("%s speaks Raft: %v", name, got)
		}
		if got := speak(t, s.rpcAddr(), c.tls, rpc.ProtocolCalls); got != c.calls {
			t.Errorf("%s makes calls: %v", name, got)
		}
		if got := speak(t, s.rpcAddr(), c.tls, rpc.ProtocolGossip); got != c.gossip {
			t.Errorf("%s gossips: %v", name, got)
		}
	}
	if !strings.Contains(s.log.String(), "refused a connection") {
		t.Error("the log does not tell of it")
	}
}

// Calls that only servers make are refused to others.
func TestCallsOfServers(t *testing.T) {
	v := newVault(t)
	s, _ := startSecure(t, v)
	for kind, allowed := range map[string]bool{"client": false, "server": true} {
		c := v.client(kind)
		pool := rpc.NewPool(rpc.PoolConfig{Dial: func(ctx context.Context, t rpc.Target) (net.Conn, error) {
			conn, err := net.Dial("tcp", t.Address)
			if err != nil {
				return nil, err
			}
			return rpc.Encrypt(ctx, conn, c, false)
		}})
		for method := range s.server.registry.Types() {
			traits, _ := s.server.registry.Traits(method)
			_, err := pool.Call(within(t), rpc.Target{Address: s.rpcAddr()}, rpc.Header{Direct: true}, method, nil)
			refused := errors.Is(err, errNotServer) || err != nil && err.Error() == errNotServer.Error()
			if want := traits.Servers && !allowed; refused != want {
				t.Errorf("a %s calls %s: %v", kind, method, err)
			}
		}
		pool.Stop()
	}
}

// What is sent to a server is never plaintext, also where only the name is to be verified.
func TestNothingLeavesInPlaintext(t *testing.T) {
	v := newVault(t)
	hcl := fmt.Sprintf(`tls { defaults { ca_file = "%s/ca.pem" } internal_rpc { verify_server_hostname = true } }`, v.dir)
	s := start(t, t.TempDir(), hcl)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	got := make(chan []byte, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		first := make([]byte, 2)
		io.ReadFull(conn, first)
		got <- first
	}()
	if _, err := s.dialRaft(within(t), "some-id", l.Addr().String()); err == nil {
		t.Error("who does not speak TLS was taken for a server")
	}
	if first := <-got; first[0] != 4 || first[1] != 22 { // a TLS handshake
		t.Errorf("the first bytes are %v", first)
	}
}

// New files are in use on all listeners and for connections that are dialled, after a reload as well as without one.
func TestCertificatesAreReplaced(t *testing.T) {
	v := newVault(t)
	s, https := startSecure(t, v)
	in := func(address string, wrap func(net.Conn) (*tls.Conn, error)) string {
		conn := must(net.Dial("tcp", address))
		defer conn.Close()
		secure, err := wrap(conn)
		if err != nil {
			t.Fatal(err)
		}
		return secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	serials := func() (all [3]string) {
		c := v.client("client")
		all[0] = in(https, func(conn net.Conn) (*tls.Conn, error) { s := tls.Client(conn, c); return s, s.Handshake() })
		all[1] = in(s.rpcAddr(), func(conn net.Conn) (*tls.Conn, error) {
			secure, err := rpc.Encrypt(within(t), conn, c, false)
			if err != nil {
				return nil, err
			}
			return secure.(*tls.Conn), nil
		})
		all[2] = v.presented(s)
		return all
	}
	expect := func(serial string) {
		t.Helper()
		if got := serials(); got != [3]string{serial, serial, serial} {
			t.Errorf("in use are %v, and %s should be", got, serial)
		}
	}
	serial := v.place("server")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	expect(serial)

	v.write("cert.pem", []byte("nothing of use"))
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "tls.internal_rpc.cert_file") {
		t.Errorf("a file that is no certificate: %v", err)
	}
	expect(serial)

	serial = v.place("server")
	s.eventually("the new certificate is in use without a reload", func() bool { return serials()[0] == serial })
	expect(serial)
}

// presented is the serial number of the certificate that an agent presents where it dials.
func (v *vault) presented(s *subject) string {
	v.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	serial := make(chan string, 1)
	c := v.client("server")
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.ReadFull(conn, make([]byte, 1))
		secure := tls.Server(conn, c)
		if secure.Handshake() == nil {
			serial <- secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
		}
		close(serial)
	}()
	conn, err := s.dialServer(within(v), "", l.Addr().String())
	if err != nil {
		v.Fatal(err)
	}
	defer conn.Close()
	return <-serial
}

func TestExpiryIsTold(t *testing.T) {
	v := newVault(t)
	l := certs.AgentLeaf("server", "dc1", "consul")
	l.Valid = 10 * time.Second // of one minute and ten seconds
	pair := must(certs.Issue(v.ca, l))
	v.write("cert.pem", pair.Cert)
	v.write("key.pem", pair.Key)
	s, _ := startSecure(t, v)
	if !strings.Contains(s.log.String(), "a certificate expires soon") {
		t.Error("nobody warns")
	}
	if got := s.get("/v1/agent/metrics"); !strings.Contains(got, "agent.tls.cert.expiry") {
		t.Errorf("no metric in %s", got)
	}
}

// HTTPS without a certificate is told of, and answers as soon as there is one.
func TestHTTPSWithoutACertificate(t *testing.T) {
	v := newVault(t)
	s := start(t, t.TempDir(), fmt.Sprintf("ports { https = %d }", freePort(t)))
	if !strings.Contains(s.log.String(), "ports.https is open, but there is no certificate") {
		t.Error("nobody is told")
	}
	address, c := s.secure[0].Addr().String(), v.client("cli")
	if conn, err := tls.Dial("tcp", address, c); err == nil {
		conn.Close()
		t.Error("there was a handshake")
	}
	s.configure(s.hcl[1], v.hcl())
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
