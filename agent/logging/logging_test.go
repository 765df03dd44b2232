package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"lictor/agent/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, cfg logging.Config) *logging.Logger {
	t.Helper()
	l, err := logging.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// stamp matches the time in both forms.
var stamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?(Z|[+-]\d\d:?\d\d)`)

func withoutTime(t *testing.T, out string) string {
	t.Helper()
	if !stamp.MatchString(out) {
		t.Errorf("no time in %q", out)
	}
	return stamp.ReplaceAllString(out, "TIME")
}

func TestTextForm(t *testing.T) {
	var out bytes.Buffer
	log := open(t, logging.Config{Level: "trace", Output: &out}).Slog()
	http := log.With(logging.Module, "agent.http")
	for _, c := range []struct {
		say  func()
		want string
	}{
		{func() { log.Info("ready") }, "TIME [INFO]  agent: ready\n"},
		{func() { http.Warn("slow", "took", 1500*time.Millisecond) }, "TIME [WARN]  agent.http: slow: took=1.5s\n"},
		{func() { http.Error("failed", "error", errors.New("no such thing")) }, "TIME [ERROR] agent.http: failed: error=\"no such thing\"\n"},
		{func() { log.Debug("x", "n", 1, "f", 0.5, "b", true, "empty", "") }, "TIME [DEBUG] agent: x: n=1 f=0.5 b=true empty=\"\"\n"},
		{func() { log.Log(t.Context(), logging.LevelTrace, "deep") }, "TIME [TRACE] agent: deep\n"},
		{func() { http.With("a", 1).WithGroup("g").Info("x", "k", "v") }, "TIME [INFO]  agent.http: x: a=1 g.k=v\n"},
		{func() { log.Info("x", logging.Module, "agent.dns", "k", "v") }, "TIME [INFO]  agent.dns: x: k=v\n"},
		{func() { log.Info("x", slog.Group("peer", "id", "a b", "port", 1)) }, "TIME [INFO]  agent: x: peer.id=\"a b\" peer.port=1\n"},
		{func() { log.Info("x", "list", []string{"a", "b c"}) }, "TIME [INFO]  agent: x: list=[\"a\", \"b c\"]\n"},
		{func() { log.Info("x", "addr", netip.MustParseAddrPort("[::1]:8300")) }, "TIME [INFO]  agent: x: addr=[::1]:8300\n"},
		{func() { log.Info("x", "out", "one\ntwo") }, "TIME [INFO]  agent: x:\n  out=\n  | one\n  | two\n  \n"},
		{func() { log.Info("x\n") }, "TIME [INFO]  agent: x\n"},
		{func() { log.Info("a\nTIME [INFO]  agent: forged \x1b[31m") }, "TIME [INFO]  agent: a\\nTIME [INFO]  agent: forged \\x1b[31m\n"},
		{func() { log.Info("x", "k", "\x1b[31m") }, "TIME [INFO]  agent: x: k=\"\\x1b[31m\"\n"},
	} {
		out.Reset()
		c.say()
		if got := withoutTime(t, out.String()); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestJSONForm(t *testing.T) {
	var out bytes.Buffer
	log := open(t, logging.Config{JSON: true, Output: &out}).Slog()
	log.With(logging.Module, "agent.http").Warn("slow <b>", "took", 1500*time.Millisecond, "error", errors.New("bad"), "n", 3)
	want := `{"@level":"warn","@message":"slow \u003cb\u003e","@module":"agent.http","@timestamp":"TIME","error":"bad","n":3,"took":"1.5s"}` + "\n"
	if got := withoutTime(t, out.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	out.Reset()
	log.Info("x", "f", func() {})
	if !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"@message":"x"`) {
		t.Errorf("got %s", out.String())
	}
}

// TestFormsAreThoseOfHclog compares with the library that Consul logs through.
func TestFormsAreThoseOfHclog(t *testing.T) {
	list := [][]any{
		nil,
		{"key", "value", "other", "with spaces"},
		{"empty", "", "quote", `a"b`, "equals", "a=b"},
		{"n", 5, "u", uint8(7), "neg", -3, "b", true, "f", 1.5},
		{"error", errors.New("rpc error: no leader")},
		{"list", []string{"a", "b"}},
		{"addr", netip.MustParseAddr("::1"), "fmt", hclog.Fmt("%d/%d", 1, 2)},
		{"multi", "one\ntwo", "after", 1},
	}
	for _, jsonForm := range []bool{false, true} {
		for i, args := range list {
			t.Run(fmt.Sprintf("json=%v/%d", jsonForm, i), func(t *testing.T) {
				var ours, theirs bytes.Buffer
				log := logging.Hclog(open(t, logging.Config{Output: &ours, JSON: jsonForm}).Slog(), "agent.server.raft")
				reference := hclog.New(&hclog.LoggerOptions{Name: "agent.server.raft", Output: &theirs, JSONFormat: jsonForm})
				log.Info("entering follower state", args...)
				reference.Info("entering follower state", args...)
				if a, b := withoutTime(t, ours.String()), withoutTime(t, theirs.String()); a != b {
					t.Errorf("got  %q\nwant %q", a, b)
				}
			})
		}
	}
}

