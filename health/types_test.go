package health

import (
	"strings"
	"testing"
	"time"

	"lictor/catalog"
)

func TestKinds(t *testing.T) {
	every := catalog.Duration(time.Second)
	tests := []struct {
		def  catalog.CheckDefinition
		want string
	}{
		{catalog.CheckDefinition{TTL: every}, "ttl"},
		{catalog.CheckDefinition{HTTP: "http://x/", Interval: every}, "http"},
		{catalog.CheckDefinition{HTTP: "http://x/", TCP: "x:1", Interval: every}, "http"},
		{catalog.CheckDefinition{TCP: "x:1", Interval: every}, "tcp"},
		{catalog.CheckDefinition{UDP: "x:1", Interval: every}, "udp"},
		{catalog.CheckDefinition{GRPC: "x:1", Interval: every}, "grpc"},
		{catalog.CheckDefinition{H2PING: "x:1", Interval: every}, "h2ping"},
		{catalog.CheckDefinition{ScriptArgs: []string{"true"}, Interval: every}, "script"},
		{catalog.CheckDefinition{ScriptArgs: []string{"true"}, DockerContainerID: "x", Interval: every}, "docker"},
		{catalog.CheckDefinition{AliasService: "x"}, "alias"},
		{catalog.CheckDefinition{AliasNode: "x"}, "alias"},
		{catalog.CheckDefinition{OSService: "x", Interval: every}, "os_service"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		k, ok := kindOf(&tt.def)
		if !ok || k.name != tt.want || tt.def.Type() != tt.want {
			t.Errorf("%+v is of type %q, want %q", tt.def, k.name, tt.want)
		}
		if err := Validate(&tt.def); err != nil {
			t.Errorf("a check of type %s is refused: %v", tt.want, err)
		}
		seen[k.name] = true
	}
	for _, k := range kinds() {
		if !seen[k.name] {
			t.Errorf("no test for type %q", k.name)
		}
	}
}

func TestValidate(t *testing.T) {
	s := catalog.Duration(time.Second)
	const interval = "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
	tests := []struct {
		name string
		def  catalog.CheckDefinition
		want string
	}{
		{"nothing", catalog.CheckDefinition{Name: "c"}, "TTL must be > 0 for TTL checks"},
		{"interval alone", catalog.CheckDefinition{Interval: s}, "TTL must be > 0 for TTL checks"},
		{"no interval", catalog.CheckDefinition{HTTP: "http://x/"}, interval},
		{"script without interval", catalog.CheckDefinition{ScriptArgs: []string{"true"}}, interval},
		{"negative interval", catalog.CheckDefinition{TCP: "x:1", Interval: -s}, interval},
		{"ttl and interval", catalog.CheckDefinition{TTL: s, Interval: s}, "Interval and TTL cannot both be specified"},
		{"output size", catalog.CheckDefinition{TTL: s, OutputMaxSize: -1}, "MaxOutputMaxSize must be positive"},
		{"thresholds", catalog.CheckDefinition{TTL: s, FailuresBeforeCritical: 1, FailuresBeforeWarning: 5},
			"FailuresBeforeWarning can't be higher than FailuresBeforeCritical"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Validate(&tt.def); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	script := catalog.CheckDefinition{ScriptArgs: []string{"true"}}
	docker := catalog.CheckDefinition{ScriptArgs: []string{"true"}, DockerContainerID: "c"}
	web := catalog.CheckDefinition{HTTP: "http://x/"}
	tests := []struct {
		name            string
		all, localOnly  bool
		def             catalog.CheckDefinition
		remote, refused bool
		want            string
	}{
		{name: "other checks", def: web, remote: true},
		{name: "off", def: script, refused: true, want: "configure 'enable_script_checks' or 'enable_local_script_checks' to true"},
		{name: "off, remote", def: script, remote: true, refused: true, want: "Scripts are disabled on this agent; "},
		{name: "off, docker", def: docker, refused: true, want: "Scripts are disabled on this agent; "},
		{name: "local", localOnly: true, def: script},
		{name: "local, remote", localOnly: true, def: script, remote: true, refused: true, want: "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"},
		{name: "on, remote", all: true, def: script, remote: true},
		{name: "both, remote", all: true, localOnly: true, def: docker, remote: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{EnableScriptChecks: tt.all, EnableLocalScriptChecks: tt.localOnly})
			defer s.Stop()
			err := s.Allowed(&tt.def, tt.remote)
			if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want refused=%v %q", err, tt.refused, tt.want)
			}
		})
	}
}
