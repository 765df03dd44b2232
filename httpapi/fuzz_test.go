package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/catalog"
	"lictor/session"
)

func fuzzRequest(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL = &url.URL{Path: target}
	return r
}

// No body makes a decoder panic, and what is decoded and valid can be made a row.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `[{"KV":{"Verb":"set","Key":"a","Value":"eA=="}}]`, `{"Name":"web","Tags":["a",null],"Check":{"TTL":"5s","Header":{"A":["b"]}}}`,
		`{"name":"a","service_id":"x","DeregisterCriticalServiceAfter":1e300,"Args":[null]}`, `{"Node":"n","Address":"a","Service":{"Service":"s","Proxy":{"Upstreams":[null],"Expose":{"Paths":[null]}}},"Checks":[null]}`,
		`{"LockDelay":-9223372036854775808,"TTL":"10s","Checks":null}`, `{"Connect":{"SidecarService":{"Connect":{"SidecarService":{}}}}}`, `{"a":` + strings.Repeat("[", 500),
	} {
		f.Add(seed)
	}
	s := &Server{Config: Config{MaxTxnSize: 1 << 20, MaxValueSize: 1 << 10, Log: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, body string) {
		if d, err := decodeService(fuzzRequest("PUT", "/", body)); err == nil && d.Validate() == nil {
			d.Instance("n")
		}
		if d, err := decodeCheck(fuzzRequest("PUT", "/", body)); err == nil {
			d.Identity()
			d.Validate()
		}
		var register catalog.Register
		decode(fuzzRequest("PUT", "/", body), &register, nil)
		decodeSession(fuzzRequest("PUT", "/", body), &session.Session{})
		if ops, err := s.txnOps(fuzzRequest("PUT", "/", body)); err == nil {
			ops.ReadOnly()
		}
	})
}

// No query string makes the API panic, whatever path it is behind, and each gets an answer with a type.
func FuzzQueries(f *testing.F) {
	for _, seed := range []string{
		"", "index=1&wait=5s", "stale&consistent", "filter=Service==%22web%22", "max_stale=1h", "ns=a", "%zz", "a;b", "near=_agent&node-meta=a:b", "pretty&cached", "passing=0&tag=a&tag=b", "cas=0&flags=1", "recurse&keys&separator=%2f", "enable=true&reason=x",
	} {
		for i := range 4 {
			f.Add(seed, uint16(i*17))
		}
	}
	s := newCatalogServer(f, acl.AllowAll())
	var paths []string
	for _, rt := range routes {
		if strings.HasPrefix(rt.path, "/v1/catalog/") || strings.HasPrefix(rt.path, "/v1/health/") || strings.HasPrefix(rt.path, "/v1/coordinate/") {
			paths = append(paths, rt.path)
		}
	}
	f.Fuzz(func(t *testing.T, query string, path uint16) {
		if strings.Contains(query, "index") { // it may wait
			return
		}
		r := fuzzRequest("GET", paths[int(path)%len(paths)], "")
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.http.Config.Handler.ServeHTTP(w, r)
		if w.Body.Len() > 0 && w.Header().Get("Content-Type") == "" {
			t.Errorf("%s?%s: %d without a Content-Type", r.URL.Path, query, w.Code)
		}
	})
}
