package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func (s *subject) opened() []string {
	s.t.Helper()
	var all []opening
	if err := json.Unmarshal([]byte(s.get("/v1/agent/security")), &all); err != nil {
		s.t.Fatal(err)
	}
	var keys []string
	for _, o := range all {
		if o.Text == "" || o.Close == "" {
			s.t.Errorf("%+v", o)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// What is open is told with its key, and nothing is told where all is closed.
func TestSecurityOfAnOpenAgent(t *testing.T) {
	s := start(t, t.TempDir(), `client_addr = "0.0.0.0" enable_debug = true enable_script_checks = true limits { http_max_conns_per_client = 0 rpc_max_conns_per_client = 0 }
		tls { https { tls_min_version = "TLSv1_0" } }`)
	want := []string{"addresses.http", "acl.enabled", "encrypt", "tls.internal_rpc.verify_incoming", "tls.internal_rpc.verify_outgoing", "tls.internal_rpc.verify_server_hostname",
		"tls.https.tls_min_version", "enable_script_checks", "enable_debug", "limits.http_max_conns_per_client", "limits.rpc_max_conns_per_client"}
	if got := s.opened(); !slices.Equal(got, want) {
		t.Errorf("open are %q, and should be %q", got, want)
	}
}

func TestSecurityOfAClosedAgent(t *testing.T) {
	v := newVault(t)
	s, _ := startSecure(t, v, `encrypt = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=" acl { enabled = true default_policy = "deny" tokens { initial_management = "`+management+`" default = "`+management+`" } }`)
	if open := s.opened(); len(open) != 0 {
		t.Errorf("open are %q", open)
	}
	if err := os.Chmod(filepath.Join(v.dir, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if open := s.opened(); !slices.Contains(open, "tls.internal_rpc.key_file") {
		t.Errorf("a key that everybody can read: open are %q", open)
	}
}
