package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lictor/atrest"
)

// keysFile writes a file of keys of these lines.
func keysFile(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newKey() string {
	key := make([]byte, atrest.KeySize)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// lying finds the files of a directory that hold a text.
func lying(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s *subject) rotate() (r atRestReport) {
	s.t.Helper()
	status, text := s.ask("PUT", "/v1/agent/at-rest/rotate", "")
	if err := json.Unmarshal([]byte(text), &r); status != http.StatusOK || err != nil {
		s.t.Fatalf("rotate: %d %s", status, text)
	}
	return r
}

func TestEncryptionAtRest(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	const acls = `acl { enabled = true default_policy = "allow" enable_token_persistence = true }`
	section := fmt.Sprintf("encryption_at_rest { key_file = %q }", file)
	s := start(t, dir, acls)
	write := func() {
		for _, w := range []struct{ path, body string }{
			{"/v1/kv/key", "nobody is to see"},
			{"/v1/agent/service/register", `{"Name":"web","Meta":{"m":"nobody is to see"},"Check":{"CheckID":"ttl","TTL":"1h"}}`},
			{"/v1/agent/check/update/ttl", `{"Status":"passing","Output":"nobody is to see"}`},
			{"/v1/agent/token/replication", `{"Token":"nobody is to see"}`},
		} {
			if status, text := s.ask("PUT", w.path, w.body); status != http.StatusOK {
				t.Fatalf("%s: %d %s", w.path, status, text)
			}
		}
	}
	write()
	if lying(t, s.cfg.Node.DataDir, "nobody is to see") == nil {
		t.Fatal("the test finds nothing")
	}

	old, next := newKey(), newKey()
	keysFile(t, file, old)
	s.configure(acls, section)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if r := s.rotate(); !r.Done || r.Writes == "" {
		t.Errorf("%+v", r)
	}
	write()
	if found := lying(t, s.cfg.Node.DataDir, "nobody is to see"); found != nil {
		t.Errorf("it is in %v", found)
	}

	keysFile(t, file, next)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "is still in use") {
		t.Errorf("the key that is needed was taken away: %v", err)
	}
	if status, text := s.ask("PUT", "/v1/agent/at-rest/rotate", ""); status == http.StatusOK || !strings.Contains(text, "is still in use") {
		t.Errorf("the key that is needed was taken away: %d %s", status, text)
	}
	keysFile(t, file, next, old)
	if r := s.rotate(); !r.Done || len(r.Unused) != 1 {
		t.Errorf("%+v", r)
	}
	keysFile(t, file, next)
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, hcl := range []string{"", fmt.Sprintf("encryption_at_rest { key_file = %q }", file+"2")} {
		keysFile(t, file+"2", old)
		wrong, err := newSubject(t, basis(t, dir), acls, hcl)
		if err != nil {
			t.Fatal(err)
		}
		if err := wrong.Start(); err == nil || !strings.Contains(err.Error(), "it is encrypted with the key") {
			t.Errorf("it starts without the key: %v", err)
		}
	}
	s = start(t, dir, acls, section)
	if got := s.get("/v1/kv/key?raw"); got != "nobody is to see" {
		t.Errorf("%q", got)
	}
	if got := s.get("/v1/agent/services"); !strings.Contains(got, "nobody is to see") {
		t.Errorf("%q", got)
	}
	s.configure(acls, fmt.Sprintf("encryption_at_rest { key_file = %q enabled = false }", file))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if r := s.rotate(); !r.Done || r.Writes != "" {
		t.Errorf("%+v", r)
	}
	s.configure(acls)
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
}
