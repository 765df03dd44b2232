package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// material is what the files of one protocol hold.
type material struct {
	Settings
	pair    *tls.Certificate    // nil is none
	roots   []*x509.Certificate // nil is none
	version uint16
	suites  []uint16 // nil is the library's
}

// read reads the files of one protocol. An error begins with the key.
func read(s *Settings) (*material, error) {
	m := &material{Settings: *s}
	var err error
	if m.roots, err = readRoots(s); err != nil {
		return nil, err
	}
	if s.CertFile != "" || s.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %s with key_file %s: %w", s.CertFile, s.KeyFile, err)
		}
		if pair.Leaf == nil {
			if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
				return nil, fmt.Errorf("cert_file: %s: %w", s.CertFile, err)
			}
		}
		m.pair = &pair
	}
	if m.version, err = version(s.MinVersion); err != nil {
		return nil, fmt.Errorf("tls_min_version: %w", err)
	}
	if m.suites, err = Suites(s.CipherSuites); err != nil {
		return nil, fmt.Errorf("tls_cipher_suites: %w", err)
	}
	return m, nil
}

// readRoots reads the authorities: those of ca_file, or else those of all files of ca_path.
func readRoots(s *Settings) ([]*x509.Certificate, error) {
	switch {
	case s.CAFile != "":
		roots, err := rootsOf(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		return roots, nil
	case s.CAPath != "":
		var all []*x509.Certificate
		err := filepath.WalkDir(s.CAPath, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			roots, err := rootsOf(path)
			all = append(all, roots...)
			return err
		})
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("%s holds no certificate", s.CAPath)
		}
		if err != nil {
			return nil, fmt.Errorf("ca_path: %w", err)
		}
		return all, nil
	}
	return nil, nil
}

func rootsOf(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return roots, nil
}

// Parse reads the certificates of a PEM text, of which there must be one at least.
func Parse(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	return all, nil
}

// pool makes a pool of authorities; nil of none, which verifies nobody.
func pool(sets ...[]*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, set := range sets {
		for _, c := range set {
			p.AddCert(c)
		}
	}
	return p
}

func version(name string) (uint16, error) {
	switch name {
	case "TLSv1_0":
		return tls.VersionTLS10, nil
	case "TLSv1_1":
		return tls.VersionTLS11, nil
	case "", "TLS_AUTO", "TLSv1_2":
		return tls.VersionTLS12, nil
	case "TLSv1_3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("is %q, but must be one of: TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3", name)
}

// Suites reads the names of cipher suites. Those of TLS 1.3 are not for choosing, and broken ones are refused.
func Suites(names string) ([]uint16, error) {
	if strings.TrimSpace(names) == "" {
		return nil, nil
	}
	var ids []uint16
	var known []string
	byName := map[string]uint16{}
	for _, c := range tls.CipherSuites() {
		if slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
			byName[c.Name] = c.ID
			known = append(known, c.Name)
		}
	}
	for _, name := range strings.Split(names, ",") {
		id, ok := byName[strings.TrimSpace(name)]
		if !ok {
			return nil, fmt.Errorf("holds %q, but allowed are: %s", strings.TrimSpace(name), strings.Join(known, ", "))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// files are all that the configuration names, directories with what they hold.
func (c *Config) files() []string {
	var all []string
	for i := range c.Protocols {
		s := &c.Protocols[i]
		all = append(all, s.CAFile, s.CertFile, s.KeyFile)
		if s.CAPath == "" {
			continue
		}
		all = append(all, s.CAPath)
		if entries, err := os.ReadDir(s.CAPath); err == nil {
			for _, e := range entries {
				all = append(all, filepath.Join(s.CAPath, e.Name()))
			}
		}
	}
	return all
}

// stamps tell files from what they were: by path, what a symbolic link leads to.
type stamps map[string]fs.FileInfo

func stamp(files []string) stamps {
	out := stamps{}
	for _, f := range files {
		if info, err := os.Stat(f); f != "" && err == nil {
			out[f] = info
		}
	}
	return out
}

func (s stamps) equal(other stamps) bool {
	if len(s) != len(other) {
		return false
	}
	for path, a := range s {
		b := other[path]
		if b == nil || !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
