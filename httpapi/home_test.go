package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lictor/telemetry"
)

func TestHome(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("page")) })
	metrics, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ui           http.Handler
		path, target string
		status       int
		location     string
		body         string
	}{
		{nil, "", "/", 200, "", "Lictor agent"},
		{nil, "", "/ui/", 404, "", "Invalid URL path"},
		{page, "/ui/", "/", 301, "/ui/", ""},
		{page, "/ui/", "/ui", 301, "/ui/", ""},
		{page, "/ui/", "/ui/", 200, "", "page"},
		{page, "/ui/", "/ui/dc1/kv/a", 200, "", "page"},
		{page, "/ui/", "/uix", 404, "", "Invalid URL path"},
		{page, "/", "/", 200, "", "page"},
		{page, "/", "/v1/nothing", 404, "", "Invalid URL path: not a recognized"},
		{page, "/v1/", "/v1/nothing", 404, "", "Invalid URL path: not a recognized"},
	} {
		s := New(Config{UI: c.ui, UIPath: c.path, Metrics: metrics, ResponseHeaders: map[string]string{"X-Own": "yes"}})
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.target, nil))
		if w.Code != c.status || w.Header().Get("Location") != c.location || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s with %q: %d %q %q", c.target, c.path, w.Code, w.Header().Get("Location"), w.Body)
		}
		if c.body == "page" && w.Header().Get("X-Own") != "yes" {
			t.Errorf("%s: the configured headers are missing", c.target)
		}
	}
}
