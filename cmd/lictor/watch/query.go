package watch

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"lictor/cmd/lictor/client"
)

// A Query says what to watch. Which fields have a meaning depends on the type.
type Query struct {
	// Type is key, keyprefix, services, nodes, service, checks or event.
	Type string
	// Key is for type key, Prefix for keyprefix, Name for event: that of the events, all of them if it is empty.
	Key, Prefix, Name string
	// Service is for types service and checks. Tags and PassingOnly narrow what is told of a service.
	Service     string
	Tags        []string
	PassingOnly bool
	// State is for type checks: any, passing, warning or critical.
	State string
	// Filter is an expression for types services, nodes, service and checks.
	Filter string
}

// Types lists all types, sorted.
func Types() []string { return slices.Sorted(maps.Keys(kinds())) }

// A kind is one type of things that can be watched.
type kind struct {
	needs   string // the field that must be given
	takes   string // other fields that may be given
	request func(Query) client.Request
	shape   func() shape
	hashed  bool
}

func kinds() map[string]kind {
	whole := func() shape { return compact }
	return map[string]kind{
		"key": {needs: "key", shape: func() shape { return onePair },
			request: func(q Query) client.Request { return client.Request{Path: "/v1/kv/" + q.Key} }},
		"keyprefix": {needs: "prefix", shape: func() shape { return allPairs },
			request: func(q Query) client.Request {
				return client.Request{Path: "/v1/kv/" + q.Prefix, Query: url.Values{"recurse": {""}}}
			}},
		"services": {takes: "filter", shape: whole,
			request: func(q Query) client.Request { return client.Request{Path: "/v1/catalog/services", Query: q.filter()} }},
		"nodes": {takes: "filter", shape: whole,
			request: func(q Query) client.Request { return client.Request{Path: "/v1/catalog/nodes", Query: q.filter()} }},
		"service": {needs: "service", takes: "tag passingonly filter", shape: whole, request: Query.instances},
		"checks":  {takes: "service state filter", shape: whole, request: Query.checks},
		"event":   {takes: "name", shape: newEvents, request: Query.events, hashed: true},
	}
}

func (q Query) filter() url.Values {
	if q.Filter == "" {
		return url.Values{}
	}
	return url.Values{"filter": {q.Filter}}
}

func (q Query) instances() client.Request {
	values := q.filter()
	if len(q.Tags) > 0 {
		values["tag"] = q.Tags
	}
	if q.PassingOnly {
		values.Set("passing", "1")
	}
	return client.Request{Path: "/v1/health/service/" + q.Service, Query: values}
}

func (q Query) checks() client.Request {
	path := "/v1/health/state/any"
	switch {
	case q.Service != "":
		path = "/v1/health/checks/" + q.Service
	case q.State != "":
		path = "/v1/health/state/" + q.State
	}
	return client.Request{Path: path, Query: q.filter()}
}

func (q Query) events() client.Request {
	values := url.Values{}
	if q.Name != "" {
		values.Set("name", q.Name)
	}
	return client.Request{Path: "/v1/event/list", Query: values}
}

// check tells what is missing from a query, or does not belong to its type.
func (q Query) check(k kind) error {
	given := map[string]bool{"key": q.Key != "", "prefix": q.Prefix != "", "name": q.Name != "", "service": q.Service != "",
		"tag": len(q.Tags) > 0, "passingonly": q.PassingOnly, "state": q.State != "", "filter": q.Filter != ""}
	if k.needs != "" && !given[k.needs] {
		return fmt.Errorf("Must specify a single %s to watch", k.needs)
	}
	taken := strings.Fields(k.needs + " " + k.takes)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name] && !slices.Contains(taken, name) {
			return fmt.Errorf("Invalid parameters: a watch of type %q takes no %s", q.Type, name)
		}
	}
	if q.Service != "" && q.State != "" {
		return errors.New("Cannot specify service and state")
	}
	return nil
}
