package config

import (
	"strings"
	"testing"
)

func TestBackupsThatCannotWork(t *testing.T) {
	for _, c := range []struct{ hcl, want string }{
		{`snapshot { interval = "10ms" }`, `snapshot_agent.snapshot.interval: is 10ms, but must be 1s or more`},
		{`snapshot { retain = 0 }`, `snapshot_agent.snapshot.retain: is 0`},
		{`snapshot { max_age = "30m" }`, `snapshot_agent.snapshot.max_age: is 30m0s, but must be 0s or more than snapshot_agent.snapshot.interval`},
		{`snapshot { service = "consul" }`, `must not be the servers' own service`},
		{`local_storage { path = "/b" } aws_storage { s3_bucket = "b" }`, `cannot be used together with snapshot_agent.local_storage.path`},
		{`local_storage { path = "b" }`, `must begin with a slash`},
		{`aws_storage { s3_bucket = "b" s3_endpoint = "ftp://a" }`, `snapshot_agent.aws_storage.s3_endpoint: must begin with http:// or https://`},
		{`aws_storage { s3_bucket = "b" s3_endpoint = "http://a" s3_ca_file = "/ca.pem" }`, `snapshot_agent.aws_storage.s3_ca_file: needs an s3_endpoint that is reached with TLS`},
		{`aws_storage { s3_bucket = "b" access_key_id = "a" }`, `access_key_id: and secret_access_key need each other`},
		{`aws_storage { s3_bucket = "b" s3_static_snapshot_name = "a/b" }`, `must not have a slash`},
		{`aws_storage { s3_bucket = "b" s3_enable_kms = true }`, `needs s3_kms_key`},
		{`aws_storage { s3_ca_file = "/ca.pem" }`, `snapshot_agent.aws_storage: needs s3_bucket`},
	} {
		if _, err := replicating(t, "snapshot_agent { "+c.hcl+" }"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.hcl, err)
		}
	}
}
