package httpapi

import "net/http"

// home answers GET / with where to go from here.
func home(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		unknownPath(w, r)
		return
	}
	plain(w, http.StatusOK, "Lictor agent: the HTTP API is below /v1/, metrics for Prometheus at /v1/agent/metrics?format=prometheus.\n")
}
