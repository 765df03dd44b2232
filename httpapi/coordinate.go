package httpapi

import (
	"net/http"
	"strings"

	"lictor/coordinate"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// coordinateUpdate answers PUT /v1/coordinate/update.
func (s *Server) coordinateUpdate(w http.ResponseWriter, r *http.Request) (any, error) {
	var u coordinate.Update
	if err := decode(r, &u, map[string]string{"Update": "CoordinateUpdateRequest"}); err != nil {
		return nil, err
	}
	h := rpc.Header{Token: token(r), Datacenter: u.Datacenter}
	if _, err := coordinate.UpdateMethod.Call(r.Context(), s.Caller, h, &u); err != nil {
		return nil, err
	}
	w.Header()["Content-Type"] = jsonType
	return written, nil
}

// coordinateDatacenters answers GET /v1/coordinate/datacenters.
func (s *Server) coordinateDatacenters(_ http.ResponseWriter, r *http.Request) (any, error) {
	return call(s, r, coordinate.DatacentersMethod, &struct{}{})
}

// coordinateNodes answers GET /v1/coordinate/nodes.
func (s *Server) coordinateNodes(w http.ResponseWriter, r *http.Request) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := view.Read(r.Context(), s.Views, coordinate.NodesQuery, opts, coordinate.Nodes{Segment: parameters(r).Get("segment")})
	if err != nil {
		writeMeta(w.Header(), 0, state.ReadMeta{})
		return nil, err
	}
	writeMeta(w.Header(), answer.Index(), answer.ReadMeta)
	return writeAnswer(s, w, r, answer)
}

// coordinateNode answers GET /v1/coordinate/node/NAME.
func (s *Server) coordinateNode(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/coordinate/node/")
	if name == "" {
		return notFound(w)
	}
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := view.Read(r.Context(), s.Views, coordinate.NodeQuery, opts, coordinate.OneNode{Node: name, Segment: parameters(r).Get("segment")})
	if err != nil {
		return nil, err
	}
	if len(answer.Value()) == 0 {
		return notFound(w)
	}
	writeMeta(w.Header(), answer.Index(), answer.ReadMeta)
	return writeAnswer(s, w, r, answer)
}
