package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// TLS says whom to trust and who to be. Names are of PEM files, CAPath of a directory with such files.
type TLS struct {
	CAFile, CAPath    string
	CertFile, KeyFile string
	ServerName        string
	SkipVerify        bool
}

func (t TLS) settings() (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
	roots, err := t.roots()
	if err != nil {
		return nil, err
	}
	settings.RootCAs = roots
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, fmt.Errorf("both a client certificate and its key are needed, or neither")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}

// roots are the authorities to trust; nil means those of the system.
func (t TLS) roots() (*x509.CertPool, error) {
	files := []string{t.CAFile}
	if t.CAFile == "" {
		if t.CAPath == "" {
			return nil, nil
		}
		var err error
		if files, err = filepath.Glob(filepath.Join(t.CAPath, "*")); err != nil {
			return nil, err
		}
	}
	pool, found := x509.NewCertPool(), false
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read authority's certificate: %w", err)
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("no certificate of an authority in %s%s", t.CAFile, t.CAPath)
	}
	return pool, nil
}
