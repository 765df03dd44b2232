package httpapi

import (
	"net/http"
	"net/http/pprof"

	"lictor/acl"
)

// profiles serves /debug/pprof/ to those who may read what operators may.
func (s *Server) profiles() {
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/":        pprof.Index,
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
	} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := s.require(r, acl.Operator, "", acl.Read); err != nil {
				s.fail(w, r, err)
				return
			}
			handler(w, r)
		})
	}
}
