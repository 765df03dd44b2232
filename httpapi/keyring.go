package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"lictor/coordinate"
	"lictor/gossip"
)

// keyringList answers GET /v1/operator/keyring, with ?relay-factor and ?local-only.
func (s *Server) keyringList(w http.ResponseWriter, r *http.Request) (any, error) {
	args := gossip.KeyringRequest{Operation: gossip.ListKeys}
	if err := readKeyringOptions(&args, parameters(r)); err != nil {
		return nil, err
	}
	return s.keyrings(r, &args)
}

// keyrings carries an operation out in this datacenter and then, unless it is for this one alone, in the LAN pools of all
// others. The error is of the first that fails.
func (s *Server) keyrings(r *http.Request, args *gossip.KeyringRequest) ([]gossip.KeyringAnswer, error) {
	h := header(r)
	all, err := gossip.KeyringMethod.Call(r.Context(), s.Caller, h, args)
	if err != nil || args.LocalOnly {
		return all, err
	}
	names, err := coordinate.NamesMethod.Call(r.Context(), s.Caller, h, &struct{}{})
	if err != nil {
		return nil, err
	}
	own := cmp.Or(h.Datacenter, s.Datacenter)
	for _, h.Datacenter = range names {
		if h.Datacenter == own {
			continue
		}
		other := *args
		other.LocalOnly = true
		more, err := gossip.KeyringMethod.Call(r.Context(), s.Caller, h, &other)
		if err != nil {
			return nil, fmt.Errorf("datacenter %q: %w", h.Datacenter, err)
		}
		all = append(all, more...)
	}
	return all, nil
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
	if _, err := s.keyrings(r, &args); err != nil {
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
