package httpapi

import "net/http"

// markFiltered tells that something was left out of the answer that the token may not see. Who brings no token is not
// told, as by Consul.
func markFiltered(w http.ResponseWriter, r *http.Request) {
	if token(r) != "" {
		w.Header()["X-Consul-Results-Filtered-By-Acls"] = isTrue
	}
}
