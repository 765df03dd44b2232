package ca_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"lictor/acl"
	"lictor/ca"
	"lictor/state"
)

const cluster = "11111111-2222-4333-8444-555555555555"

func TestEnsureMakesOneValidRoot(t *testing.T) {
	log, err := state.NewLocal(1, ca.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := ca.Ensure(context.Background(), log, cluster, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s := &ca.Service{Log: log, Enabled: true}
	roots, index, err := s.Roots(log.DB().Read(), acl.DenyAll(), nil)
	if err != nil || index != 1 {
		t.Fatalf("index %d, %v", index, err)
	}
	if len(roots.Roots) != 1 || roots.ActiveRootID != roots.Roots[0].ID || roots.TrustDomain != cluster+".consul" {
		t.Fatalf("%+v", roots)
	}
	block, _ := pem.Decode([]byte(roots.Roots[0].RootCert))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		t.Error(err)
	}
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://"+cluster+".consul" {
		t.Errorf("CA %v, URIs %v", cert.IsCA, cert.URIs)
	}
}

func TestRootsAreRefusedWhereTheMeshIsOff(t *testing.T) {
	log, err := state.NewLocal(1, ca.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := (&ca.Service{Log: log}).Roots(log.DB().Read(), acl.AllowAll(), nil); !errors.Is(err, ca.ErrDisabled) {
		t.Errorf("got %v", err)
	}
}
