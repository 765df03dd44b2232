package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/there":
			w.Header().Set("X-Consul-Index", "7")
			io.WriteString(w, r.Method+" "+r.URL.RawQuery)
		case "/missing":
			w.Header().Set("X-Consul-Index", "8")
			w.WriteHeader(http.StatusNotFound)
		case "/unindexed":
			w.Header().Set("X-Consul-Index", "odd")
		default:
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	c, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		path    string
		index   uint64
		body    string
		missing bool
		next    uint64
	}{
		{"/there", 0, "GET q=1", false, 7},
		{"/there", 6, "GET index=6&q=1", false, 7},
		{"/there", 9, "GET index=9&q=1", false, 0}, // an index that goes backwards
		{"/missing", 0, "", true, 8},
		{"/unindexed", 3, "", false, 0},
	} {
		got, err := Read(t.Context(), c, Request{Path: want.path, Query: map[string][]string{"q": {"1"}}}, want.index)
		if err != nil || string(got.Body) != want.body || got.Missing != want.missing || got.Newer(want.index) != want.next {
			t.Errorf("%s: %+v, %v", want.path, got, err)
		}
	}
	if _, err := Read(t.Context(), c, Request{Path: "/broken"}, 0); err == nil || NotFound(err) {
		t.Errorf("broken: %v", err)
	}
}
