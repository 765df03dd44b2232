package httpapi

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lictor/kv"
	"lictor/session"
)

// kvGet answers GET /v1/kv/KEY, with ?recurse, ?keys and ?raw.
func (s *Server) kvGet(w http.ResponseWriter, r *http.Request) (any, error) {
	key := strings.TrimPrefix(r.URL.Path, "/v1/kv/")
	var q url.Values
	if r.URL.RawQuery != "" {
		q = parameters(r)
	}
	switch {
	case q.Has("keys"):
		answer, err := read(s, w, r, kv.KeysQuery, kv.Keys{Prefix: key, Separator: q.Get("separator")})
		if err != nil {
			return nil, err
		}
		if answer.Value().Filtered {
			markFiltered(w, r)
		}
		if answer.Value().Keys == nil && key != "" {
			return notFound(w)
		}
		if answer.Value().Keys == nil {
			return []string{}, nil
		}
		return writeAnswer(s, w, r, answer)
	case q.Has("recurse"):
		answer, err := read(s, w, r, kv.ListQuery, kv.List{Prefix: key})
		if err != nil {
			return nil, err
		}
		if answer.Value().Filtered {
			markFiltered(w, r)
		}
		if len(answer.Value().Entries) == 0 {
			return notFound(w)
		}
		return writeAnswer(s, w, r, answer)
	case key == "":
		return nil, kv.ErrMissingKey
	}
	answer, err := read(s, w, r, kv.GetQuery, kv.Get{Key: key})
	if err != nil {
		return nil, err
	}
	if len(answer.Value()) == 0 {
		return notFound(w)
	}
	if q.Has("raw") {
		return writeRaw(w, r, answer.Value()[0].Value)
	}
	return writeAnswer(s, w, r, answer)
}

// writeRaw writes a value as it is. It is anybody's bytes, so no browser may take it for a page of this server.
func writeRaw(w http.ResponseWriter, r *http.Request, value []byte) (any, error) {
	h := w.Header()
	h["Content-Type"] = []string{"text/plain"}
	h["Content-Security-Policy"] = []string{"sandbox"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	send(w, r, value)
	return written, nil
}

func notFound(w http.ResponseWriter) (any, error) {
	w.WriteHeader(http.StatusNotFound)
	return written, nil
}

// kvPut answers PUT /v1/kv/KEY, with ?flags, ?ttl and one of ?cas, ?acquire and ?release.
func (s *Server) kvPut(w http.ResponseWriter, r *http.Request) (any, error) {
	p := &kv.Put{Key: strings.TrimPrefix(r.URL.Path, "/v1/kv/")}
	if p.Key == "" {
		return nil, kv.ErrMissingKey
	}
	var q url.Values
	if r.URL.RawQuery != "" {
		q = parameters(r)
		if err := conflicting(q, "cas", "acquire", "release"); err != nil {
			return nil, err
		}
		if err := number(q, "flags", &p.Flags); err != nil {
			return nil, err
		}
		if err := number(q, "cas", &p.Index); err != nil {
			return nil, err
		}
		p.CAS = q.Has("cas")
		if p.TTL = q.Get("ttl"); p.TTL == "" && q.Has("ttl") {
			return nil, kv.ErrTTL(p.TTL)
		}
	}
	var err error
	if p.Value, err = body(r, s.MaxValueSize, kvTooLarge); err != nil {
		return nil, err
	}
	switch {
	case q.Has("acquire"):
		return call(s, r, session.LockMethod, &session.Lock{Key: p.Key, Flags: p.Flags, Value: p.Value, Session: q.Get("acquire"), TTL: p.TTL})
	case q.Has("release"):
		return call(s, r, session.LockMethod, &session.Lock{Key: p.Key, Flags: p.Flags, Value: p.Value, Session: q.Get("release"), Release: true, TTL: p.TTL})
	}
	return call(s, r, kv.PutMethod, p)
}

// conflicting refuses more than one of these parameters.
func conflicting(q url.Values, names ...string) error {
	n := 0
	for _, name := range names {
		if q.Has(name) {
			n++
		}
	}
	if n > 1 {
		return badRequest("Conflicting flags: " + q.Encode() + "\n")
	}
	return nil
}

const kvTooLarge = "kv_max_value_size"

// body reads a request's body of at most limit bytes, whatever length it claims. Setting names the key of the
// configuration that sets the limit.
func body(r *http.Request, limit int64, setting string) ([]byte, error) {
	tooLarge := func(n string) error {
		return &statusError{http.StatusRequestEntityTooLarge, "Request body(" + n + " bytes) too large, max size: " +
			strconv.FormatInt(limit, 10) + " bytes. See https://developer.hashicorp.com/docs/agent/config/config-files#" + setting + "."}
	}
	if r.ContentLength > limit {
		return nil, tooLarge(strconv.FormatInt(r.ContentLength, 10))
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	if n := r.ContentLength; n > 0 {
		b := make([]byte, n)
		_, err := io.ReadFull(r.Body, b)
		return b, shortBody(err)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if int64(len(b)) > limit {
		return nil, tooLarge("more than " + strconv.FormatInt(limit, 10))
	}
	return b, shortBody(err)
}

func shortBody(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return badRequest("The request's body is shorter than its Content-Length")
	}
	return badRequest("Failed to read the request's body: " + err.Error())
}

// number reads a parameter, if it is there, whose refusal Consul words as its library does.
func number(q url.Values, name string, into *uint64) error {
	if !q.Has(name) {
		return nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 64)
	if err != nil {
		return err
	}
	*into = n
	return nil
}

// kvDelete answers DELETE /v1/kv/KEY, with ?recurse and ?cas.
func (s *Server) kvDelete(w http.ResponseWriter, r *http.Request) (any, error) {
	q := parameters(r)
	d := &kv.Delete{Key: strings.TrimPrefix(r.URL.Path, "/v1/kv/"), Recurse: q.Has("recurse"), CAS: q.Has("cas")}
	if err := conflicting(q, "recurse", "cas"); err != nil {
		return nil, err
	}
	if d.Key == "" && !d.Recurse {
		return nil, kv.ErrMissingKey
	}
	if err := number(q, "cas", &d.Index); err != nil {
		return nil, err
	}
	return call(s, r, kv.DeleteMethod, d)
}
