package ui

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestPageFiles(t *testing.T) {
	const html, script = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
	for _, c := range []struct{ path, target, contentType, holds string }{
		{"", "/ui/", html, `src="/ui/page.js"`},
		{"", "/ui/index.html", html, `href="/ui/page.css"`},
		{"", "/ui/dc1/services/web", html, `src="/ui/page.js"`},
		{"", "/ui/dc1/kv/a/page.js", html, `src="/ui/page.js"`},
		{"", "/ui/..%2f..%2fui.go", html, `src="/ui/page.js"`},
		{"", "/ui/page.js", script, "import"},
		{"", "/ui/api.js", script, "X-Consul-Token"},
		{"", "/ui/page.css", "text/css; charset=utf-8", "color-scheme"},
		{"", "/ui/icon.svg", "image/svg+xml", "<svg"},
		{"/", "/", html, `src="/page.js"`},
		{"/", "/page.css", "text/css; charset=utf-8", "color-scheme"},
		{"consul", "/consul/x", html, `src="/consul/page.js"`},
		{"/a//b/", "/a/b/nodes", html, `src="/a/b/page.js"`},
	} {
		w := get(t, Handler(Config{Path: c.path}), http.MethodGet, c.target)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.holds) {
			t.Errorf("%s below %q: %d %q, want %q with %q", c.target, c.path, w.Code, w.Header().Get("Content-Type"), c.contentType, c.holds)
		}
	}
	if w := get(t, Handler(Config{}), http.MethodGet, "/v1/x"); w.Code != http.StatusNotFound {
		t.Errorf("outside of the path: %d", w.Code)
	}
}

func TestHeaders(t *testing.T) {
	dir := site(t)
	for _, c := range []struct {
		config Config
		policy string
	}{
		{Config{}, policy},
		{Config{Dir: dir}, dirPolicy},
	} {
		for _, target := range []string{"/ui/", "/ui/page.js", "/ui/x/y"} {
			h := get(t, Handler(c.config), http.MethodHead, target).Header()
			for name, want := range map[string]string{
				"Content-Security-Policy": c.policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%+v %s: %s is %q, want %q", c.config, target, name, got, want)
				}
			}
		}
	}
	for _, word := range []string{"default-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, word) || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	Handler(Config{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ui/", nil))
	if got := w.Header().Get("X-Frame-Options"); got != "SAMEORIGIN" {
		t.Errorf("a header of the configuration became %q", got)
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	for _, c := range []Config{{}, {Dir: site(t)}} {
		h := Handler(c)
		for _, target := range []string{"/ui/", "/ui/page.js"} {
			first := get(t, h, http.MethodGet, target)
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header.Set("If-None-Match", first.Header().Get("ETag"))
			again := httptest.NewRecorder()
			h.ServeHTTP(again, r)
			if first.Header().Get("ETag") == "" || again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Errorf("%+v %s: tag %q, then %d with %d bytes", c, target, first.Header().Get("ETag"), again.Code, again.Body.Len())
			}
		}
	}
}

func TestMethods(t *testing.T) {
	for _, c := range []Config{{}, {Dir: site(t)}} {
		h := Handler(c)
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			w := get(t, h, method, "/ui/")
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" || w.Body.String() != "method "+method+" not allowed\n" {
				t.Errorf("%s: %d %q %q", method, w.Code, w.Header().Get("Allow"), w.Body)
			}
		}
		if w := get(t, h, http.MethodHead, "/ui/"); w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
			t.Errorf("HEAD: %d, %d bytes, length %s", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
		}
	}
}

// site is a directory with a page of one's own, beside a secret that links lead to.
func site(t *testing.T) string {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "site")
	for name, text := range map[string]string{"secret.txt": "secret", "site/index.html": "own index", "site/page.js": "own script", "site/sub/a.woff2": "font"} {
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.txt", filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..", filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDirectory(t *testing.T) {
	h := Handler(Config{Dir: site(t)})
	for _, c := range []struct{ target, contentType, body string }{
		{"/ui/", "text/html; charset=utf-8", "own index"},
		{"/ui/page.js", "text/javascript; charset=utf-8", "own script"},
		{"/ui/sub/a.woff2", "font/woff2", "font"},
		{"/ui/sub/", "text/html; charset=utf-8", "own index"},
		{"/ui/dc1/services", "text/html; charset=utf-8", "own index"},
		{"/ui/../secret.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/..%2fsecret.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/sub/..%2f..%2fsecret.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/..%5csecret.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/link.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/up/secret.txt", "text/html; charset=utf-8", "own index"},
		{"/ui/%00", "text/html; charset=utf-8", "own index"},
	} {
		w := get(t, h, http.MethodGet, c.target)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != c.contentType || w.Body.String() != c.body {
			t.Errorf("%s: %d %q %q", c.target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	for _, dir := range []string{t.TempDir(), "/does/not/exist"} {
		w := get(t, Handler(Config{Dir: dir}), http.MethodGet, "/ui/")
		if w.Code != http.StatusNotFound || w.Body.String() != errMissing {
			t.Errorf("%s: %d %q", dir, w.Code, w.Body)
		}
	}
}

// TestFilesAreSelfContained keeps the page small, and free of what its policy forbids.
func TestFilesAreSelfContained(t *testing.T) {
	size := 0
	for name, a := range load("/ui/") {
		size += len(a.body)
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "https://", "<style", " style=", " onclick="} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
		if contentType(name) == contentType("") {
			t.Errorf("%s has no type", name)
		}
		if name == index && strings.Count(a.body, "<script") != strings.Count(a.body, "<script type=\"module\" src=") {
			t.Errorf("%s has an inline script", name)
		}
	}
	if size > 60<<10 {
		t.Errorf("the page has %d bytes", size)
	}
}
