package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lictor/configentry"
	"lictor/view"
)

// configPut answers PUT /v1/config, with ?cas.
func (s *Server) configPut(_ http.ResponseWriter, r *http.Request) (any, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	e, err := configentry.Parse(form)
	if err != nil {
		return nil, badRequest("Request decoding failed: " + err.Error())
	}
	p := configentry.Put{Entry: *e}
	if p.CAS, p.Index, err = readCAS(r); err != nil {
		return nil, err
	}
	h := header(r)
	h.Datacenter = "" // entries belong to all datacenters
	return configentry.PutMethod.Call(r.Context(), s.Caller, h, &p)
}

func readForm(r *http.Request) (configentry.Form, error) {
	if r.ContentLength > maxBody {
		return nil, bodyTooLarge()
	}
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	var form map[string]any // by which clients know the type in errors
	err := json.NewDecoder(limited).Decode(&form)
	switch {
	case err != nil && limited.N <= 0:
		return nil, bodyTooLarge()
	case err != nil:
		return nil, badRequest("Request decoding failed: " + wordDecodeError(err, nil))
	}
	return form, nil
}

// readCAS reads ?cas of a configuration entry.
func readCAS(r *http.Request) (asked bool, index uint64, err error) {
	q := parameters(r)
	if q.Get("cas") == "" {
		return false, 0, nil
	}
	index, err = strconv.ParseUint(q.Get("cas"), 10, 64)
	return true, index, err
}

// configPath takes apart what is behind /v1/config/. A path that ends with a slash names the entry without a name.
func configPath(r *http.Request) (kind, name string, named bool) {
	return strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/config/"), "/")
}

// configGet answers GET /v1/config/KIND and GET /v1/config/KIND/NAME.
func (s *Server) configGet(w http.ResponseWriter, r *http.Request) (any, error) {
	kind, name, named := configPath(r)
	if !named {
		answer, err := read(s, w, r, configentry.ListQuery, configentry.List{Kind: kind, Filter: parameters(r).Get("filter")})
		return s.entries(w, r, answer, err)
	}
	answer, err := read(s, w, r, configentry.GetQuery, configentry.Get{Kind: kind, Name: name})
	if err != nil {
		return nil, err
	}
	if len(answer.Value().Rows) == 0 {
		return nil, &statusError{http.StatusNotFound, fmt.Sprintf("Config entry not found for %q / %q", kind, name)}
	}
	return answer.Value().Rows[0], nil
}

func (s *Server) entries(w http.ResponseWriter, r *http.Request, answer view.Answer[configentry.Listing], err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if answer.Value().Filtered {
		w.Header()["X-Consul-Results-Filtered-By-Acls"] = isTrue
	}
	return writeAnswer(s, w, r, answer)
}

// exportedServices answers GET /v1/exported-services.
func (s *Server) exportedServices(w http.ResponseWriter, r *http.Request) (any, error) {
	answer, err := read(s, w, r, configentry.ExportedQuery, configentry.Exported{Filter: parameters(r).Get("filter")})
	if err != nil {
		return nil, err
	}
	return writeAnswer(s, w, r, answer)
}

// configDelete answers DELETE /v1/config/KIND/NAME, with ?cas.
func (s *Server) configDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	var d configentry.Delete
	if d.Kind, d.Name, _ = configPath(r); d.Kind == "" || d.Name == "" {
		return nil, &statusError{http.StatusNotFound, "Must provide both a kind and name to delete"}
	}
	if !configentry.KnownKind(d.Kind) {
		return nil, badRequest("invalid config entry kind: " + d.Kind)
	}
	var err error
	if d.CAS, d.Index, err = readCAS(r); err != nil {
		return nil, err
	}
	h := header(r)
	h.Datacenter = ""
	done, err := configentry.DeleteMethod.Call(r.Context(), s.Caller, h, &d)
	if err != nil || d.CAS {
		return done, err
	}
	return struct{}{}, nil
}
