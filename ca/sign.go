package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"lictor/acl"
	"lictor/rpc"
	"lictor/state"
)

//msgp:timezone utc
//msgp:ignore Signer
//go:generate go tool msgp -o sign_gen.go -tests=false -io=false

// SignMethod asks for the certificate of a client agent. Who has none yet may ask.
var SignMethod = rpc.Method[SignRequest, *Signed]{Name: "AutoEncrypt.Sign", Anywhere: true, Repeatable: true}

// A SignRequest is for a client agent's certificate.
type SignRequest struct {
	Node string
	// CSR is PEM. Its only URI is the agent's SPIFFE id, see AgentID; names and addresses are taken over.
	CSR string
}

// Signed is a certificate with what belongs to it.
type Signed struct {
	Cert        string    // PEM
	ValidBefore time.Time // when it expires
	Roots       []string  `msg:"Roots,allownil"` // PEM: of the authorities whose certificates clients have
}

const (
	leafTTL    = 72 * time.Hour // of leaves: Consul's default
	backdated  = time.Minute    // for clocks that are behind
	maxCSR     = 16 << 10
	maxNames   = 64
	minRSA     = 2048
	signRate   = 50 // signatures a second
	signBursts = 2 * signRate
)

// AgentID is the SPIFFE id of a client agent. Its domain is that of the cluster, or anything where that is not known.
func AgentID(domain, datacenter, node string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: domain, Path: "/agent/client/dc/" + datacenter + "/id/" + node}
}

// NewRequest makes a key and the request for a certificate of it, both PEM.
func NewRequest(datacenter, node string, names []string, addresses []net.IP) (csr, key []byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	t := &x509.CertificateRequest{URIs: []*url.URL{AgentID("dummy.trustdomain", datacenter, node)}, DNSNames: names, IPAddresses: addresses}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, secret)
	if err != nil {
		return nil, nil, fmt.Errorf("make a request for a certificate: %w", err)
	}
	encoded, err := x509.MarshalECPrivateKey(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	csr = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return csr, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), nil
}

// A Signer signs for client agents.
type Signer struct {
	*Service
	Datacenter string
	Allowed    bool     // as configured by auto_encrypt.allow_tls
	Domains    []string // DNS domains of the cluster, in which names of servers are nobody else's
	limit      *rate.Limiter
}

// NewSigner makes a Signer that signs only so much at a time.
func NewSigner(s *Service, allowed bool, datacenter string, domains ...string) *Signer {
	return &Signer{s, datacenter, allowed, domains, rate.NewLimiter(signRate, signBursts)}
}

// What clients are told that get no certificate.
var (
	errSignRate   = rpc.Errorf(rpc.Limited, "too many certificates are asked for: try again later")
	errNotAllowed = rpc.Errorf(rpc.NotImplemented, "this server gives no certificates to clients: auto_encrypt.allow_tls is not set")
)

// Sign answers SignMethod, to who may register the node.
func (s *Signer) Sign(_ context.Context, az acl.Authorizer, r *SignRequest) (*Signed, error) {
	if err := acl.Require(az, acl.Node, r.Node, acl.Write); err != nil {
		return nil, err
	}
	if !s.Allowed {
		return nil, errNotAllowed
	}
	if !s.limit.Allow() {
		return nil, errSignRate
	}
	return s.SignFor(r)
}

// SignFor is Sign for who has made sure in another way that the node is who it says.
func (s *Signer) SignFor(r *SignRequest) (*Signed, error) {
	if !s.Enabled {
		return nil, ErrDisabled
	}
	csr, err := s.read(r)
	if err != nil {
		return nil, err
	}
	return s.issue(csr, r.Node)
}

