package httpapi

import (
	"net/http"

	"lictor/rpc"
)

// A route is a path with what answers each method there. A path that ends in a slash takes all that is below it.
type route struct {
	path     string
	methods  []string // in the order of the Allow header
	handlers []handler
}

// on makes a route of methods and handlers in turn.
func on(path string, pairs ...any) route {
	rt := route{path: path}
	for i := 0; i < len(pairs); i += 2 {
		rt.methods = append(rt.methods, pairs[i].(string))
		rt.handlers = append(rt.handlers, pairs[i+1].(func(*Server, http.ResponseWriter, *http.Request) (any, error)))
	}
	return rt
}

func (rt *route) handlerOf(method string) handler {
	for i, m := range rt.methods {
		if m == method {
			return rt.handlers[i]
		}
	}
	return nil
}

const (
	get  = http.MethodGet
	put  = http.MethodPut
	post = http.MethodPost
	del  = http.MethodDelete
)

// routes is THE list of routes.
var routes = []route{
	on("/v1/kv/", get, (*Server).kvGet, put, (*Server).kvPut, del, (*Server).kvDelete),
	on("/v1/status/leader", get, (*Server).statusLeader),
	on("/v1/status/peers", get, (*Server).statusPeers),
}

// notYet answers for what a later version will have.
func notYet(feature string) func(*Server, http.ResponseWriter, *http.Request) (any, error) {
	return func(*Server, http.ResponseWriter, *http.Request) (any, error) {
		return nil, rpc.Errorf(rpc.NotImplemented, "%s: not in this version of Lictor yet", feature)
	}
}
