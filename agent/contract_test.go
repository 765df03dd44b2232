package agent

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lictor/httpapi"
)

// answer is an answer as a whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *subject) request(method, path, body string) answer {
	s.t.Helper()
	return s.requestAs("", method, path, body)
}

// requestAs is request with a token.
func (s *subject) requestAs(token, method, path, body string) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(within(s.t), method, s.url(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("X-Consul-Token", token)
	}
	got, err := s.http.Transport.RoundTrip(request) // redirects are not followed
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

// streamPaths answer until the client goes away.
var streamPaths = []string{"/v1/agent/monitor", "/v1/agent/metrics/stream"}

// ends are paths after which the agent is another, or gone.
var ends = []string{"/v1/agent/leave", "/v1/snapshot"}

// Every path of the reference is there: with its methods, or with a plain word on what a later version will have.
func TestEveryPathOfTheReference(t *testing.T) {
	s := start(t, t.TempDir())
	later := regexp.MustCompile(`^[a-z ]+: not in this version of Lictor yet$`)
	for _, line := range strings.Split(strings.TrimSpace(read(t, "testdata/endpoints.tsv")), "\n") {
		path, methods, _ := strings.Cut(line, "\t")
		if strings.HasSuffix(path, "/") {
			path += "x"
		}
		if slices.Contains(streamPaths, path) || slices.Contains(ends, path) {
			continue
		}
		for _, method := range strings.Split(methods, ",") {
			got := s.request(method, path, "")
			switch {
			case got.status == http.StatusMethodNotAllowed, strings.Contains(got.body, "not a recognized HTTP API endpoint"):
				t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
			case got.status == http.StatusNotImplemented && !later.MatchString(got.body):
				t.Errorf("%s %s does not say what is missing: %s", method, path, got.body)
			}
		}
	}
}

// What all paths have in common: methods that are not there, OPTIONS, and a Content-Type for whatever has a body, so that
// no browser guesses one.
func TestEveryPathAlike(t *testing.T) {
	s := start(t, t.TempDir())
	s.put("/v1/kv/x", "<script>alert(1)</script>")
	raw := s.request("GET", "/v1/kv/x?raw", "")
	for name, want := range map[string]string{"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"} {
		if got := raw.header.Get(name); got != want {
			t.Errorf("?raw has %s: %s", name, got)
		}
	}
	for _, e := range httpapi.Endpoints() {
		path := e.Path
		if strings.HasSuffix(path, "/") {
			path += "x"
		}
		allow := "OPTIONS," + strings.Join(e.Methods, ",")
		for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "FOO"} {
			if slices.Contains(e.Methods, method) {
				if !slices.Contains(streamPaths, path) && !slices.Contains(ends, path) {
					typed(t, method+" "+path, s.request(method, path, "{"))
					typed(t, method+" "+path, s.request(method, path+"?raw&pretty&filter=<b>&index=<b>&wait=<b>&dc=<b>", `{"<b>": 1}`))
				}
				continue
			}
			got := s.request(method, path, "")
			typed(t, method+" "+path, got)
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow: %s", method, path, got.status, got.header.Get("Allow"))
			}
		}
		got := s.request("OPTIONS", path, "")
		if got.status != http.StatusOK || got.body != "" || got.header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %d %s, Allow: %s", path, got.status, got.body, got.header.Get("Allow"))
		}
	}
	for _, path := range []string{"/", "/x", "/v1", "/v1/x", "/debug/pprof/", "/v1/kv//x", "/v1/kv/%01"} {
		typed(t, path, s.request("GET", path, ""))
	}
}

func typed(t *testing.T, what string, got answer) {
	t.Helper()
	kind := got.header.Get("Content-Type")
	if got.body != "" && kind == "" {
		t.Errorf("%s: %d %.80s without a Content-Type", what, got.status, got.body)
	}
	if strings.Contains(kind, "html") && got.status/100 != 3 && !strings.HasPrefix(what, "/") {
		t.Errorf("%s: is %s", what, kind)
	}
	if strings.HasPrefix(kind, "text/plain") && got.body != "" && got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: %d is plain text that a browser may take for something else", what, got.status)
	}
}
