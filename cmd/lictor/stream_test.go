package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/cmd/lictor/client"
)

// A cue is a writer that tells when it has been written to for the first time.
type cue struct {
	text bytes.Buffer
	seen chan struct{}
}

func (c *cue) Write(p []byte) (int, error) {
	first := c.text.Len() == 0
	n, err := c.text.Write(p)
	if first { // and it is there for who has waited
		close(c.seen)
	}
	return n, err
}

// streamingAgent serves a log that goes on until the client has gone, and all else with a short answer.
func streamingAgent(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/agent/monitor":
			if r.FormValue("loglevel") == "odd" {
				http.Error(w, "Unknown log level: odd", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, "%s %s [INFO] hello\n", r.FormValue("loglevel"), r.FormValue("logjson"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/v1/agent/self":
			io.WriteString(w, `{"Config":{"NodeName":"node1","Version":"1.21.4"},"DebugConfig":{"EnableDebug":true}}`)
		case "/debug/pprof/profile":
			if r.FormValue("seconds") == "3600" {
				<-r.Context().Done()
				return
			}
			io.WriteString(w, "profile")
		case "/debug/pprof/trace":
			http.Error(w, "tracing is in use", http.StatusInternalServerError)
		case "/v1/agent/members":
			fmt.Fprintf(w, `["wan %s"]`, r.FormValue("wan"))
		default:
			fmt.Fprintf(w, "%s\n", r.URL)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestMonitorEndsWithSignal(t *testing.T) {
	agent := streamingAgent(t)
	signals := make(chan os.Signal, 1)
	out := &cue{seen: make(chan struct{})}
	var stderr bytes.Buffer
	c := &console{out: out, err: &stderr, getenv: func(string) string { return "" }, signals: signals}
	code := make(chan int)
	go func() {
		code <- run(t.Context(), c, []string{"monitor", "-http-addr=" + agent.URL, "-log-level=warn", "-log-json"})
	}()
	<-out.seen
	signals <- os.Interrupt
	if got := <-code; got != 0 {
		t.Errorf("exit %d", got)
	}
	if got := out.text.String() + stderr.String(); got != "warn true [INFO] hello\n" {
		t.Errorf("printed %q", got)
	}
}

func TestMonitorRefused(t *testing.T) {
	code, _, stderr := invoke("monitor", "-http-addr="+streamingAgent(t).URL, "-log-level=odd")
	if code != 1 || stderr != "Error starting monitor: Unexpected response code: 400 (Unknown log level: odd)\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestDebugRefuses(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"-duration=1s -interval=1s -capture=agent", "-duration is 1s: it must be at least 10s"},
		{"-interval=1s", "-interval is 1s: it must be at least 5s"},
		{"-interval=1m -duration=30s", "must not be longer than -duration"},
		{"-capture=all", `Unknown capture target "all"`},
		{"-since=yesterday", "-since"},
	} {
		code, _, stderr := invoke(append([]string{"debug"}, strings.Fields(c.line)...)...)
		if code != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d, %s", c.line, code, stderr)
		}
	}
}

func record(ctx context.Context, t *testing.T, o debugOptions) (stdout, stderr string) {
	return recordFrom(ctx, t, streamingAgent(t).URL, o)
}

func recordFrom(ctx context.Context, t *testing.T, agent string, o debugOptions) (stdout, stderr string) {
	cl, err := client.New(client.Config{Address: agent})
	if err != nil {
		t.Fatal(err)
	}
	var out, warnings bytes.Buffer
	b := &bundle{options: o, client: cl, console: &console{out: &out, err: &warnings}}
	if err := b.record(ctx); err != nil {
		t.Fatal(err)
	}
	return out.String(), warnings.String()
}

// An agent that gives no profiles is asked for them once.
func TestDebugWithoutProfiles(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/debug/"):
			asked++
			http.Error(w, "Permission denied", http.StatusForbidden)
		case r.URL.Path == "/v1/agent/members":
			io.WriteString(w, "[]")
		default:
			io.WriteString(w, "{}")
		}
	}))
	defer server.Close()
	at := filepath.Join(t.TempDir(), "bundle")
	_, warnings := recordFrom(t.Context(), t, server.URL, debugOptions{capture: strings.Fields(debugTargets), duration: 100 * time.Millisecond, interval: 10 * time.Millisecond, output: at, archive: true})
	if asked != 1 || strings.Count(warnings, "Could not capture") != 1 || !strings.Contains(warnings, "Could not capture pprof: Unexpected response code: 403 (Permission denied)\nFor profiles set enable_debug") {
		t.Errorf("asked %d times:\n%s", asked, warnings)
	}
	if files := unpack(t, at+".tar.gz"); files["bundle/metrics.json"] == "" || !strings.Contains(files["bundle/index.json"], "pprof: Unexpected response code: 403") {
		t.Errorf("%v", files)
	}
}

func TestDebugArchive(t *testing.T) {
	at := filepath.Join(t.TempDir(), "bundle")
	o := debugOptions{capture: strings.Fields(debugTargets), duration: 300 * time.Millisecond, interval: 100 * time.Millisecond, output: at, archive: true}
	_, warnings := record(t.Context(), t, o)
	if !strings.Contains(warnings, "Could not capture trace: Unexpected response code: 500 (tracing is in use)") {
		t.Errorf("the part that failed was not named:\n%s", warnings)
	}
	files := unpack(t, at+".tar.gz")
	for _, name := range []string{"agent.json", "host.json", "members.json", "metrics.json", "consul.log", "profile.prof", "index.json", "1/heap.prof", "1/goroutine.prof", "2/heap.prof"} {
		if files["bundle/"+name] == "" {
			t.Errorf("%s is missing or empty", name)
		}
	}
	if got := files["bundle/consul.log"]; !strings.HasPrefix(got, "TRACE") {
		t.Errorf("log is %q", got)
	}
	if n := strings.Count(files["bundle/metrics.json"], "/v1/agent/metrics"); n < 2 {
		t.Errorf("metrics were read %d times", n)
	}
	if got := files["bundle/members.json"]; got != `["wan ","wan 1"]` {
		t.Errorf("members are %s", got)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(at), "*"))
	hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(at), ".*"))
	if !slices.Equal(append(left, hidden...), []string{at + ".tar.gz"}) {
		t.Errorf("left behind: %v %v", left, hidden)
	}
}

// An interrupt ends the recording at once, profiles too, and keeps what there is.
func TestDebugInterrupted(t *testing.T) {
	at := filepath.Join(t.TempDir(), "bundle")
	cl, err := client.New(client.Config{Address: streamingAgent(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	out := &cue{seen: make(chan struct{})} // the trace is refused, which is printed
	b := &bundle{options: debugOptions{capture: []string{"pprof"}, duration: time.Hour, interval: time.Hour, output: at},
		client: cl, console: &console{out: io.Discard, err: out}}
	done := make(chan error)
	go func() { done <- b.record(ctx) }()
	<-out.seen
	interrupt()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(at, "index.json")); err != nil {
		t.Error(err)
	}
}

func unpack(t *testing.T, name string) map[string]string {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Clean(h.Name)] = string(content)
	}
}