// read reads a request for a certificate and refuses what must not be signed.
func (s *Signer) read(r *SignRequest) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(r.CSR))
	if len(r.CSR) > maxCSR || block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, rpc.Errorf(rpc.Invalid, "CSR must be a certificate request in PEM of at most %d bytes", maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, rpc.Errorf(rpc.Invalid, "CSR: %s", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, rpc.Errorf(rpc.Invalid, "CSR: %s", err)
	}
	if len(csr.URIs) != 1 {
		return nil, rpc.Errorf(rpc.Invalid, "CSR must have exactly one URI, and has %d", len(csr.URIs))
	}
	if id, want := csr.URIs[0], AgentID("", s.Datacenter, r.Node); id.Scheme != want.Scheme || id.Path != want.Path || id.RawQuery != "" || id.Fragment != "" || id.User != nil {
		return nil, rpc.Errorf(rpc.Invalid, "CSR must be for the URI of node %q in datacenter %q, and is for %q", r.Node, s.Datacenter, id)
	}
	if len(csr.EmailAddresses) > 0 || len(csr.DNSNames)+len(csr.IPAddresses) > maxNames {
		return nil, rpc.Errorf(rpc.Invalid, "CSR may have %d names and addresses at most, and no mail addresses", maxNames)
	}
	for _, name := range csr.DNSNames {
		if !s.signs(name) {
			return nil, rpc.Errorf(rpc.Invalid, "CSR: a client's certificate cannot be for the name %q", name)
		}
	}
	return csr, strong(csr.PublicKey)
}

// signs tells whether a client may have a name: none with wildcards, and none that a server may have.
func (s *Signer) signs(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	labels := strings.Split(name, ".")
	if name == "" || strings.ContainsAny(name, "*/ \x00") || slices.Contains(labels, "") {
		return false
	}
	for _, d := range s.Domains {
		d = strings.ToLower(strings.Trim(d, "."))
		if inside, ok := strings.CutSuffix(name, "."+d); d != "" && (name == d || ok && slices.Contains(strings.Split(inside, "."), "server")) {
			return false
		}
	}
	return true
}

// strong refuses keys that are easily broken.
func strong(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P224() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSA {
			return nil
		}
	}
	return rpc.Errorf(rpc.Invalid, "CSR: the key must be ECDSA of 256 bits or more, Ed25519, or RSA of %d bits or more", minRSA)
}

// issue signs what has been read.
func (s *Signer) issue(csr *x509.CertificateRequest, node string) (*Signed, error) {
	tx := s.Log.DB().Read()
	var root *Root
	answer := &Signed{}
	for r := range RootTable.All(tx) {
		answer.Roots = append(answer.Roots, r.RootCert)
		if r.Active {
			root = r
		}
	}
	authority := AuthorityTable.Get(tx, state.Key("authority"))
	if root == nil || authority == nil {
		return nil, errNoAuthority
	}
	signer, err := tls.X509KeyPair([]byte(root.RootCert), []byte(authority.PrivateKey))
	if err != nil {
		return nil, fmt.Errorf("the authority's key: %w", err)
	}
	parent, err := x509.ParseCertificate(signer.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	t, err := template(csr, AgentID(TrustDomain(root.ExternalTrustDomain), s.Datacenter, node), parent, settings(tx).LeafTTL)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, csr.PublicKey, signer.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	answer.Cert, answer.ValidBefore = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), t.NotAfter
	answer.Cert += strings.Join(root.IntermediateCerts, "") // for who trusts only the root before
	return answer, nil
}

// template is the certificate to sign: of the request only the key, names and addresses are taken over. Serial numbers
// are random, so that servers need not agree on them.
func template(csr *x509.CertificateRequest, id *url.URL, parent *x509.Certificate, ttl time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choose a serial number: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(csr.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	keyID := sha256.Sum256(der)
	now := time.Now().UTC().Truncate(time.Second)
	end := now.Add(ttl)
	if end.After(parent.NotAfter) {
		end = parent.NotAfter
	}
	return &x509.Certificate{
		SerialNumber: serial, URIs: []*url.URL{id}, DNSNames: csr.DNSNames, IPAddresses: csr.IPAddresses,
		NotBefore: now.Add(-backdated), NotAfter: end, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageDataEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, SubjectKeyId: keyID[:], AuthorityKeyId: parent.SubjectKeyId,
	}, nil
}
