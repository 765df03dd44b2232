package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// A probe of memberlist outlives the pool by its own time-out.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// A script is a file of testdata: command lines, each with what it must print and do.
//
//	# a comment
//	write NAME TEXT         a file in the working directory
//	env NAME=VALUE          an environment variable from here on
//	stdin TEXT              the input of the next command
//	> METHOD URI CODE BODY  what the agent answers from here on; BODY may be missing
//	$ lictor ...            a command line
//	=> METHOD URI BODY      each request of it that is not a GET
//	2> TEXT                 each line that it prints to standard error, a command's help in short
//	exit N                  its exit code, unless it is 0
//	all other lines         what it prints to standard output
//
// ADDR stands for the agent's address. go test -run Scripts -update writes what was seen.
func TestScripts(t *testing.T) {
	names, _ := filepath.Glob("testdata/*.txt")
	if len(names) == 0 {
		t.Fatal("no scripts")
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir())
			got := newScript(t).play(string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

type script struct {
	t     *testing.T
	agent *fakeAgent
	env   map[string]string
	stdin string
}

func newScript(t *testing.T) *script {
	agent := newFakeAgent(t)
	return &script{t: t, agent: agent, env: map[string]string{"CONSUL_HTTP_ADDR": agent.addr}}
}

// play runs a script and returns it with what was seen instead of what was expected.
func (s *script) play(text string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "$":
			fmt.Fprintf(&out, "%s\n%s", line, s.run(rest))
			continue
		case "write":
			name, content, _ := strings.Cut(rest, " ")
			if err := os.WriteFile(name, []byte(strings.ReplaceAll(content, `\n`, "\n")), 0o644); err != nil {
				s.t.Fatal(err)
			}
		case "env":
			name, value, _ := strings.Cut(rest, "=")
			s.env[name] = strings.ReplaceAll(value, "ADDR", s.agent.addr)
		case "stdin":
			s.stdin = strings.ReplaceAll(rest, `\n`, "\n")
		case ">":
			s.agent.learn(rest)
		case "#":
		default:
			if line != "" {
				continue // an expectation
			}
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// run runs one command line and returns all that it did. Blank lines are shown as a dot, as those of the script separate
// commands.
func (s *script) run(line string) string {
	args := splitLine(strings.ReplaceAll(line, "ADDR", s.agent.addr))
	var stdout, stderr bytes.Buffer
	c := &console{in: strings.NewReader(s.stdin), out: &stdout, err: &stderr, getenv: func(name string) string { return s.env[name] }}
	s.stdin = ""
	code := run(context.Background(), c, args[1:])
	var out strings.Builder
	for _, r := range s.agent.taken() {
		fmt.Fprintf(&out, "=> %s\n", r)
	}
	show := func(prefix, text string) {
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, " \n")
			if line == "" {
				line = "."
			}
			fmt.Fprintf(&out, "%s%s\n", prefix, line)
		}
	}
	show("", stdout.String())
	errors := stderr.String()
	if at := strings.Index(errors, "Usage: lictor"); at >= 0 {
		errors = errors[:at] + "(help)\n"
	}
	show("2> ", errors)
	if code != 0 {
		fmt.Fprintf(&out, "exit %d\n", code)
	}
	return strings.ReplaceAll(out.String(), s.agent.addr, "ADDR")
}

// splitLine splits a command line into words, as a shell does with quotes.
func splitLine(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	started := false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, started = r, true
		case quote == 0 && r == ' ':
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(r)
			started = true
		}
	}
	return words
}

// A fakeAgent answers what it was told to, and remembers what was asked of it.
type fakeAgent struct {
	addr string

	mu       sync.Mutex // guards what follows
	answers  map[string]fakeAnswer
	requests []string
}

type fakeAnswer struct {
	code int
	body string
}

func newFakeAgent(t *testing.T) *fakeAgent {
	a := &fakeAgent{answers: map[string]fakeAnswer{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.addr = strings.TrimPrefix(server.URL, "http://")
	return a
}

// learn takes "METHOD URI CODE BODY".
func (a *fakeAgent) learn(line string) {
	method, rest, _ := strings.Cut(line, " ")
	uri, rest, _ := strings.Cut(rest, " ")
	code, body, _ := strings.Cut(rest, " ")
	answer := fakeAnswer{body: body}
	fmt.Sscan(code, &answer.code)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[method+" "+uri] = answer
}

// taken are the requests that were not GET since the last call.
func (a *fakeAgent) taken() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.requests
	a.requests = nil
	return r
}

func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	subject := r.Method + " " + r.RequestURI
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodGet {
		line := subject
		if len(body) > 0 {
			line += " " + strings.ReplaceAll(string(body), "\n", `\n`)
		}
		for _, header := range []string{"X-Consul-Token", "Authorization"} {
			if v := r.Header.Get(header); v != "" {
				line += " [" + header + " " + v + "]"
			}
		}
		a.requests = append(a.requests, line)
	}
	answer, ok := a.answers[subject]
	if !ok {
		http.Error(w, "the script has no answer to "+subject, http.StatusNotImplemented)
		return
	}
	w.WriteHeader(answer.code)
	io.WriteString(w, answer.body)
}
