package config

import (
	"encoding/json"
	"testing"
)

func marshal(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

func FuzzHCL(f *testing.F) {
	f.Add("data_dir = \"/x\"\nservice \"a\" { port = 80 check { ttl = \"5s\" } }")
	f.Add("a = <<EOF\nx\nEOF\nports { http = -1 }\nwatches = [{ type = \"key\" }]")
	f.Add("node_meta { a = \"b\" } acl_token = \"x\" tls { defaults { ca_file = \"x\" } }")
	f.Fuzz(func(t *testing.T, text string) { try(text, "hcl") })
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"data_dir": "/x", "services": [{"name": "a", "checks": [{"args": ["x"], "interval": "1s"}]}]}`)
	f.Add(`{"ports": {"http": 1e400}, "segments": null, "connect": {"ca_config": {"a": [1, {"b": null}]}}}`)
	f.Fuzz(func(t *testing.T, text string) { try(text, "json") })
}

// try takes a text as far as it goes: nothing may panic.
func try(text, format string) {
	l, d := &Loaded{Config: Default()}, newDecoder()
	l.apply(d, []byte(text), format)
	_ = d.problems.Error()
	if len(d.problems) > 0 {
		return
	}
	r := &report{origins: d.origins}
	l.finish(r, Options{Hostname: "h", Interfaces: oneInterface})
	l.Config.noEffect(d.origins, false)
	l.Config.Sanitized()
	Diff(Default(), l.Config)
}