func TestHclogMethods(t *testing.T) {
	var out bytes.Buffer
	l := open(t, logging.Config{Output: &out})
	log := logging.Hclog(l.Slog(), "agent.server")
	raft := log.Named("raft").With("peer", "a")
	raft.Warn("lost", "n", 1, "odd")
	raft.Debug("not wanted")
	raft.Log(hclog.Off, "never")
	raft.ResetNamed("other").Error("x")
	raft.StandardLogger(nil).Print("[ERR] std: text")
	raft.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}).Print("[INFO] forced")
	want := `TIME [WARN]  agent.server.raft: lost: peer=a n=1 EXTRA_VALUE_AT_END=odd
TIME [ERROR] other: x: peer=a
TIME [ERROR] agent.server.raft: std: text: peer=a
TIME [WARN]  agent.server.raft: forced: peer=a
`
	if got := withoutTime(t, out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if raft.Name() != "agent.server.raft" || raft.GetLevel() != hclog.Info || raft.IsDebug() || !raft.IsWarn() {
		t.Errorf("name %s, level %s", raft.Name(), raft.GetLevel())
	}
	l.SetLevel(slog.LevelError)
	if raft.GetLevel() != hclog.Error {
		t.Errorf("level after a change: %s", raft.GetLevel())
	}
	if args := raft.ImpliedArgs(); fmt.Sprint(args) != "[peer a]" {
		t.Errorf("implied %v", args)
	}
}

func TestStandardLines(t *testing.T) {
	var out bytes.Buffer
	log := open(t, logging.Config{Level: "debug", Output: &out}).Slog().With(logging.Module, "agent.server.serf.lan")
	std := logging.Standard(log, slog.LevelWarn)
	for _, line := range []string{"[INFO] serf: EventMemberJoin: a 127.0.0.1", "[ERR] memberlist: x", "[DEBUG] y", "[TRACE] no", "http: TLS", "[::1] z", ""} {
		std.Print(line)
	}
	want := `TIME [INFO]  agent.server.serf.lan: serf: EventMemberJoin: a 127.0.0.1
TIME [ERROR] agent.server.serf.lan: memberlist: x
TIME [DEBUG] agent.server.serf.lan: y
TIME [WARN]  agent.server.serf.lan: http: TLS
TIME [WARN]  agent.server.serf.lan: [::1] z
TIME [WARN]  agent.server.serf.lan: ` + "\n"
	if got := withoutTime(t, out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzStandardLines(f *testing.F) {
	for _, seed := range []string{"[INFO] serf: x", "[", "[]", "[ERR]", "\x00\n[WARN] a\nb"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var out bytes.Buffer
		l, err := logging.New(logging.Config{Level: "trace", Output: &out})
		if err != nil {
			t.Fatal(err)
		}
		n, err := logging.Writer(l.Slog(), slog.LevelInfo).Write(line)
		if err != nil || n != len(line) {
			t.Errorf("wrote %d of %d: %v", n, len(line), err)
		}
		if got := out.Bytes(); bytes.Count(got, []byte("\n")) != 1 || bytes.ContainsAny(got, "\x1b\r") {
			t.Errorf("one line became %q", got)
		}
	})
}

func TestLevels(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"trace": logging.LevelTrace, "DEBUG": slog.LevelDebug, "Info": slog.LevelInfo, "warn": slog.LevelWarn,
		"err": slog.LevelError, "ERROR": slog.LevelError,
	} {
		if got, err := logging.ParseLevel(name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	const want = `unknown log level "bad": must be one of trace, debug, info, warn, err`
	if _, err := logging.New(logging.Config{Level: "bad"}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestLevelChangesWhileRunning(t *testing.T) {
	var out bytes.Buffer
	l := open(t, logging.Config{Level: "warn", Output: &out})
	log := l.Slog().With("k", "v")
	log.Info("before")
	l.SetLevel(slog.LevelInfo)
	log.Info("after")
	if got := out.String(); strings.Contains(got, "before") || !strings.Contains(got, "after") || l.Level() != slog.LevelInfo {
		t.Errorf("got %q at level %v", got, l.Level())
	}
}

// TestSlogContract runs the standard library's tests of handlers on the JSON form.
func TestSlogContract(t *testing.T) {
	var out bytes.Buffer
	log := open(t, logging.Config{JSON: true, Output: &out}).Slog()
	results := func() []map[string]any {
		var all []map[string]any
		for line := range bytes.Lines(out.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, standardKeys(m))
		}
		return all
	}
	if err := slogtest.TestHandler(log.Handler(), results); err != nil {
		t.Error(err)
	}
}

// standardKeys turns Consul's keys into slog's, and keys with dots into groups.
func standardKeys(from map[string]any) map[string]any {
	m := map[string]any{}
	for k, v := range from {
		switch k {
		case "@level":
			m[slog.LevelKey] = v
		case "@message":
			m[slog.MessageKey] = v
		case "@timestamp":
			m[slog.TimeKey] = v
		default:
			inner := m
			parts := strings.Split(k, ".")
			for _, p := range parts[:len(parts)-1] {
				if inner[p] == nil {
					inner[p] = map[string]any{}
				}
				inner = inner[p].(map[string]any)
			}
			inner[parts[len(parts)-1]] = v
		}
	}
	return m
}

func BenchmarkFiltered(b *testing.B) {
	log := open(b, logging.Config{Output: io.Discard}).Slog()
	b.ReportAllocs()
	for b.Loop() {
		log.Debug("x", "n", 1)
	}
}

func BenchmarkText(b *testing.B) {
	log := open(b, logging.Config{Output: io.Discard}).Slog().With(logging.Module, "agent.http")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("request finished", "method", "GET", "url", "/v1/kv/a", "n", 1)
	}
}
