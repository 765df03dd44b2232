package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"lictor/catalog"
	prepared "lictor/query"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// queryNames are Consul's names for the types of package query, for messages.
var queryNames = map[string]string{
	"Query":    "PreparedQuery",
	"Template": "QueryTemplateOptions",
	"Service":  "ServiceQuery",
	"Failover": "QueryFailoverOptions",
	"Target":   "QueryFailoverTarget",
	"DNS":      "QueryDNSOptions",
}

// queryCreate answers POST /v1/query.
func (s *Server) queryCreate(_ http.ResponseWriter, r *http.Request) (any, error) {
	var set prepared.Set
	if err := decode(r, &set.Query, queryNames); err != nil {
		return nil, err
	}
	id, err := call(s, r, prepared.CreateMethod, &set)
	if err != nil {
		return nil, err
	}
	return struct{ ID string }{id}, nil
}

// queryUpdate answers PUT /v1/query/ID.
func (s *Server) queryUpdate(w http.ResponseWriter, r *http.Request) (any, error) {
	var set prepared.Set
	if err := decode(r, &set.Query, queryNames); err != nil {
		return nil, err
	}
	set.Query.ID = strings.TrimPrefix(r.URL.Path, "/v1/query/")
	_, err := call(s, r, prepared.UpdateMethod, &set)
	return nothing(w, err)
}

// queryDelete answers DELETE /v1/query/ID.
func (s *Server) queryDelete(w http.ResponseWriter, r *http.Request) (any, error) {
	_, err := call(s, r, prepared.DeleteMethod, &prepared.Delete{ID: strings.TrimPrefix(r.URL.Path, "/v1/query/")})
	return nothing(w, err)
}

// nothing is the answer to what succeeded and has nothing to say.
func nothing(w http.ResponseWriter, err error) (any, error) {
	if err == nil {
		w.Header()["Content-Type"] = jsonType
	}
	return written, err
}

// queryList answers GET /v1/query.
func (s *Server) queryList(w http.ResponseWriter, r *http.Request) (any, error) {
	return answerCatalog(s, w, r, prepared.ListQuery, prepared.List{})
}

// queryRead answers GET /v1/query/ID, and what is below it.
func (s *Server) queryRead(w http.ResponseWriter, r *http.Request) (any, error) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/query/")
	if name, ok := strings.CutSuffix(id, "/execute"); ok {
		return s.queryExecute(w, r, name)
	}
	if name, ok := strings.CutSuffix(id, "/explain"); ok {
		return s.queryExplain(w, r, name)
	}
	return answerCatalog(s, w, r, prepared.GetQuery, prepared.Get{ID: id})
}

// A readMeta is how fresh an answer is, for those that say so in their body.
type readMeta struct {
	Index                 uint64
	LastContact           int64 // milliseconds
	KnownLeader           bool
	ConsistencyLevel      string
	NotModified           bool
	Backend               int
	ResultsFilteredByACLs bool
}

// A queryExplanation is what explain shows.
type queryExplanation struct {
	Query *prepared.Query
	readMeta
}

// A queryResult is what execute shows.
type queryResult struct {
	Service    string
	Nodes      []*catalog.Entry
	DNS        prepared.DNS
	Datacenter string
	PeerName   string
	Failovers  int
	readMeta
}

func (s *Server) queryExplain(w http.ResponseWriter, r *http.Request, name string) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	answer, err := readOnce(s, w, r, opts, prepared.ExplainQuery, prepared.Explain{Name: name})
	if err != nil {
		return nil, err
	}
	return queryExplanation{answer.Value(), metaOf(w, answer, false)}, nil
}

// queryExecute answers GET /v1/query/NAME/execute.
func (s *Server) queryExecute(w http.ResponseWriter, r *http.Request, name string) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	params, limit := parameters(r), 0
	if l := params.Get("limit"); l != "" {
		if limit, err = strconv.Atoi(l); err != nil {
			return nil, &statusError{http.StatusInternalServerError, "Bad limit: " + err.Error()}
		}
	}
	args := prepared.Execute{Name: name, Near: params.Get("near"), Agent: s.Node}
	if c := params.Get("connect"); c != "" {
		if args.Connect, err = strconv.ParseBool(c); err != nil {
			return nil, &statusError{http.StatusInternalServerError, "Bad connect: " + err.Error()}
		}
	}
	s.cached.note(w, r, args)
	answer, err := readOnce(s, w, r, opts, prepared.ExecuteQuery, args)
	if err == nil && answer.Value().ByIP {
		args.IP = askerIP(r)
		answer, err = readOnce(s, w, r, opts, prepared.ExecuteQuery, args)
	}
	if err != nil {
		return nil, err
	}
	found := answer.Value()
	if found.FailsOver && len(found.Nodes) == 0 {
		found, err = call(s, r, prepared.ElsewhereMethod, &prepared.Elsewhere{Execute: args, Token: token(r), Limit: limit})
		if err == nil && found == nil {
			err = prepared.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
	}
	if found.Filtered {
		w.Header()["X-Consul-Results-Filtered-By-Acls"] = isTrue
	}
	nodes := found.Choose(limit)
	if nodes == nil {
		nodes = []*catalog.Entry{}
	}
	return queryResult{Service: found.Service, Nodes: nodes, DNS: found.DNS, Datacenter: found.Datacenter,
		Failovers: found.Failovers, readMeta: metaOf(w, answer, found.Filtered)}, nil
}

// readOnce is a read that never waits for a change. An answer that is nil becomes an error.
func readOnce[A comparable, R any](s *Server, w http.ResponseWriter, r *http.Request, opts *view.Options, q rpc.Query[A, *R], args A) (view.Answer[*R], error) {
	opts.MinIndex = 0
	answer, err := view.Read(r.Context(), s.Views, q, opts, args)
	if err == nil && answer.Value() == nil {
		err = prepared.ErrNotFound
	}
	if err != nil {
		writeMeta(w.Header(), 0, state.ReadMeta{})
		return answer, err
	}
	writeCatalogMeta(w.Header(), answer, opts)
	return answer, nil
}

func metaOf[R any](w http.ResponseWriter, answer view.Answer[R], filtered bool) readMeta {
	return readMeta{Index: answer.Index(), LastContact: answer.LastContact.Milliseconds(), KnownLeader: answer.KnownLeader,
		ConsistencyLevel: w.Header()["X-Consul-Effective-Consistency"][0], ResultsFilteredByACLs: filtered}
}

// askerIP is where a request comes from: what a proxy in front of this agent says, or else the connection.
func askerIP(r *http.Request) string {
	host, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	if host = strings.TrimSpace(host); host == "" {
		var err error
		if host, _, err = net.SplitHostPort(r.RemoteAddr); err != nil {
			return ""
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}
