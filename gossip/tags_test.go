package gossip

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func serverTags() Tags {
	return Tags{
		Server: true, Datacenter: "dc1", ID: "9a2b6e8e-3d5c-4b52-9d0b-0f7a0b7c1d2e", Build: "1.21.4:deadbeef",
		Ports:     Ports{Server: 8300, WAN: 8302, GRPC: 8502, GRPCTLS: 8503},
		Bootstrap: true, ACLs: "0", Features: []string{"fs", "si"},
	}
}

func TestTagsAreThoseOfTheApi(t *testing.T) {
	server := map[string]string{
		"acls": "0", "bootstrap": "1", "build": "1.21.4:deadbeef", "dc": "dc1", "ft_fs": "1", "ft_si": "1",
		"grpc_port": "8502", "grpc_tls_port": "8503", "id": "9a2b6e8e-3d5c-4b52-9d0b-0f7a0b7c1d2e", "port": "8300",
		"raft_vsn": "3", "role": "consul", "segment": "", "vsn": "2", "vsn_max": "3", "vsn_min": "2",
		"wan_join_port": "8302",
	}
	if diff := cmp.Diff(server, serverTags().Encode()); diff != "" {
		t.Error(diff)
	}
	client := map[string]string{
		"build": "1.21.4:x", "dc": "dc1", "id": "i", "role": "node", "segment": "", "vsn": "2", "vsn_max": "3",
		"vsn_min": "2",
	}
	if diff := cmp.Diff(client, (Tags{Datacenter: "dc1", ID: "i", Build: "1.21.4:x"}).Encode()); diff != "" {
		t.Error(diff)
	}
}

func TestTagsRoundTrip(t *testing.T) {
	want := serverTags()
	want.ClusterID, want.ReconnectTimeout = "c1", 90*time.Second
	want.Expect, want.ReadReplica, want.TLS, want.Segment = 3, true, true, "s"
	want.Versions = Versions{Current: 2, Min: 2, Max: 3, Raft: 3}
	got, ours := ParseTags(want.Encode())
	if diff := cmp.Diff(want, got); diff != "" || !ours {
		t.Error(ours, diff)
	}
	if hidden := publicTags(want.Encode()); hidden["cid"]+hidden["rto"] != "" {
		t.Errorf("API clients see %v", hidden)
	}
}

func TestParseTagsTolerates(t *testing.T) {
	for _, m := range []map[string]string{
		nil, {"role": "web"}, {"role": "consul"}, {"dc": "dc1"}, {"role": "node", "dc": ""},
	} {
		if _, ours := ParseTags(m); ours {
			t.Errorf("%v taken for ours", m)
		}
	}
	got, ours := ParseTags(map[string]string{
		"role": "consul", "dc": "d", "port": "many", "wan_join_port": "70000", "expect": "-1", "rto": "x",
	})
	if want := (Tags{Server: true, Datacenter: "d"}); !ours || !cmp.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"node name must not be empty", func(c *Config) { c.NodeName = "" }},
		{"longer than 128", func(c *Config) { c.NodeName = strings.Repeat("x", 129) }},
		{`bind address "here"`, func(c *Config) { c.BindAddr = "here" }},
		{`advertise address "x"`, func(c *Config) { c.AdvertiseAddr = "x" }},
		{"port 70000", func(c *Config) { c.BindPort = 70000 }},
		{"only servers", func(c *Config) { c.Kind = WAN }},
		{"negative", func(c *Config) { c.Tuning.ProbeInterval = -1 }},
		{"base64", func(c *Config) { c.Encryption.Key = "short" }},
		{"2 bytes", func(c *Config) { c.Encryption.Key = "YWI=" }},
	} {
		cfg := simConfig(1)
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	wan := Config{Kind: WAN, NodeName: "a", Tags: Tags{Server: true, Datacenter: "dc7"}}
	if got := wan.memberName(); got != "a.dc7" {
		t.Errorf("WAN name %q", got)
	}
}

func TestSplitHostPort(t *testing.T) {
	for _, c := range []struct{ in, host, port string }{
		{"10.0.0.1", "10.0.0.1", "8301"}, {"10.0.0.1:9", "10.0.0.1", "9"}, {"host", "host", "8301"},
		{"::1", "::1", "8301"}, {"[::1]", "::1", "8301"}, {"[::1]:9", "::1", "9"},
	} {
		if host, port, err := splitHostPort(c.in, "8301"); host != c.host || port != c.port || err != nil {
			t.Errorf("%s: %q %q %v", c.in, host, port, err)
		}
	}
	for _, bad := range []string{"", "a:b:c", "host:99999", "host:"} {
		if _, _, err := splitHostPort(bad, "1"); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
