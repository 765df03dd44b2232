package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func backups(dir string, more string) string {
	return fmt.Sprintf(`snapshot_agent { snapshot { interval = "1s" retain = 2 } local_storage { path = %q } %s }`, dir, more)
}

// Backups are made, kept and told of; a directory that is gone turns the check critical, and a reload without the section
// ends it all.
func TestAutomaticBackups(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), backups(dir, `aws_storage { }`))
	s.eventually("a backup is told of", func() bool {
		got := s.get("/v1/health/service/consul-snapshot?passing")
		return strings.Contains(got, "The last good archive is consul-")
	})
	s.eventually("metrics tell of it", func() bool {
		return strings.Contains(s.get("/v1/agent/metrics"), "consul.n1.snapshot_agent.age") || strings.Contains(s.get("/v1/agent/metrics"), "snapshot_agent.age")
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.eventually("the check is critical", func() bool {
		return strings.Contains(s.get("/v1/health/state/critical"), "service:consul-snapshot")
	})
	s.eventually("it tells first how old the last one is", func() bool {
		return strings.Contains(s.get("/v1/health/state/critical"), "That is more than 3s ago. Attempts that failed since: ")
	})
	s.configure()
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the service is gone", func() bool { return s.get("/v1/health/service/consul-snapshot") == "[]" })
}

// A server that starts again does not make a backup before its time, keeps the service, and shows no secret.
func TestBackupsKeepTheirTimeAndSecrets(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	hcl := strings.Replace(backups(dir, ""), "1s", "1h", 1)
	count := func() int {
		found, _ := filepath.Glob(filepath.Join(dir, "*.snap"))
		return len(found)
	}
	s := start(t, data, hcl)
	s.eventually("a backup is noted", func() bool { return strings.Contains(s.get("/v1/health/state/passing"), "The last good archive") })
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, data, hcl)
	s.eventually("the service is there", func() bool { return strings.Contains(s.get("/v1/health/state/passing"), "The last good archive") })
	if n := count(); n != 1 {
		t.Errorf("there are %d archives", n)
	}
	const secret = "s3cr3t-of-the-bucket"
	s.configure(fmt.Sprintf(`snapshot_agent { snapshot { interval = "1s" } aws_storage { s3_bucket = "b" s3_endpoint = "http://127.0.0.1:1" access_key_id = "id" secret_access_key = %q } }`, secret))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the bucket is out of reach", func() bool { return strings.Contains(s.get("/v1/health/state/warning"), "Attempts that failed") })
	for _, where := range []string{s.log.String(), s.get("/v1/agent/self"), s.get("/v1/health/state/any")} {
		if strings.Contains(where, secret) {
			t.Errorf("the secret is told: %s", where)
		}
	}
}
