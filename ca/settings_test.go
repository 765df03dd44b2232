package ca_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/ca"
	"lictor/state"
)

func newAuthority(t *testing.T) (*ca.Service, *state.Local) {
	t.Helper()
	log, err := state.NewLocal(1, ca.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Ensure(context.Background(), log, cluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	return &ca.Service{Log: log, Enabled: true}, log
}

func TestSettings(t *testing.T) {
	s, _ := newAuthority(t)
	for _, c := range []struct{ provider, config, want string }{
		{"consul", `{"LeafCertTTL": "80h", "root_cert_ttl": 360000000000000000}`, ""},
		{"vault", `{}`, `could not initialize provider: unknown CA provider "vault"`},
		{"consul", `{"LeafCertTTL": "1s"}`, "error configuring provider: leaf cert TTL must be greater or equal than 1h0m0s"},
		{"consul", `{"LeafCertTTL": "abc"}`, `error configuring provider: Config.LeafCertTTL: time: invalid duration "abc"`},
		{"consul", `{"LeafCertTTL": "5000h"}`, "error configuring provider: Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL (>=15000h0m0s)."},
		{"consul", `{"RootCertTTL": "8760h"}`, "error configuring provider: root cert TTL is set and is not greater than intermediate cert ttl. root cert ttl: 8760h0m0s, intermediate cert ttl: 8760h0m0s"},
		{"consul", `{"PrivateKey": "x"}`, "error configuring provider: PrivateKey and RootCert must be given together"},
	} {
		_, err := s.SetSettings(t.Context(), acl.AllowAll(), &ca.Change{Provider: c.provider, Config: c.config})
		if got := errText(err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.config, got, c.want)
		}
	}
	got, err := s.Settings(t.Context(), acl.AllowAll(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(got); !strings.Contains(string(text), `"Config":{"IntermediateCertTTL":"8760h","LeafCertTTL":"80h","RootCertTTL":"100000h"}`) {
		t.Errorf("%s", text)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Who trusts only the old root trusts what is signed under the new one, and nobody is told its key.
func TestRotation(t *testing.T) {
	s, log := newAuthority(t)
	tx := log.DB().Read()
	before, _, _ := s.Roots(tx, acl.AllowAll(), nil)
	next, err := ca.Generate(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config, _ := json.Marshal(map[string]string{"PrivateKey": next.Authority.PrivateKey, "RootCert": next.Root.RootCert})
	for range 2 { // the second time nothing changes
		if _, err := s.SetSettings(t.Context(), acl.AllowAll(), &ca.Change{Provider: "consul", Config: string(config)}); err != nil {
			t.Fatal(err)
		}
	}
	if !tx.Watch().Fired() {
		t.Error("who waits for roots sleeps on")
	}
	after, _, _ := s.Roots(log.DB().Read(), acl.AllowAll(), nil)
	if len(after.Roots) != 2 || after.ActiveRootID != next.Root.ID {
		t.Fatalf("%+v", after)
	}
	signer := ca.NewSigner(s, true, "dc1")
	csr, _, err := ca.NewRequest("dc1", "n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.SignFor(&ca.SignRequest{Node: "n", CSR: string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	chain := parseChain(t, signed.Cert)
	if len(chain) != 2 {
		t.Fatalf("%d certificates", len(chain))
	}
	for _, root := range []string{before.Roots[0].RootCert, next.Root.RootCert} {
		trusted, between := x509.NewCertPool(), x509.NewCertPool()
		trusted.AppendCertsFromPEM([]byte(root))
		between.AddCert(chain[1])
		if _, err := chain[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between}); err != nil {
			t.Error(err)
		}
	}
	shown, _ := s.Settings(t.Context(), acl.AllowAll(), nil)
	text, _ := json.Marshal(shown)
	roots, _ := json.Marshal(after)
	if strings.Contains(string(text)+string(roots), "PRIVATE") {
		t.Error("a key is shown")
	}
	other, _ := ca.Generate("22222222-2222-4333-8444-555555555555", time.Now())
	config, _ = json.Marshal(map[string]string{"PrivateKey": other.Authority.PrivateKey, "RootCert": other.Root.RootCert})
	if _, err := s.SetSettings(t.Context(), acl.AllowAll(), &ca.Change{Provider: "consul", Config: string(config)}); err == nil {
		t.Error("a root of another trust domain is taken")
	}
	if _, err := s.SetSettings(t.Context(), acl.DenyAll(), &ca.Change{Provider: "consul"}); err == nil {
		t.Error("a stranger changes settings")
	}
}

func parseChain(t *testing.T, text string) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain
}
