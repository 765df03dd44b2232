package config

import (
	"strings"
	"testing"
	"time"
)

func TestAudit(t *testing.T) {
	l, err := Load(Options{Fragments: []string{`data_dir = "/tmp/none" bind_addr = "127.0.0.1" audit { enabled = true
		sink "My sink" { type = "file" format = "json" path = "data/audit/audit.json" delivery_guarantee = "best-effort" rotate_duration = "24h" rotate_max_files = 15 rotate_bytes = 25165824 } }`}})
	if err != nil {
		t.Fatal(err)
	}
	s := l.Config.Paid.Audit.Sink["My sink"]
	if s.Path != "data/audit/audit.json" || s.RotateDuration != 24*time.Hour || s.RotateMaxFiles != 15 || s.RotateBytes != 25165824 || s.Permissions() != 0o600 {
		t.Errorf("%+v", s)
	}
	for hcl, want := range map[string]string{
		`enabled = true`:                                                                "audit.enabled",
		`sink "a" { type = "file" }`:                                                    "audit.sink.a.path",
		`sink "a" { type = "kafka" }`:                                                   "must be file or syslog",
		`sink "a" { type = "file" path = "x" mode = "9" }`:                              "audit.sink.a.mode",
		`sink "a" { type = "file" path = "x" format = "xml" }`:                          "must be json",
		`sink "a" { type = "file" path = "x" delivery_guarantee = "enforced" }`:         "must be best-effort",
		`sink "a" { type = "file" path = "x" rotate_bytes = -1 }`:                       "audit.sink.a.rotate_bytes",
		`sink "a" { type = "file" path = "x" size = 1 }`:                                "audit.sink.a.size",
		`sink "a" { type = "file" path = "x" } sink "b" { type = "file" path = "./x" }`: "the same place",
	} {
		_, err := Load(Options{Fragments: []string{`data_dir = "/tmp/none" bind_addr = "127.0.0.1" audit { ` + hcl + ` }`}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", hcl, err)
		}
	}
}
