package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

type query[A comparable, R any] = rpc.Query[A, R]

// Values of headers that are shared by all answers and never changed.
var (
	jsonType      = []string{"application/json"}
	isTrue        = []string{"true"}
	isFalse       = []string{"false"}
	zero          = []string{"0"}
	blockingQuery = []string{"blocking-query"}
)

// writeMeta writes the headers that tell how fresh an answer is.
func writeMeta(h http.Header, index uint64, meta state.ReadMeta) {
	h["X-Consul-Index"] = []string{strconv.FormatUint(max(index, 1), 10)}
	h["X-Consul-Query-Backend"] = blockingQuery
	h["X-Consul-Knownleader"] = isTrue
	if !meta.KnownLeader {
		h["X-Consul-Knownleader"] = isFalse
	}
	h["X-Consul-Lastcontact"] = zero
	if meta.LastContact > 0 {
		h["X-Consul-Lastcontact"] = []string{strconv.FormatInt(meta.LastContact.Milliseconds(), 10)}
	}
}

// writeAnswer writes the encoding that all who ask the same share.
func writeAnswer[R any](s *Server, w http.ResponseWriter, r *http.Request, answer view.Answer[R]) (any, error) {
	if s.elsewhere(r) {
		if value, ok := translated(answer.Value()); ok {
			s.writeJSON(w, r, value)
			return written, nil
		}
	}
	body, err := answer.JSON()
	if err != nil {
		return nil, err
	}
	s.writeBody(w, r, body)
	return written, nil
}

// writeJSON encodes a value and writes it.
func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, value any) {
	if yes, ok := value.(bool); ok { // what most writes answer
		s.writeBody(w, r, strconv.AppendBool(nil, yes))
		return
	}
	body, err := json.Marshal(value)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.writeBody(w, r, body)
}

// writeBody writes an encoded JSON body, indented if the request asks for it.
func (s *Server) writeBody(w http.ResponseWriter, r *http.Request, body []byte) {
	if strings.Contains(r.URL.RawQuery, "pretty") && parameters(r).Has("pretty") {
		var out bytes.Buffer
		if json.Indent(&out, body, "", "    ") == nil {
			out.WriteByte('\n')
			body = out.Bytes()
		}
	}
	w.Header()["Content-Type"] = jsonType
	send(w, r, body)
}

// compressFrom is the size in bytes from which an answer is compressed for those who accept it.
const compressFrom = 1400

var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// send writes the body, compressed if it is large and the client takes that.
func send(w http.ResponseWriter, r *http.Request, body []byte) {
	h := w.Header()
	accepts := r.Header["Accept-Encoding"]
	if len(body) < compressFrom || len(accepts) == 0 || !strings.Contains(accepts[0], "gzip") {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.Write(body)
		return
	}
	h["Content-Encoding"] = []string{"gzip"}
	h["Vary"] = []string{"Accept-Encoding"}
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	z.Write(body)
	z.Close()
}
