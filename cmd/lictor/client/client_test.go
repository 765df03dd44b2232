package client

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func echo(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte(`"` + r.Method + " " + r.RequestURI + `"`))
}

func get(t *testing.T, config Config, path string, q url.Values) (string, error) {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	var answer string
	err = c.Get(t.Context(), path, q, &answer)
	return answer, err
}

func TestAddresses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")

	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: http.HandlerFunc(echo)}
	go local.Serve(l)
	defer local.Close()

	for address, want := range map[string]string{
		addr:                        "GET /v1/x",
		"http://" + addr:            "GET /v1/x",
		"http://" + addr + "/":      "GET /v1/x",
		"http://" + addr + "/agent": "GET /agent/v1/x",
		"unix://" + socket:          "GET /v1/x",
	} {
		if got, err := get(t, Config{Address: address}, "/v1/x", nil); got != want || err != nil {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
}

func TestQuery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	config := Config{Address: server.URL, Datacenter: "dc2", Namespace: "n", Stale: true}
	if got, _ := get(t, config, "/v1/x", url.Values{"a": {"b c"}}); got != "GET /v1/x?a=b+c&dc=dc2&ns=n&stale=" {
		t.Error(got)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "https://")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		ok     bool
	}{
		"by file":           {Config{Address: server.URL, TLS: TLS{CAFile: ca}}, true},
		"by directory":      {Config{Address: server.URL, TLS: TLS{CAPath: dir}}, true},
		"by setting":        {Config{Address: addr, Secure: true, TLS: TLS{CAFile: ca}}, true},
		"without a check":   {Config{Address: server.URL, TLS: TLS{SkipVerify: true}}, true},
		"named otherwise":   {Config{Address: server.URL, TLS: TLS{CAFile: ca, ServerName: "example.com"}}, true},
		"named wrongly":     {Config{Address: server.URL, TLS: TLS{CAFile: ca, ServerName: "other"}}, false},
		"without authority": {Config{Address: server.URL}, false},
	} {
		if _, err := get(t, c.config, "/v1/x", nil); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Address: "https://x", TLS: TLS{CertFile: ca}}); err == nil {
		t.Error("a certificate without a key was accepted")
	}
}

func TestErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		case "/odd":
			w.Write([]byte("no JSON"))
		default:
			http.Error(w, "it is broken", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	_, err := get(t, Config{Address: server.URL}, "/500", nil)
	var status *Status
	if !errors.As(err, &status) || err.Error() != "Unexpected response code: 500 (it is broken)" || NotFound(err) {
		t.Errorf("500: %v", err)
	}
	if _, err := get(t, Config{Address: server.URL}, "/404", nil); !NotFound(err) {
		t.Errorf("404: %v", err)
	}
	if _, err := get(t, Config{Address: server.URL}, "/odd", nil); err == nil || !strings.Contains(err.Error(), "/odd") {
		t.Errorf("odd: %v", err)
	}
	_, err = get(t, Config{Address: "127.0.0.1:1", Hint: "start it"}, "/v1/x", nil)
	var away *Unreachable
	if !errors.As(err, &away) || away.Hint != "start it" || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, "/404", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPaths(t *testing.T) {
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/v1/kv/":         "/v1/kv/",
		"/v1/kv/a/b":      "/v1/kv/a/b",
		"/v1/kv/a/":       "/v1/kv/a/",
		"/v1/kv/a//b":     "/v1/kv/a%2F%2Fb",
		"/v1/kv/a/../b":   "/v1/kv/a%2F%2E%2E%2Fb",
		"/v1/kv/a b?c#d%": "/v1/kv/a%20b%3Fc%23d%25",
	} {
		if got := strings.TrimPrefix(c.url(Request{Path: path}), "http://"+DefaultAddress); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
