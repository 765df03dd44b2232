package httpapi

import (
	"net/http"
	"strings"

	"lictor/ca"
)

// caRoots answers GET /v1/connect/ca/roots and /v1/agent/connect/ca/roots, with ?pem.
func (s *Server) caRoots(w http.ResponseWriter, r *http.Request) (any, error) {
	answer, err := readAlways(s, w, r, ca.RootsQuery, struct{}{})
	if err != nil {
		return nil, err
	}
	if parameters(r).Get("pem") != "true" {
		return writeAnswer(s, w, r, answer)
	}
	var chain strings.Builder
	for _, root := range answer.Value().Roots {
		chain.WriteString(root.RootCert)
		for _, cert := range root.IntermediateCerts {
			chain.WriteString(cert)
		}
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	send(w, r, []byte(chain.String()))
	return written, nil
}
