package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"lictor/gossip"
)

// keyringList answers GET /v1/operator/keyring, with ?relay-factor and ?local-only.
func (s *Server) keyringList(w http.ResponseWriter, r *http.Request) (any, error) {
	args := gossip.KeyringRequest{Operation: gossip.ListKeys}
	if err := readKeyringOptions(&args, parameters(r)); err != nil {
		return nil, err
	}
	return call(s, r, gossip.KeyringMethod, &args)
}

// keyringInstall answers POST /v1/operator/keyring.
func (s *Server) keyringInstall(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.changeKeyring(w, r, gossip.InstallKey)
}

// keyringUse answers PUT /v1/operator/keyring.
func (s *Server) keyringUse(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.changeKeyring(w, r, gossip.UseKey)
}

// keyringRemove answers DELETE /v1/operator/keyring.
func (s *Server) keyringRemove(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.changeKeyring(w, r, gossip.RemoveKey)
}

func (s *Server) changeKeyring(w http.ResponseWriter, r *http.Request, op gossip.KeyringOperation) (any, error) {
	var body struct{ Key string }
	if err := decode(r, &body, nil); err != nil {
		return nil, err
	}
	args := gossip.KeyringRequest{Operation: op, Key: body.Key}
	if err := readKeyringOptions(&args, parameters(r)); err != nil {
		return nil, err
	}
	if _, err := call(s, r, gossip.KeyringMethod, &args); err != nil {
		return nil, err
	}
	w.Header()["Content-Type"] = jsonType
	return written, nil
}

func readKeyringOptions(args *gossip.KeyringRequest, q url.Values) error {
	if text := q.Get("relay-factor"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return badRequest("Error parsing relay factor: " + err.Error())
		}
		if n < 0 || n > gossip.MaxRelayFactor {
			return badRequest("Invalid relay-factor: Relay factor must be in range: [0, " + strconv.Itoa(gossip.MaxRelayFactor) + "]")
		}
		args.RelayFactor = uint8(n)
	}
	if text := q.Get("local-only"); text != "" {
		local, err := strconv.ParseBool(text)
		if err != nil {
			return badRequest("Error parsing local-only: " + err.Error())
		}
		if local && args.Operation != gossip.ListKeys {
			return badRequest("Invalid use of local-only: local-only can only be set for list requests")
		}
		args.LocalOnly = local
	}
	return nil
}
