package httpapi

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lictor/acl"
	"lictor/event"
)

// Events are the users' events that this agent has received.
type Events interface {
	// Events lists the newest, oldest first, and gives a channel that is closed when another one comes.
	Events() ([]*event.Event, <-chan struct{})
}

// eventFire answers PUT /v1/event/fire/NAME, with ?node, ?service and ?tag.
func (s *Server) eventFire(_ http.ResponseWriter, r *http.Request) (any, error) {
	e := event.Event{Name: strings.TrimPrefix(r.URL.Path, "/v1/event/fire/")}
	if e.Name == "" {
		return nil, badRequest("Missing name")
	}
	q := parameters(r)
	e.NodeFilter, e.ServiceFilter, e.TagFilter = q.Get("node"), q.Get("service"), q.Get("tag")
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, bodyTooLarge()
	}
	if len(body) > 0 {
		e.Payload = body
	}
	return call(s, r, event.FireMethod, &e)
}

// eventList answers GET /v1/event/list, with ?name. It blocks until the newest event is another than that of ?index.
func (s *Server) eventList(w http.ResponseWriter, r *http.Request) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	name := parameters(r).Get("name")
	var deadline <-chan time.Time
	for {
		az, err := s.authorizer(r) // again after each wait
		if err != nil {
			return nil, err
		}
		all, changed := s.Events.Events()
		filtered := false
		found := slices.DeleteFunc(slices.Clone(all), func(e *event.Event) bool {
			hidden := (name == "" || e.Name == name) && e.Name != event.Exec && !az.Allow(acl.Event, e.Name, acl.Read)
			filtered = filtered || hidden
			return e.Name == event.Exec || name != "" && e.Name != name || hidden
		})
		index := uint64(1)
		if n := len(found); n > 0 {
			index = found[n-1].Index()
		}
		if deadline == nil && opts.MinIndex > 0 {
			timer := time.NewTimer(s.waitLimit(opts.Wait))
			defer timer.Stop()
			deadline = timer.C
		}
		if index != opts.MinIndex || !waitFor(r.Context(), az, changed, deadline) {
			w.Header()["X-Consul-Index"] = []string{strconv.FormatUint(index, 10)}
			if filtered {
				markFiltered(w, r)
			}
			return append([]*event.Event{}, found...), nil
		}
	}
}
