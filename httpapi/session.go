package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"lictor/catalog"
	"lictor/session"
	"lictor/view"
)

// What a session is made with if the request does not say.
const defaultLockDelay = 15 * time.Second

// shortestLockDelay is the duration below which a lock delay is taken as a number of seconds, as older clients send it.
const shortestLockDelay = time.Microsecond

var errMissingSession = badRequest("Missing session")

// sessionCreate answers PUT /v1/session/create. The body may be empty.
func (s *Server) sessionCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	c := session.Create{Session: session.Session{Node: s.Node, NodeChecks: session.CheckIDs{catalog.SerfHealth}, LockDelay: defaultLockDelay}}
	if err := decodeSession(r, &c.Session); err != nil {
		return nil, err
	}
	id, err := call(s, r, session.CreateMethod, &c)
	if err != nil {
		return nil, err
	}
	return struct{ ID string }{id}, nil
}

// decodeSession reads what a new session is to be over its defaults. Fields that are not known are left out.
func decodeSession(r *http.Request, into *session.Session) error {
	if r.ContentLength > maxBody {
		return bodyTooLarge()
	}
	type Alias session.Session // without its methods; messages name it
	form := struct {
		Checks    *[]string
		LockDelay *lockDelay
		*Alias
	}{Alias: (*Alias)(into)}
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	err := json.NewDecoder(limited).Decode(&form)
	switch {
	case err != nil && limited.N <= 0:
		return bodyTooLarge()
	case errors.Is(err, io.EOF): // no body
		return nil
	case err != nil:
		return badRequest("Request decode failed: " + wordDecodeError(err, nil))
	}
	if form.LockDelay != nil {
		into.LockDelay = time.Duration(*form.LockDelay)
	}
	if form.Checks != nil {
		if into.Checks = *form.Checks; len(into.Checks) == 0 { // none at all are wanted
			into.NodeChecks = nil
		}
	}
	return nil
}

// A lockDelay is read from a string in Go's notation or a number. What is less than a microsecond, negative ones
// included, is taken as that many seconds; negative ones end no earlier for it.
type lockDelay time.Duration

// UnmarshalJSON reads a lock delay.
func (d *lockDelay) UnmarshalJSON(b []byte) error {
	if err := (*catalog.Duration)(d).UnmarshalJSON(b); err != nil {
		return err
	}
	if *d < lockDelay(shortestLockDelay) {
		*d = max(*d, math.MinInt64/lockDelay(time.Second)) * lockDelay(time.Second)
	}
	return nil
}

// sessionDestroy answers PUT /v1/session/destroy/ID.
func (s *Server) sessionDestroy(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := sessionID(r, "/v1/session/destroy/")
	if err != nil {
		return nil, err
	}
	return call(s, r, session.DestroyMethod, &session.Destroy{IDs: []string{id}})
}

// sessionRenew answers PUT /v1/session/renew/ID.
func (s *Server) sessionRenew(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := sessionID(r, "/v1/session/renew/")
	if err != nil {
		return nil, err
	}
	renewed, err := call(s, r, session.RenewMethod, &session.Renew{ID: id})
	if err != nil {
		return nil, err
	}
	return []*session.Session{renewed}, nil
}

func sessionID(r *http.Request, path string) (string, error) {
	id := strings.TrimPrefix(r.URL.Path, path)
	if id == "" {
		return "", errMissingSession
	}
	return id, nil
}

// sessionInfo answers GET /v1/session/info/ID.
func (s *Server) sessionInfo(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := sessionID(r, "/v1/session/info/")
	if err != nil {
		return nil, err
	}
	answer, err := readAlways(s, w, r, session.InfoQuery, session.Info{ID: id})
	return s.sessions(w, r, answer, err)
}

// sessionList answers GET /v1/session/list.
func (s *Server) sessionList(w http.ResponseWriter, r *http.Request) (any, error) {
	answer, err := readAlways(s, w, r, session.ListQuery, session.List{})
	return s.sessions(w, r, answer, err)
}

// sessionNode answers GET /v1/session/node/NAME.
func (s *Server) sessionNode(w http.ResponseWriter, r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.URL.Path, "/v1/session/node/")
	if name == "" {
		return nil, errMissingNodeName
	}
	answer, err := readAlways(s, w, r, session.NodeQuery, session.OnNode{Node: name})
	return s.sessions(w, r, answer, err)
}

func (s *Server) sessions(w http.ResponseWriter, r *http.Request, answer view.Answer[session.Listing], err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if answer.Value().Filtered {
		markFiltered(w, r)
	}
	return writeAnswer(s, w, r, answer)
}
