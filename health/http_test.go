package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lictor/catalog"
)

// check makes a prober of a definition and probes once.
func check(t *testing.T, conf Config, d catalog.CheckDefinition) result {
	t.Helper()
	s := New(conf)
	defer s.Stop()
	return checkIn(t, s.environment, d)
}

func checkIn(t *testing.T, env environment, d catalog.CheckDefinition) result {
	t.Helper()
	builders := map[string]func(environment, *catalog.CheckDefinition) (prober, error){
		"http": newHTTP, "tcp": newTCP, "udp": newUDP, "grpc": newGRPC, "h2ping": newH2Ping,
		"script": newScript, "docker": newDocker, "os_service": newOSService,
	}
	p, err := builders[d.Type()](env, &d)
	if err != nil {
		t.Fatal(err)
	}
	return p.probe(t.Context())
}

func expect(t *testing.T, got result, status, output string) {
	t.Helper()
	if got.status != status || got.output != output {
		t.Errorf("got %s %q, want %s %q", got.status, got.output, status, output)
	}
}

// contains is expect for an output that is not known to the letter.
func contains(t *testing.T, got result, status, output string) {
	t.Helper()
	if got.status != status || !strings.Contains(got.output, output) {
		t.Errorf("got %s %q, want %s and %q in it", got.status, got.output, status, output)
	}
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func website(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, q *http.Request) {
		var code int
		fmt.Sscan(q.PathValue("code"), &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, "status %d", code)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "/status/200", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/loop", http.StatusFound) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, "%s %s host=%s x=%s agent=%s accept=%s body=%s",
			q.Method, q.URL, q.Host, q.Header.Values("X-Probe"), q.UserAgent(), q.Header.Get("Accept"), b)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, q *http.Request) {
		for {
			if _, err := io.WriteString(w, "endless"); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/silent", func(w http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	base := website(t).URL
	tests := []struct {
		name           string
		def            catalog.CheckDefinition
		status, output string
	}{
		{"ok", catalog.CheckDefinition{HTTP: base + "/status/200"}, "passing", "HTTP GET " + base + "/status/200: 200 OK Output: status 200"},
		{"other 2xx", catalog.CheckDefinition{HTTP: base + "/status/299"}, "passing", "HTTP GET " + base + "/status/299: 299 status code 299 Output: status 299"},
		{"429", catalog.CheckDefinition{HTTP: base + "/status/429"}, "warning", "HTTP GET " + base + "/status/429: 429 Too Many Requests Output: status 429"},
		{"500", catalog.CheckDefinition{HTTP: base + "/status/500"}, "critical", "HTTP GET " + base + "/status/500: 500 Internal Server Error Output: status 500"},
		{"404", catalog.CheckDefinition{HTTP: base + "/status/404"}, "critical", "HTTP GET " + base + "/status/404: 404 Not Found Output: status 404"},
		{"request", catalog.CheckDefinition{HTTP: base + "/echo?x=1", Method: "POST", Body: "hello", Header: map[string][]string{"X-Probe": {"a", "b"}, "host": {"example.org"}}},
			"passing", "HTTP POST " + base + "/echo?x=1: 200 OK Output: POST /echo?x=1 host=example.org x=[a b] agent=Consul Health Check accept=text/plain, text/*, */* body=hello"},
		{"own headers", catalog.CheckDefinition{HTTP: base + "/echo", Header: map[string][]string{"accept": {"image/png"}, "User-Agent": {"me"}}},
			"passing", "HTTP GET " + base + "/echo: 200 OK Output: GET /echo host=" + strings.TrimPrefix(base, "http://") + " x=[] agent=me accept=image/png body="},
		{"redirect", catalog.CheckDefinition{HTTP: base + "/redirect"}, "passing", "HTTP GET " + base + "/redirect: 200 OK Output: status 200"},
		{"no redirect", catalog.CheckDefinition{HTTP: base + "/redirect", DisableRedirects: true}, "critical",
			"HTTP GET " + base + "/redirect: 302 Found Output: <a href=\"/status/200\">Found</a>.\n\n"},
		{"output size", catalog.CheckDefinition{HTTP: base + "/endless", OutputMaxSize: 10}, "passing", "HTTP GET " + base + "/endless: 200 OK Output: endlessend"},
		{"loop", catalog.CheckDefinition{HTTP: base + "/loop"}, "critical", `Get "/loop": stopped after 10 redirects`},
		{"bad method", catalog.CheckDefinition{HTTP: base, Method: "BAD METHOD"}, "critical", `net/http: invalid method "BAD METHOD"`},
		{"bad URL", catalog.CheckDefinition{HTTP: "no-url"}, "critical", `Get "no-url": unsupported protocol scheme ""`},
		{"file", catalog.CheckDefinition{HTTP: "file:///etc/passwd"}, "critical", `Get "file:///etc/passwd": unsupported protocol scheme "file"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, check(t, Config{}, tt.def), tt.status, tt.output)
		})
	}
}

func TestOutputSize(t *testing.T) {
	endless := website(t).URL + "/endless"
	for _, tt := range []struct{ agent, check, want int }{{0, 0, 4096}, {10, 0, 10}, {10, 5, 5}, {10, 100, 10}, {8192, 0, 8192}} {
		d := catalog.CheckDefinition{HTTP: endless, OutputMaxSize: tt.check}
		_, output, _ := strings.Cut(check(t, Config{OutputMaxSize: tt.agent}, d).output, " Output: ")
		if len(output) != tt.want {
			t.Errorf("agent's limit %d, check's limit %d: %d bytes of output, want %d", tt.agent, tt.check, len(output), tt.want)
		}
	}
}

func TestHTTPRedirectToAnotherHost(t *testing.T) {
	var asked []string
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked = append(asked, "authorization="+q.Header.Get("Authorization"))
	}))
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(strings.Replace(inner.URL, "127.0.0.1", "localhost", 1), http.StatusFound))
	defer outer.Close()
	d := catalog.CheckDefinition{HTTP: outer.URL, DisableRedirects: true, Header: map[string][]string{"Authorization": {"secret"}}}
	contains(t, check(t, Config{}, d), "critical", ": 302 Found Output: ")
	if len(asked) != 0 {
		t.Error("the other host was asked")
	}
	d.DisableRedirects = false
	contains(t, check(t, Config{}, d), "passing", ": 200 OK Output: ")
	if len(asked) != 1 || asked[0] != "authorization=" {
		t.Errorf("the other host was asked %q", asked)
	}
}

func TestHTTPRefused(t *testing.T) {
	addr := closed(t)
	expect(t, check(t, Config{}, catalog.CheckDefinition{HTTP: "http://" + addr + "/"}), "critical",
		`Get "http://`+addr+`/": dial tcp `+addr+`: connect: connection refused`)
}

func TestHTTPTimeout(t *testing.T) {
	base := website(t).URL
	d := catalog.CheckDefinition{HTTP: base + "/silent", Timeout: catalog.Duration(20 * time.Millisecond)}
	contains(t, check(t, Config{}, d), "critical", "Client.Timeout exceeded while awaiting headers")
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	p, _ := newHTTP(newEnvironment(Config{}), &catalog.CheckDefinition{HTTP: website(t).URL + "/silent"})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	contains(t, p.probe(ctx), "critical", "context canceled")
}

// secure serves TLS for the name example.com, and gives the authority that vouches for it.
func secure(t *testing.T, h http.Handler) (s *httptest.Server, agent *tls.Config) {
	s = httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, &tls.Config{RootCAs: roots}
}

func TestHTTPOverTLS(t *testing.T) {
	s, agent := secure(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, q.TLS.ServerName) }))
	ok := "HTTP GET " + s.URL + ": 200 OK Output: "
	contains(t, check(t, Config{}, catalog.CheckDefinition{HTTP: s.URL}), "critical", "certificate")
	expect(t, check(t, Config{}, catalog.CheckDefinition{HTTP: s.URL, TLSSkipVerify: true}), "passing", ok)
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{HTTP: s.URL}), "passing", ok)
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{HTTP: s.URL, TLSServerName: "example.com"}), "passing", ok+"example.com")
	contains(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{HTTP: s.URL, TLSServerName: "other.org"}), "critical", "not other.org")
	if agent.ServerName != "" || agent.InsecureSkipVerify {
		t.Error("a check changed the agent's configuration")
	}
}
