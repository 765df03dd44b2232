package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// rootTTL is how long a root is valid: Consul's default, ten years.
const rootTTL = 87600 * time.Hour

// firstSerial numbers the certificates of an authority; the root is the first.
const firstSerial = 7

// Generate makes a root of its own key for the cluster with this id.
func Generate(clusterID string, now time.Time) (*Initialize, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key of the root: %w", err)
	}
	template, keyID, err := rootTemplate(clusterID, &key.PublicKey, now)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the root: %w", err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the root: %w", err)
	}
	fingerprint := sha1.Sum(der)
	return &Initialize{
		Root: Root{
			ID: colons(fingerprint[:]), Name: "Consul CA Primary Cert", SerialNumber: firstSerial, SigningKeyID: colons(keyID),
			ExternalTrustDomain: clusterID, NotBefore: template.NotBefore, NotAfter: template.NotAfter,
			RootCert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
			Active:   true, PrivateKeyType: "ec", PrivateKeyBits: 256,
		},
		Authority: Authority{ClusterID: clusterID, Provider: "consul",
			PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))},
	}, nil
}

func rootTemplate(clusterID string, key *ecdsa.PublicKey, now time.Time) (*x509.Certificate, []byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the public key of the root: %w", err)
	}
	keyID := sha256.Sum256(der)
	domain := TrustDomain(clusterID)
	now = now.UTC().Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber:          big.NewInt(firstSerial),
		Subject:               pkix.Name{CommonName: "pri-" + clusterID[:8] + ".consul.ca." + clusterID[:8] + ".consul"},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: domain}},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(rootTTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          keyID[:],
		AuthorityKeyId:        keyID[:],
	}, keyID[:], nil
}

// TrustDomain is the SPIFFE trust domain of the cluster with this id.
func TrustDomain(clusterID string) string { return clusterID + ".consul" }

func colons(b []byte) string {
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = hex.EncodeToString([]byte{v})
	}
	return strings.Join(parts, ":")
}
