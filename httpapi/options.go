package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lictor/state"
	"lictor/view"
)

// parameters are those of a request's query string, read once and kept with the request; nil if it has none. They must
// not be changed.
func parameters(r *http.Request) url.Values {
	if r.Form == nil && r.URL.RawQuery != "" {
		r.Form, _ = url.ParseQuery(r.URL.RawQuery) // what cannot be read was refused by checkParameters
	}
	return r.Form
}

// checkParameters refuses query strings that cannot be read, and parameters of Consul's paid edition.
func checkParameters(r *http.Request) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &statusError{http.StatusInternalServerError, ""}
	}
	r.Form = q
	if q.Get("ns") != "" {
		return badRequest(`Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature`)
	}
	if q.Get("partition") != "" {
		return badRequest(`Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature`)
	}
	return nil
}

// checkHeaders refuses headers of Consul's paid edition, which would have the request mean something else.
func checkHeaders(h http.Header) error {
	if h.Get("X-Consul-Namespace") != "" {
		return badRequest(`Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature`)
	}
	if h.Get("X-Consul-Partition") != "" {
		return badRequest(`Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature`)
	}
	return nil
}

// readOptions reads what a request says of the freshness of its answer and of waiting for it.
func readOptions(r *http.Request) (*view.Options, error) {
	o := &view.Options{}
	o.Token = token(r)
	if r.URL.RawQuery == "" {
		return o, nil
	}
	q := parameters(r)
	o.Datacenter = q.Get("dc")
	if err := readWait(o, q); err != nil {
		return nil, err
	}
	return o, readConsistency(o, q)
}

func readWait(o *view.Options, q url.Values) error {
	var err error
	if w := q.Get("wait"); w != "" {
		if o.Wait, err = time.ParseDuration(w); err != nil {
			return badRequest("Invalid wait time")
		}
	}
	if i := q.Get("index"); i != "" {
		if o.MinIndex, err = strconv.ParseUint(i, 10, 64); err != nil {
			return badRequest("Invalid index")
		}
	}
	return nil
}

func readConsistency(o *view.Options, q url.Values) error {
	switch stale, consistent := q.Has("stale"), q.Has("consistent"); {
	case stale && consistent:
		return badRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
	case stale:
		o.Consistency = state.Stale
	case consistent:
		o.Consistency = state.Consistent
	}
	if m := q.Get("max_stale"); m != "" {
		d, err := time.ParseDuration(m)
		if err != nil {
			return badRequest("Invalid max_stale value " + strconv.Quote(m))
		}
		o.MaxStale = d
	}
	return nil
}

// read answers a query and writes the headers of the answer. The caller writes the body.
func read[A comparable, R any](s *Server, w http.ResponseWriter, r *http.Request, q query[A, R], args A) (view.Answer[R], error) {
	opts, err := readOptions(r)
	if err != nil {
		return view.Answer[R]{}, err
	}
	answer, err := view.Read(r.Context(), s.Views, q, opts, args)
	if err != nil {
		return answer, err
	}
	writeMeta(w.Header(), answer.Index(), answer.ReadMeta)
	return answer, nil
}

// readAlways is read for those families that tell how fresh the answer would have been even when there is none.
func readAlways[A comparable, R any](s *Server, w http.ResponseWriter, r *http.Request, q query[A, R], args A) (view.Answer[R], error) {
	opts, err := readOptions(r)
	if err != nil {
		return view.Answer[R]{}, err
	}
	answer, err := view.Read(r.Context(), s.Views, q, opts, args)
	if err != nil {
		writeMeta(w.Header(), 1, answer.ReadMeta)
		return answer, err
	}
	writeMeta(w.Header(), answer.Index(), answer.ReadMeta)
	return answer, nil
}
