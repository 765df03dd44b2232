package httpapi

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// finished logs a request that was answered, at level debug.
func (s *Server) finished(r *http.Request, begun time.Time) {
	if s.Log.Enabled(r.Context(), slog.LevelDebug) {
		s.Log.Debug("Request finished", "method", r.Method, "url", shown(r.URL), "from", r.RemoteAddr, "latency", time.Since(begun).String())
	}
}

// shown is the path and query of a request, without the secret that it may come with.
func shown(u *url.URL) string {
	query := u.Query()
	if !query.Has("token") && !strings.Contains(u.RawQuery, "token") {
		return u.RequestURI()
	}
	if query.Has("token") {
		query.Set("token", "<hidden>")
	}
	return u.EscapedPath() + "?" + query.Encode()
}
