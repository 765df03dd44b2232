package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"lictor/config"
)

// patience bounds all waits of the tests: it is reached only by what never comes.
const patience = 20 * time.Second

// A subject is an agent under test, on loopback, with a configuration that can be changed between loads.
type subject struct {
	*Agent
	t    testing.TB
	dir  string
	log  *record
	mu   sync.Mutex
	hcl  []string // guarded by mu
	http *http.Client
}

// record keeps a log.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// ports are HCL for free ports of loopback.
func ports(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, name := range []string{"http", "dns", "serf_lan", "serf_wan", "server"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		fmt.Fprintf(&text, "%s = %d ", name, l.Addr().(*net.TCPAddr).Port)
	}
	return "ports { " + text.String() + "grpc_tls = -1 }"
}

// basis is the configuration of a server of its own in a directory.
func basis(t testing.TB, dir string) string {
	return ports(t) + fmt.Sprintf(`
		node_name = "n1" server = true bootstrap = true bind_addr = "127.0.0.1" data_dir = %q
		performance { raft_multiplier = 1 }`, dir)
}

// newSubject makes an agent of pieces of HCL, without starting it.
func newSubject(t testing.TB, hcl ...string) (*subject, error) {
	s := &subject{t: t, log: &record{}, hcl: hcl, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
	var err error
	s.Agent, err = New(Config{Output: s.log, Build: Build{Version: "1.21.4", Own: "0"}, Load: func() (*config.Loaded, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return config.Load(config.Options{Fragments: s.hcl})
	}})
	return s, err
}

// start runs a server of its own, with further HCL, until the test ends, and waits until it leads.
func start(t testing.TB, dir string, hcl ...string) *subject {
	t.Helper()
	s, err := newSubject(t, append([]string{basis(t, dir)}, hcl...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the agent:\n%s", s.log)
		}
	})
	s.eventually("the node is in the catalog", func() bool {
		return strings.Contains(s.get("/v1/catalog/nodes"), `"Node":"n1"`) && s.get("/v1/status/leader") != `""`
	})
	return s
}

// configure replaces what was given besides the basis.
func (s *subject) configure(hcl ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hcl = append(s.hcl[:1:1], hcl...)
}

// eventually waits for a condition.
func (s *subject) eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s\n%s", what, s.log)
		}
	}
}

func (s *subject) url(path string) string { return "http://" + s.HTTPAddrs()[0].String() + path }

// ask makes a request and gives status and body.
func (s *subject) ask(method, path, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(request)
}

func (s *subject) do(request *http.Request) (int, string) {
	s.t.Helper()
	answer, err := s.http.Do(request)
	if err != nil {
		s.t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	return answer.StatusCode, string(text)
}

func (s *subject) get(path string) string {
	s.t.Helper()
	_, body := s.ask("GET", path, "")
	return body
}

func (s *subject) put(path, body string) {
	s.t.Helper()
	if status, text := s.ask("PUT", path, body); status != http.StatusOK {
		s.t.Fatalf("PUT %s: %d %s", path, status, text)
	}
}

// dig asks over UDP.
func (s *subject) dig(name string, kind uint16) *dns.Msg {
	s.t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	answer, _, err := (&dns.Client{Timeout: patience}).Exchange(m, s.DNSAddrs()[0].String())
	if err != nil {
		s.t.Fatalf("dig %s: %v", name, err)
	}
	return answer
}

// fields decodes a JSON object.
func (s *subject) fields(body string) map[string]any {
	s.t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		s.t.Fatalf("%v in %s", err, body)
	}
	return out
}

// noLeaks fails the test if goroutines are left at its end that were not there when it began.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func read(t testing.TB, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
