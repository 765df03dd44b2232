package httpapi

import (
	"net/http"
	"strings"
)

// home answers what is not below /v1/: the web page where there is one, and GET / with where to go from here.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.UI != nil && strings.HasPrefix(r.URL.Path, s.UIPath):
		s.offerHeaders(w)
		s.UI.ServeHTTP(w, r)
	case s.UI != nil && (r.URL.Path == "/" || r.URL.Path+"/" == s.UIPath):
		s.offerHeaders(w)
		w.Header().Set("Cache-Control", "no-store") // the page may be switched off again
		http.Redirect(w, r, s.UIPath, http.StatusMovedPermanently)
	case r.URL.Path == "/":
		plain(w, http.StatusOK, "Lictor agent: the HTTP API is below /v1/, metrics for Prometheus at /v1/agent/metrics?format=prometheus.\n")
	default:
		unknownPath(w, r)
	}
}

// offerHeaders sets what the configuration adds to each answer.
func (s *Server) offerHeaders(w http.ResponseWriter) {
	for k, v := range s.ResponseHeaders {
		w.Header().Set(k, v)
	}
}
