package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lictor/certs"
	"lictor/config"
)

// What init writes is a configuration that can be loaded, with certificates that fit, and secrets for their owner alone.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		c := &console{in: strings.NewReader(""), out: &out, err: &out, getenv: func(string) string { return "" }}
		code := run(context.Background(), c, append([]string{"init", "-dir=" + dir}, args...))
		return code, out.String()
	}
	if code, text := run("-servers=3", "-clients=1", "-address=10.0.0.1", "-address=10.0.0.2", "-address=10.0.0.3", "-config-dir="+dir+"/server-2"); code != 0 {
		t.Fatal(text)
	}
	before := snapshotOf(t, dir)
	if code, text := run(); code != 1 || !strings.Contains(text, "already exists") {
		t.Errorf("again: %d %s", code, text)
	}
	if snapshotOf(t, dir) != before {
		t.Error("files were written over")
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if secret := strings.Contains(path, "key.pem") || strings.HasSuffix(path, ".hcl") || e.IsDir(); secret && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"server-2", "client-1"} {
		loaded, err := config.Load(config.Options{Paths: []string{filepath.Join(dir, name, "lictor.hcl")}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := loaded.Config
		if c.Server.Server != (name == "server-2") || len(c.Network.Endpoints.HTTP) != 0 || len(c.Network.Endpoints.HTTPS) != 1 || !c.TLS.InternalRPC.VerifyIncoming ||
			!c.TLS.InternalRPC.VerifyOutgoing || !c.TLS.InternalRPC.VerifyName || !c.TLS.HTTPS.VerifyIncoming || c.ACL.DefaultPolicy != "deny" || !c.ACL.Enabled ||
			!c.Gossip.VerifyIncoming || !c.Gossip.VerifyOutgoing || c.Gossip.EncryptKey == "" || len(c.Join.RetryJoin) != 3 {
			t.Errorf("%s is not closed", name)
		}
		if name == "server-2" {
			s := certs.Settings{CAFile: c.TLS.HTTPS.CAFile, CertFile: c.TLS.HTTPS.CertFile, KeyFile: c.TLS.HTTPS.KeyFile}
			if _, err := certs.Open(certs.Config{Protocols: [3]certs.Settings{s, s, s}, Datacenter: "dc1", Domain: "consul"}); err != nil {
				t.Error(err)
			}
		}
	}
}

// snapshotOf is all files of a directory with what is in them.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
