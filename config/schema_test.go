package config

import (
	"bufio"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryKey decodes each key of testdata/keys.txt alone, with a value of the type that is written there.
func TestEveryKey(t *testing.T) {
	file, err := os.Open("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, kind, ok := strings.Cut(lines.Text(), " ")
		if !ok || key == "#" {
			continue
		}
		n++
		for _, text := range []string{asJSON(key, kind)} {
			root, p := parseJSON([]byte(text))
			if p != nil {
				t.Fatal(text, p)
			}
			d := newDecoder()
			(&Loaded{Config: Default()}).decode(d, root)
			if len(d.problems) > 0 {
				t.Errorf("%s: %v", text, d.problems)
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d keys were tried", n)
	}
}

func asJSON(key, kind string) string {
	samples := map[string]string{
		"string": `"10s"`, "bool": "true", "int": "3", "uint": "3", "uint32": "3", "uint64": "3", "number": "1.5",
		"list of string": `["a"]`, "map": `{"a": "10s"}`, "map[string]interface{}": `{"a": [1, {"b": null}]}`,
		"map[string][]string": `{"a": ["b"]}`, "map[string]ServiceAddress": `{"a": {"address": "b", "port": 1}}`,
		"[]map[string]interface{}": `[{"a": 1}]`, "map[string]AuditSink": `{"a": {"type": "file"}}`, "time.Time": `"2025-01-02T15:04:05Z"`,
	}
	text := samples[kind]
	parts := strings.Split(key, ".")
	for _, part := range slices.Backward(parts) {
		name, list := strings.CutSuffix(part, "[]")
		if list {
			text = "[" + text + "]"
		}
		text = `{"` + name + `": ` + text + `}`
	}
	return text
}

// keys are all keys of the schema, objects among them.
func keys() map[string]bool {
	all := map[string]bool{}
	walk(reflect.ValueOf(Default()).Elem(), "", func(key string, _ reflect.StructField, _ reflect.Value) {
		for {
			all[key] = true
			i := strings.LastIndex(key, ".")
			if i < 0 {
				return
			}
			key = key[:i]
		}
	})
	return all
}

func TestListsNameKeysThatExist(t *testing.T) {
	all := keys()
	for _, name := range reloadable() {
		if !all[name] {
			t.Errorf("reloadable: there is no key %s", name)
		}
	}
	for _, row := range notYet() {
		if !all[row.Key] {
			t.Errorf("notYet: there is no key %s", row.Key)
		}
	}
	older := map[string]bool{}
	for _, row := range renames() {
		older[row.from] = true
		if !all[row.to] || all[row.from] {
			t.Errorf("renames: from %s to %s", row.from, row.to)
		}
	}
	for _, f := range AgentFlags() {
		if f.Key != "" && !all[f.Key] && !older[f.Key] || f.Help == "" {
			t.Errorf("flags: -%s sets %q", f.Name, f.Key)
		}
	}
	if !slices.IsSortedFunc(AgentFlags(), func(a, b Flag) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("flags are not in the order of their names")
	}
	if !slices.IsSorted(reloadable()) {
		t.Error("reloadable keys are not in order")
	}
}

// TestRenamesArriveAtTheirTarget sets each older key, with a value that its new one takes.
func TestRenamesArriveAtTheirTarget(t *testing.T) {
	kinds := map[string]string{}
	walk(reflect.ValueOf(Default()).Elem(), "", func(key string, f reflect.StructField, _ reflect.Value) {
		kinds[key] = f.Type.String()
	})
	samples := map[string]string{
		"string": "string", "bool": "bool", "int": "int", "time.Duration": "string", "[]string": "list of string",
		"map[string]string": "map", "[]*catalog.ServiceDefinition": "[]map[string]interface{}", "[]*catalog.CheckDefinition": "[]map[string]interface{}",
	}
	for _, row := range renames() {
		text := asJSON(row.from, samples[kinds[row.to]])
		text = strings.ReplaceAll(text, `[{"a": 1}]`, `{"name": "a"}`)
		root, p := parseJSON([]byte(text))
		if p != nil {
			t.Fatal(row.from, text, p)
		}
		l, d := &Loaded{Config: Default()}, newDecoder()
		l.decode(d, root)
		_, arrived := d.origins[row.to]
		if len(d.problems) > 0 || !arrived || row.old != (len(l.Warnings) == 1) {
			t.Errorf("%s: problems %v, warnings %v, arrived %v", text, d.problems, l.Warnings, arrived)
		}
	}
}

func TestNewSpellingWins(t *testing.T) {
	l := mustLoad(t, Options{Fragments: []string{`data_dir = "/x" acl { tokens { default = "new" } } acl_token = "old" ui_config { enabled = false } ui = true`}})
	checkEqual(t, "token", l.Config.ACL.Tokens.Default, "new")
	checkEqual(t, "ui", l.Config.UI.Enabled, false)
}

func TestFlagsOfCommandLine(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"nonsense", "", "-nonsense: unknown flag"},
		{"server", "maybe", "-server: wants true or false"},
		{"http-port", "x", "-http-port: wants a whole number"},
		{"retry-interval", "x", "-retry-interval: wants a duration"},
	} {
		_, err := FromFlags([]FlagValue{{row.name, row.text}})
		checkError(t, row.name, err, row.want)
	}
	for _, f := range AgentFlags() {
		if f.Key == "" {
			continue
		}
		text := map[string]string{BoolFlag: "true", StringFlag: "x", IntFlag: "1", DurationFlag: "1s", ListFlag: "x", MapFlag: "a:b"}[f.Kind]
		o, err := FromFlags([]FlagValue{{f.Name, text}})
		if err != nil {
			t.Fatal(err)
		}
		l, d := &Loaded{Config: Default()}, newDecoder()
		l.read(d, o)
		if len(d.problems) > 0 {
			t.Errorf("-%s: %v", f.Name, d.problems)
		}
	}
}

func TestDiff(t *testing.T) {
	load := func(text string) *Config {
		return mustLoad(t, Options{Fragments: []string{text + ` data_dir = "/x"`}}).Config
	}
	before := load(`log_level = "info" ports { http = 1 }`)
	checkEqual(t, "same", len(Diff(before, load(`log_level = "info" ports { http = 1 }`))), 0)
	after := load(`log_level = "debug" node_meta { a = "b" } service { name = "a" } dns_config { node_ttl = "1s" } limits { http_max_conns_per_client = 5 }`)
	checkEqual(t, "reloadable", Diff(before, after), []string{"ports.http"})
	checkEqual(t, "fixed", Diff(before, load(`node_name = "x" ports { http = 1 } acl { enabled = true }`)), []string{"node_name", "acl.enabled"})
}

func TestReloaded(t *testing.T) {
	load := func(text string) *Config {
		return mustLoad(t, Options{Fragments: []string{text + ` data_dir = "/x"`}}).Config
	}
	before := load(`log_level = "info" ports { http = 1 } node_name = "a"`)
	got := before.Reloaded(load(`log_level = "debug" ports { http = 2 } node_name = "b" node_meta { a = "b" } telemetry { prefix_filter = ["+x", "-y"] }`))
	checkEqual(t, "log_level", got.Log.Level, "DEBUG")
	checkEqual(t, "node_meta", got.Node.Meta, map[string]string{"a": "b"})
	checkEqual(t, "prefixes", [][]string{got.Telemetry.Allowed, got.Telemetry.Blocked}, [][]string{{"x"}, {"y"}})
	checkEqual(t, "ports.http", got.Network.Ports.HTTP, 1)
	checkEqual(t, "node_name", got.Node.Name, "a")
	checkEqual(t, "before", before.Log.Level, "INFO")
}

// TestDevGivesWayToUIDir has the page of -dev replaced by another directory.
func TestDevGivesWayToUIDir(t *testing.T) {
	mustLoad(t, Options{Dev: true, Fragments: []string{`ui_config { dir = "/x" }`}})
}

// TestNoEffectOfClosedPorts has nothing to say of listeners that are not wanted.
func TestNoEffectOfClosedPorts(t *testing.T) {
	l := mustLoad(t, Options{Dev: true, Fragments: []string{`ports { grpc = -1 grpc_tls = -1 https = -1 }`}})
	checkEqual(t, "rows", len(l.NoEffect), 0)
}

func TestNoEffect(t *testing.T) {
	l := mustLoad(t, Options{Fragments: []string{`data_dir = "/x" acl { enabled = true default_policy = "deny" } peering { enabled = true } segments = [{ name = "a" }] primary_datacenter = "dc1"`}})
	checkEqual(t, "rows", l.NoEffect, []NoEffect{{"segments", "network segments"}})
}

func TestSanitized(t *testing.T) {
	shown := mustLoad(t, Options{Dev: true, Fragments: []string{
		`encrypt = "AAAAAAAAAAAAAAAAAAAAAA==" acl { tokens { agent = "s" } } service { name = "a" token = "s" check { http = "http://u:s@h/" interval = "1s" header { Authorization = ["Bearer s"] Accept = ["s", "s"] } body = "s" token = "s" } connect { sidecar_service { token = "s" } } }`,
	}}).Config.Sanitized()
	want := map[string]any{
		"ServerMode": true, "Datacenter": "dc1", "NodeName": "host1", "LeaveOnTerm": false, "ACLsEnabled": false,
		"SerfAdvertiseAddrLAN": "tcp://127.0.0.1:8301", "EncryptKey": "hidden", "ACLAgentToken": "hidden", "ACLDefaultToken": "",
		"DNSAddrs": []string{"tcp://127.0.0.1:8600", "udp://127.0.0.1:8600"}, "AEInterval": "1m0s", "DevMode": true,
	}
	for name, value := range want {
		checkEqual(t, name, shown[name], value)
	}
	if text := regexp.MustCompile(`\bs\b`).FindString(render(shown)); text != "" {
		t.Errorf("a secret is shown: %s", render(shown["Services"]))
	}
}

func render(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(name + "=" + render(v[name]) + "\n")
		}
		return b.String()
	case string:
		return v
	}
	raw, err := marshal(v)
	if err != nil {
		return err.Error()
	}
	return raw
}
