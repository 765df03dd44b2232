package agent

import (
	"crypto/x509"
	"testing"
	"time"
)

// The next certificate is asked for long before this one expires, and at once if it has.
func TestRenewal(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(72 * time.Hour)}
	for range 100 {
		if d := renewal(leaf, begin); d < 36*time.Hour || d > 48*time.Hour {
			t.Fatalf("after %s", d)
		}
	}
	if d := renewal(leaf, begin.Add(71*time.Hour)); d != askAgainMin {
		t.Errorf("an hour before the end: %s", d)
	}
	if d := renewal(leaf, begin.Add(-time.Hour)); d != askAgainMin {
		t.Errorf("of a certificate that begins in the future: %s", d)
	}
	if d := renewal(&x509.Certificate{NotBefore: begin, NotAfter: begin}, begin); d != askAgainMin {
		t.Errorf("of a certificate without any time: %s", d)
	}
}
