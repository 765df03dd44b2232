package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// A Pair is a certificate and its key, both PEM.
type Pair struct{ Cert, Key []byte }

// AuthorityOptions say what authority to make.
type AuthorityOptions struct {
	CommonName string        // "" means "Consul Agent CA" and the serial number
	Valid      time.Duration // from now
	URI        *url.URL      // nil is none
	// Names are the only domains that certificates of the authority may be for; none means all.
	Names []string
}

// NewAuthority makes an authority that signs itself.
func NewAuthority(o AuthorityOptions) (Pair, error) {
	key, serial, err := fresh()
	if err != nil {
		return Pair{}, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return Pair{}, err
	}
	if o.CommonName == "" {
		o.CommonName = fmt.Sprintf("Consul Agent CA %d", serial)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.CommonName}, NotBefore: time.Now().Add(-backdated), NotAfter: time.Now().Add(o.Valid),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
		SubjectKeyId: id, AuthorityKeyId: id,
	}
	if o.URI != nil {
		t.URIs = []*url.URL{o.URI}
	}
	if len(o.Names) > 0 {
		t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, o.Names
	}
	return sign(t, t, key, key)
}

// backdated is how long ago a certificate's time begins, for clocks that are behind.
const backdated = time.Minute

// LeafOptions say what certificate to make.
type LeafOptions struct {
	CommonName string
	Names      []string
	Addresses  []net.IP
	Usages     []x509.ExtKeyUsage // none leaves it open
	Valid      time.Duration      // from now
}

// Issue makes a certificate, with a key of its own, that an authority signs.
func Issue(authority Pair, o LeafOptions) (Pair, error) {
	parents, err := Parse(authority.Cert)
	if err != nil {
		return Pair{}, fmt.Errorf("the authority's certificate: %w", err)
	}
	signer, err := tls.X509KeyPair(authority.Cert, authority.Key)
	if err != nil {
		return Pair{}, fmt.Errorf("the authority's key: %w", err)
	}
	parent := parents[0]
	if !parent.IsCA {
		return Pair{}, errors.New("the certificate that is to sign is not that of an authority")
	}
	with, ok := signer.PrivateKey.(crypto.Signer)
	if !ok {
		return Pair{}, errors.New("the authority's key cannot sign")
	}
	key, serial, err := fresh()
	if err != nil {
		return Pair{}, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return Pair{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.CommonName}, DNSNames: o.Names, IPAddresses: o.Addresses,
		NotBefore: time.Now().Add(-backdated), NotAfter: time.Now().Add(o.Valid), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: o.Usages,
		SubjectKeyId: id, AuthorityKeyId: parent.SubjectKeyId,
	}
	pair, err := sign(t, parent, key, with)
	if err != nil {
		return Pair{}, err
	}
	leaf, err := Parse(pair.Cert)
	if err != nil {
		return Pair{}, err
	}
	if _, err := leaf[0].Verify(x509.VerifyOptions{Roots: pool(parents[:1]), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return Pair{}, fmt.Errorf("the authority may not sign this certificate: %w", err)
	}
	return pair, nil
}

// fresh makes a key and a serial number.
func fresh() (*ecdsa.PrivateKey, *big.Int, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("choose a serial number: %w", err)
	}
	return key, serial, nil
}

// keyID names a key.
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

func sign(t, parent *x509.Certificate, key *ecdsa.PrivateKey, with crypto.Signer) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), with)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	var p Pair
	p.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.Key = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
	return p, nil
}

// AgentLeaf is the certificate of one kind of holder in a datacenter: "server", whose name makes it one, "client" or
// "cli". How long it is valid is for the caller to say.
func AgentLeaf(kind, datacenter, domain string) LeafOptions {
	name := kind + "." + datacenter + "." + domain
	l := LeafOptions{CommonName: name, Names: []string{name, "localhost"}}
	switch kind {
	case "server":
		l.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		l.Addresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	case "client":
		l.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		l.Addresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	return l
}
