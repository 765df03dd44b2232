package httpapi

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"lictor/catalog"
	"lictor/configentry"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// maxMatches bounds for how many services at once intentions are looked up.
const maxMatches = 256

// readIntention reads an intention. Fields that are not known are left out.
func readIntention(r *http.Request) (*configentry.Intention, error) {
	if r.ContentLength > maxBody {
		return nil, bodyTooLarge()
	}
	limited := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	i := &configentry.Intention{}
	err := json.NewDecoder(limited).Decode(i)
	switch {
	case err != nil && limited.N <= 0:
		return nil, bodyTooLarge()
	case err != nil:
		return nil, fmt.Errorf("Failed to decode request body: %s", wordDecodeError(err, nil))
	}
	return i, nil
}

// changeIntention makes a change where entries belong: to all datacenters.
func (s *Server) changeIntention(r *http.Request, c *configentry.ChangeIntention) error {
	h := header(r)
	h.Datacenter = ""
	_, err := configentry.ChangeIntentionMethod.Call(r.Context(), s.Caller, h, c)
	return err
}

// intentionCreate answers POST /v1/connect/intentions.
func (s *Server) intentionCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	i, err := readIntention(r)
	if err != nil {
		return nil, err
	}
	if i.ID != "" {
		return nil, rpc.Errorf(rpc.Internal, "ID must be empty when creating a new intention")
	}
	i.ID = newIntentionID()
	return s.writeLegacy(r, i, configentry.CreateIntention)
}

// newIntentionID makes a random identifier in the form of a UUID.
func newIntentionID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *Server) writeLegacy(r *http.Request, i *configentry.Intention, verb string) (any, error) {
	c, err := configentry.Legacy(i, verb)
	if err != nil {
		return nil, err
	}
	if err := s.changeIntention(r, c); err != nil {
		return nil, err
	}
	return struct{ ID string }{i.ID}, nil
}

func intentionID(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Path, "/v1/connect/intentions/")
}

// intentionUpdate answers PUT /v1/connect/intentions/ID.
func (s *Server) intentionUpdate(_ http.ResponseWriter, r *http.Request) (any, error) {
	i, err := readIntention(r)
	if err != nil {
		return nil, err
	}
	i.ID = intentionID(r)
	return s.writeLegacy(r, i, configentry.UpdateIntention)
}

// intentionDelete answers DELETE /v1/connect/intentions/ID.
func (s *Server) intentionDelete(_ http.ResponseWriter, r *http.Request) (any, error) {
	err := s.changeIntention(r, &configentry.ChangeIntention{Verb: configentry.DeleteIntention, ID: intentionID(r)})
	return err == nil, err
}

// intentionList answers GET /v1/connect/intentions.
func (s *Server) intentionList(w http.ResponseWriter, r *http.Request) (any, error) {
	answer, err := read(s, w, r, configentry.ListIntentionsQuery, configentry.ListIntentions{Filter: parameters(r).Get("filter")})
	if err != nil {
		writeMeta(w.Header(), 0, state.ReadMeta{})
		return nil, err
	}
	if answer.Value().Filtered {
		markFiltered(w, r)
	}
	return writeAnswer(s, w, r, answer)
}

// intentionRead answers GET /v1/connect/intentions/ID.
func (s *Server) intentionRead(w http.ResponseWriter, r *http.Request) (any, error) {
	return s.oneIntention(w, r, configentry.OneIntention{ID: intentionID(r)})
}

// oneIntention answers without telling how fresh it is, as Consul does.
func (s *Server) oneIntention(w http.ResponseWriter, r *http.Request, q configentry.OneIntention) (any, error) {
	answer, err := readPlainly(s, r, configentry.OneIntentionQuery, q)
	if err != nil {
		return nil, err
	}
	if answer.Value().Text == "" {
		return nil, &statusError{http.StatusNotFound, "Intention not found"}
	}
	return writeAnswer(s, w, r, answer)
}

// readPlainly answers a query without headers that tell how fresh the answer is.
func readPlainly[A comparable, R any](s *Server, r *http.Request, q query[A, R], args A) (view.Answer[R], error) {
	opts, err := readOptions(r)
	if err != nil {
		return view.Answer[R]{}, err
	}
	return view.Read(r.Context(), s.Views, q, opts, args)
}

