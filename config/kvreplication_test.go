package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func replicating(t *testing.T, hcl string) (*Config, error) {
	t.Helper()
	loaded, err := Load(Options{Fragments: []string{`server = true data_dir = "/tmp/none" bind_addr = "127.0.0.1" datacenter = "dc2"`, hcl}})
	if err != nil {
		return nil, err
	}
	return loaded.Config, nil
}

func TestReplicationOfKeys(t *testing.T) {
	_, err := replicating(t, `
		kv_replication { datacenter = "DC1" token = "s3cr3t-read" write_token = "s3cr3t-write"
			prefix { source = "global/" exclude = ["global/tmp/"] }
			prefix { source = "a/" destination = "" exclude = [] }
		}
		kv_replication { datacenter = "dc3" prefix { source = "global/tmp/" } max_keys_per_second = 0 max_bytes_per_second = 7 full_comparison_interval = "0s" }`)
	if err == nil {
		t.Fatal("a destination that is all keys was taken beside others")
	}
	c, err := replicating(t, `
		kv_replication { datacenter = "DC1" token = "s3cr3t-read" write_token = "s3cr3t-write"
			prefix { source = "global/" exclude = ["global/tmp/"] }
			prefix { source = "a/" destination = "b/" }
		}
		kv_replication { datacenter = "dc3" prefix { source = "global/tmp/" } max_keys_per_second = 0 max_bytes_per_second = 7 full_comparison_interval = "0s" }`)
	if err != nil {
		t.Fatal(err)
	}
	feeds := c.Replicate.Feeds()
	if len(feeds) != 2 || feeds[0].Token != "s3cr3t-read" || feeds[0].MaxKeys != 10000 || feeds[0].MaxBytes != 16<<20 || feeds[0].Compare != 24*time.Hour ||
		feeds[1].MaxKeys != 0 || feeds[1].MaxBytes != 7 || feeds[1].Compare != 0 {
		t.Fatalf("%+v", feeds)
	}
	if r := feeds[0].Rules; len(r) != 2 || r[0].Datacenter != "dc1" || r[0].Destination != "global/" || r[0].Exclude[0] != "global/tmp/" || r[1].Destination != "b/" {
		t.Errorf("%+v", r)
	}
	shown, err := json.Marshal(c.Sanitized()["KVReplication"])
	if err != nil || strings.Contains(string(shown), "s3cr3t") || strings.Count(string(shown), `"hidden"`) != 2 || !strings.Contains(string(shown), `"global/tmp/"`) {
		t.Errorf("%s, %v", shown, err)
	}
}

func TestReplicationThatCannotWork(t *testing.T) {
	for _, c := range []struct{ hcl, want string }{
		{`kv_replication { prefix { source = "a/" } }`, "kv_replication[0].datacenter: is \"\", but must be 1 to 64 letters"},
		{`kv_replication { datacenter = "dc2" prefix { source = "a/" } }`, "but must be another datacenter than this agent's own"},
		{`kv_replication { datacenter = "dc1" }`, "kv_replication[0].prefix: is missing"},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" exclude = ["b/"] } }`, `kv_replication[0].prefix[0].exclude[0]: is "b/", but must begin with source, "a/"`},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" exclude = ["a/"] } }`, "nothing would be copied"},
		{`kv_replication { datacenter = "dc1" prefix { source = "/a" } }`, "must not begin with a slash"},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" } max_keys_per_second = -1 }`, "max_keys_per_second: is -1, but must be 0 or more"},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" } full_comparison_interval = "1s" }`, "must be 0s, or 1m or more"},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" destination = "x/" } prefix { source = "b/" destination = "x/y" } }`,
			`kv_replication[0].prefix[1].destination: is "x/y", but must not overlap with that of kv_replication[0].prefix[0], "x/"`},
		{`kv_replication { datacenter = "dc1" prefix { source = "a/" } } kv_replication { datacenter = "dc3" prefix { source = "a/" } }`, "must not overlap with that of kv_replication[0].prefix[0]"},
		{`server = false kv_replication { datacenter = "dc1" prefix { source = "a/" } }`, "kv_replication: is for servers only"},
		{`kv_replication { datacenter = "dc1" prefix { sauce = "a/" } }`, "invalid config key kv_replication[0].prefix[0].sauce"},
	} {
		if _, err := replicating(t, c.hcl); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v", c.hcl, err)
		}
	}
}
