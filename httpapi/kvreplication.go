package httpapi

import (
	"net/http"

	"lictor/kvreplication"
)

// kvReplication answers GET /v1/operator/kv-replication.
func (s *Server) kvReplication(_ http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, kvreplication.StatusMethod, &struct{}{})
}
