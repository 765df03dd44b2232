package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"lictor/ca"
)

// caRoots answers GET /v1/connect/ca/roots and /v1/agent/connect/ca/roots, with ?pem.
func (s *Server) caRoots(w http.ResponseWriter, r *http.Request) (any, error) {
	if parameters(r).Get("pem") != "true" {
		answer, err := readAlways(s, w, r, ca.RootsQuery, struct{}{})
		if err != nil {
			return nil, err
		}
		return writeAnswer(s, w, r, answer)
	}
	answer, err := readPlainly(s, r, ca.RootsQuery, struct{}{})
	if err != nil {
		return nil, err
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

// caSettings answers GET /v1/connect/ca/configuration.
func (s *Server) caSettings(_ http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, ca.SettingsMethod, &struct{}{})
}

// caSetSettings answers PUT /v1/connect/ca/configuration.
func (s *Server) caSetSettings(w http.ResponseWriter, r *http.Request) (any, error) {
	var form struct {
		Provider                 string
		Config                   json.RawMessage
		State                    json.RawMessage
		ForceWithoutCrossSigning bool
		CreateIndex, ModifyIndex uint64
	}
	if err := decode(r, &form, nil); err != nil {
		return nil, err
	}
	_, err := call(s, r, ca.SetSettingsMethod, &ca.Change{Provider: form.Provider, Config: string(form.Config)})
	return nothing(w, err)
}
