package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/ca"
	"lictor/rpc"
	"lictor/state"
)

func newSigner(t testing.TB) *ca.Signer {
	log, err := state.NewLocal(1, ca.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Ensure(context.Background(), log, cluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	return ca.NewSigner(&ca.Service{Log: log, Enabled: true}, true, "dc1", "consul.", "alt.example.")
}

func leafOf(t *testing.T, s *ca.Signed) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(s.Cert))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSign(t *testing.T) {
	s := newSigner(t)
	csr, _, err := ca.NewRequest("dc1", "n1", []string{"localhost", "client.dc1.consul", "web.example.com"}, []net.IP{net.IPv4(10, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(t.Context(), acl.AllowAll(), &ca.SignRequest{Node: "n1", CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	leaf, roots := leafOf(t, signed), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(strings.Join(signed.Roots, "")))
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "web.example.com", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if got := leaf.URIs; len(got) != 1 || got[0].String() != "spiffe://"+cluster+".consul/agent/client/dc/dc1/id/n1" {
		t.Errorf("URIs %v", got)
	}
	if leaf.IsCA || time.Until(leaf.NotAfter) > 73*time.Hour || !leaf.NotAfter.Equal(signed.ValidBefore) {
		t.Errorf("CA %v, until %s, told %s", leaf.IsCA, leaf.NotAfter, signed.ValidBefore)
	}
	if _, err := s.Sign(t.Context(), acl.DenyAll(), &ca.SignRequest{Node: "n1", CSR: string(csr)}); rpc.CodeOf(err) != rpc.PermissionDenied {
		t.Errorf("who may not write the node gets %v", err)
	}
	s.Allowed = false
	if _, err := s.Sign(t.Context(), acl.AllowAll(), &ca.SignRequest{Node: "n1", CSR: string(csr)}); rpc.CodeOf(err) != rpc.NotImplemented {
		t.Errorf("not allowed: %v", err)
	}
}

// What is not for the node alone, or could be taken for a server, is not signed.
func TestWhatIsNotSigned(t *testing.T) {
	s := newSigner(t)
	own, other := ca.AgentID("x", "dc1", "n1"), ca.AgentID("x", "dc1", "n2")
	service := &url.URL{Scheme: "spiffe", Host: cluster + ".consul", Path: "/ns/default/dc/dc1/svc/web"}
	encode := func(c *x509.CertificateRequest, key any) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, c, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*x509.CertificateRequest)) string {
		c := &x509.CertificateRequest{URIs: []*url.URL{own}}
		change(c)
		return encode(c, key)
	}
	names := func(names ...string) string { return with(func(c *x509.CertificateRequest) { c.DNSNames = names }) }
	if _, err := s.SignFor(&ca.SignRequest{Node: "n1", CSR: names("a.consul")}); err != nil {
		t.Fatal(err)
	}
	forged := []byte(names("a"))
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, csr := range map[string]string{
		"no URI":                 with(func(c *x509.CertificateRequest) { c.URIs = nil }),
		"two URIs":               with(func(c *x509.CertificateRequest) { c.URIs = append(c.URIs, service) }),
		"twice the same URI":     with(func(c *x509.CertificateRequest) { c.URIs = append(c.URIs, own) }),
		"a service":              with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{service} }),
		"another node":           with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{other} }),
		"another datacenter":     with(func(c *x509.CertificateRequest) { c.URIs = []*url.URL{ca.AgentID("x", "dc2", "n1")} }),
		"a query in the URI":     with(func(c *x509.CertificateRequest) { u := *own; u.RawQuery = "a=b"; c.URIs = []*url.URL{&u} }),
		"a mail address":         with(func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@b"} }),
		"many names":             with(func(c *x509.CertificateRequest) { c.DNSNames = make([]string, 65) }),
		"a server's name":        names("server.dc1.consul"),
		"in capitals":            names("SERVER.dc1.Consul"),
		"in the other domain":    names("server.dc1.alt.example"),
		"with a dot at its end":  names("server.dc1.consul."),
		"the name of one server": names("n1.server.dc1.consul"),
		"a wildcard":             names("*.dc1.consul"),
		"the domain":             names("consul"),
		"a weak key":             encode(&x509.CertificateRequest{URIs: []*url.URL{own}}, weak),
		"a short key":            encode(&x509.CertificateRequest{URIs: []*url.URL{own}}, short),
		"a forged signature":     string(pem.EncodeToMemory(block)),
		"nothing":                "",
		"too much":               strings.Repeat("x", 20<<10),
	} {
		if _, err := s.SignFor(&ca.SignRequest{Node: "n1", CSR: csr}); rpc.CodeOf(err) != rpc.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzSign(f *testing.F) {
	s := newSigner(f)
	csr, _, err := ca.NewRequest("dc1", "n1", nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(csr)
	f.Add(block.Bytes)
	f.Fuzz(func(t *testing.T, der []byte) {
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		if signed, err := s.SignFor(&ca.SignRequest{Node: "n1", CSR: text}); err == nil {
			if leaf := leafOf(t, signed); len(leaf.URIs) != 1 || leaf.IsCA {
				t.Errorf("signed %v", leaf.URIs)
			}
		}
	})
}

// Whatever names a request asks for: what is signed is for the node alone, and for no name that a server may have.
func FuzzNames(f *testing.F) {
	s := newSigner(f)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	alternatives := asn1.ObjectIdentifier{2, 5, 29, 17}
	request := func(c *x509.CertificateRequest) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, c, key)
		if err != nil {
			f.Fatal(err)
		}
		return der
	}
	own, other := ca.AgentID("x", "dc1", "n1"), ca.AgentID("x", "dc1", "n2")
	for _, c := range []*x509.CertificateRequest{
		{URIs: []*url.URL{own}},
		{URIs: []*url.URL{own}, DNSNames: []string{"localhost", "client.dc1.consul", "web.example.com."}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1), net.IPv6loopback}},
		{URIs: []*url.URL{own}, DNSNames: []string{"server.dc1.consul"}}, {URIs: []*url.URL{own}, DNSNames: []string{"n1.server.dc1.alt.example."}},
		{URIs: []*url.URL{own}, DNSNames: []string{"*.dc1.consul", "consul"}}, {URIs: []*url.URL{own, other}}, {URIs: []*url.URL{other}}, {DNSNames: []string{"a"}},
		{URIs: []*url.URL{own}, EmailAddresses: []string{"a@b"}},
	} {
		csr, err := x509.ParseCertificateRequest(request(c))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(csr.Extensions[0].Value)
	}
	f.Fuzz(func(t *testing.T, names []byte) {
		der := request(&x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: alternatives, Value: names}}})
		signed, err := s.SignFor(&ca.SignRequest{Node: "n1", CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))})
		if err != nil {
			return
		}
		leaf := leafOf(t, signed)
		if len(leaf.URIs) != 1 || leaf.URIs[0].Path != own.Path || len(leaf.EmailAddresses) > 0 || leaf.IsCA {
			t.Errorf("signed for %v %v", leaf.URIs, leaf.EmailAddresses)
		}
		for _, name := range []string{"server.dc1.consul", "server.dc2.consul", "n1.server.dc1.consul", "server.dc1.alt.example"} {
			if leaf.VerifyHostname(name) == nil {
				t.Errorf("signed for %s: %q", name, leaf.DNSNames)
			}
		}
	})
}