// ends reads the services between which an intention is, or a call.
func ends(r *http.Request) (source, peer, destination string, err error) {
	q := parameters(r)
	for _, end := range []struct {
		name string
		into *string
	}{{"source", &source}, {"destination", &destination}} {
		text := q.Get(end.name)
		if text == "" {
			return "", "", "", rpc.Errorf(rpc.Internal, "required query parameter '%s' not set", end.name)
		}
		if rest, ok := strings.CutPrefix(text, "peer:"); ok && end.name == "source" {
			if peer, text, ok = strings.Cut(rest, "/"); !ok {
				return "", "", "", rpc.Errorf(rpc.Internal, "source %q must be peer:PEER/SERVICE", q.Get(end.name))
			}
		}
		if *end.into, err = inDefault(text); err != nil {
			return "", "", "", rpc.Errorf(rpc.Internal, "%s: %v", end.name, err)
		}
	}
	return source, peer, destination, nil
}

// inDefault reads the name of a service, before which there may be the partition and namespace that there are.
func inDefault(text string) (string, error) {
	parts := strings.Split(text, "/")
	for _, p := range parts[:len(parts)-1] {
		if p != "default" {
			return "", fmt.Errorf("%q: namespaces and partitions are a Consul Enterprise feature", text)
		}
	}
	if name := parts[len(parts)-1]; name != "" && len(parts) <= 3 {
		return name, nil
	}
	return "", fmt.Errorf("%q is no name of a service", text)
}

// intentionExact answers GET /v1/connect/intentions/exact.
func (s *Server) intentionExact(w http.ResponseWriter, r *http.Request) (any, error) {
	source, peer, destination, err := ends(r)
	if err != nil {
		return nil, err
	}
	return s.oneIntention(w, r, configentry.OneIntention{Source: source, Peer: peer, Destination: destination})
}

// intentionUpsert answers PUT /v1/connect/intentions/exact.
func (s *Server) intentionUpsert(_ http.ResponseWriter, r *http.Request) (any, error) {
	source, peer, destination, err := ends(r)
	if err != nil {
		return nil, err
	}
	i, err := readIntention(r)
	if err != nil {
		return nil, err
	}
	i.SourceName, i.SourcePeer, i.DestinationName = source, peer, destination
	return s.writeExact(r, i, configentry.UpsertIntention)
}

// intentionDeleteExact answers DELETE /v1/connect/intentions/exact.
func (s *Server) intentionDeleteExact(_ http.ResponseWriter, r *http.Request) (any, error) {
	source, peer, destination, err := ends(r)
	if err != nil {
		return nil, err
	}
	return s.writeExact(r, &configentry.Intention{SourceName: source, SourcePeer: peer, DestinationName: destination}, configentry.DeleteIntention)
}

func (s *Server) writeExact(r *http.Request, i *configentry.Intention, verb string) (any, error) {
	c, err := configentry.Exact(i, verb)
	if err != nil {
		return nil, err
	}
	err = s.changeIntention(r, c)
	return err == nil, err
}

// intentionMatch answers GET /v1/connect/intentions/match.
func (s *Server) intentionMatch(w http.ResponseWriter, r *http.Request) (any, error) {
	q := parameters(r)
	by, names := q.Get("by"), q["name"]
	switch {
	case by == "":
		return nil, rpc.Errorf(rpc.Internal, "required query parameter 'by' not set")
	case by != "source" && by != "destination":
		return nil, rpc.Errorf(rpc.Internal, "'by' parameter must be one of 'source' or 'destination'")
	case len(names) == 0:
		return nil, rpc.Errorf(rpc.Internal, "required query parameter 'name' not set")
	case len(names) > maxMatches:
		return nil, badRequest(fmt.Sprintf("parameter 'name' is given %d times: at most %d are allowed", len(names), maxMatches))
	}
	match := configentry.Match{Source: by == "source"}
	plain := make([]string, len(names))
	for i, name := range names {
		var err error
		if plain[i], err = inDefault(name); err != nil {
			return nil, rpc.Errorf(rpc.Internal, "name: %v", err)
		}
	}
	match.Names = catalog.ListOf(plain...)
	return answerCatalog(s, w, r, configentry.MatchQuery, match)
}

// intentionCheck answers GET /v1/connect/intentions/check.
func (s *Server) intentionCheck(_ http.ResponseWriter, r *http.Request) (any, error) {
	source, _, destination, err := ends(r)
	if err != nil {
		return nil, err
	}
	if kind := parameters(r).Get("source-type"); kind != "" && kind != "consul" {
		return nil, rpc.Errorf(rpc.Internal, "unsupported SourceType: %q", kind)
	}
	answer, err := readPlainly(s, r, configentry.CheckQuery, configentry.CheckCall{Source: source, Destination: destination})
	if err != nil {
		return nil, err
	}
	return struct{ Allowed bool }{answer.Value().Allowed}, nil
}
