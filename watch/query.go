package watch

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// A Query says what to watch. Which fields have a meaning depends on the type.
type Query struct {
	// Type is one of Types.
	Type string
	// Key is for type key, Prefix for keyprefix, Name for event: that of the events, all of them if it is empty.
	Key, Prefix, Name string
	// Service is for types service, checks and connect_leaf. Tags and PassingOnly narrow what is told of a service.
	Service     string
	Tags        []string
	PassingOnly bool
	// ServiceID is for type agent_service: one that is registered on the agent itself.
	ServiceID string
	// State is for type checks: any, passing, warning or critical.
	State string
	// Filter is an expression for types services, nodes, service and checks.
	Filter string
}

// Types lists all types, sorted.
func Types() []string { return slices.Sorted(maps.Keys(kinds())) }

// A kind is one type of things that can be watched.
type kind struct {
	needs     string // the field that must be given
	takes     string // other fields that may be given
	question  func(Query) Question
	shape     func() shape
	unordered bool // an index is not a number that grows but only differs from the one before
	absent    bool // that the agent has no such thing is an answer, and no error
}

func kinds() map[string]kind {
	whole := func() shape { return compact }
	at := func(path string) func(Query) Question {
		return func(q Query) Question { return Question{Path: path, Query: q.filter()} }
	}
	return map[string]kind{
		"key": {needs: "key", shape: func() shape { return onePair }, absent: true,
			question: func(q Query) Question { return Question{Path: "/v1/kv/", Name: q.Key} }},
		"keyprefix": {needs: "prefix", shape: func() shape { return allPairs }, absent: true,
			question: func(q Query) Question {
				return Question{Path: "/v1/kv/", Name: q.Prefix, Query: url.Values{"recurse": {""}}}
			}},
		"services":      {takes: "filter", shape: whole, question: at("/v1/catalog/services")},
		"nodes":         {takes: "filter", shape: whole, question: at("/v1/catalog/nodes")},
		"service":       {needs: "service", takes: "tag passingonly filter", shape: whole, question: Query.instances},
		"checks":        {takes: "service state filter", shape: whole, question: Query.checks},
		"event":         {takes: "name", shape: newEvents, question: Query.events, unordered: true},
		"connect_roots": {shape: whole, question: at("/v1/agent/connect/ca/roots")},
		"connect_leaf": {needs: "service", shape: whole,
			question: func(q Query) Question { return Question{Path: "/v1/agent/connect/ca/leaf/", Name: q.Service} }},
		"agent_service": {needs: "service_id", shape: whole, absent: true,
			question: func(q Query) Question { return Question{Path: "/v1/agent/service/", Name: q.ServiceID} }},
	}
}

func (q Query) filter() url.Values {
	if q.Filter == "" {
		return url.Values{}
	}
	return url.Values{"filter": {q.Filter}}
}

func (q Query) instances() Question {
	values := q.filter()
	if len(q.Tags) > 0 {
		values["tag"] = q.Tags
	}
	if q.PassingOnly {
		values.Set("passing", "1")
	}
	return Question{Path: "/v1/health/service/", Name: q.Service, Query: values}
}

func (q Query) checks() Question {
	out := Question{Path: "/v1/health/state/", Name: "any", Query: q.filter()}
	switch {
	case q.Service != "":
		out.Path, out.Name = "/v1/health/checks/", q.Service
	case q.State != "":
		out.Name = q.State
	}
	return out
}

func (q Query) events() Question {
	values := url.Values{}
	if q.Name != "" {
		values.Set("name", q.Name)
	}
	return Question{Path: "/v1/event/list", Query: values}
}

// kind finds a query's type, and tells what is missing from the query or does not belong to its type.
func (q Query) kind() (kind, error) {
	k, known := kinds()[q.Type]
	if q.Type == "" {
		return k, errors.New("Watch type must be specified")
	}
	if !known {
		return k, fmt.Errorf("Unsupported watch type: %s", q.Type)
	}
	given := map[string]bool{"key": q.Key != "", "prefix": q.Prefix != "", "name": q.Name != "", "service": q.Service != "",
		"tag": len(q.Tags) > 0, "passingonly": q.PassingOnly, "service_id": q.ServiceID != "", "state": q.State != "", "filter": q.Filter != ""}
	if k.needs != "" && !given[k.needs] {
		return k, fmt.Errorf("Must specify a single %s to watch", k.needs)
	}
	taken := strings.Fields(k.needs + " " + k.takes)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if given[name] && !slices.Contains(taken, name) {
			return k, fmt.Errorf("Invalid parameters: a watch of type %q takes no %s", q.Type, name)
		}
	}
	if q.Service != "" && q.State != "" {
		return k, errors.New("Cannot specify service and state")
	}
	if q.State != "" && !slices.Contains([]string{"any", "passing", "warning", "critical"}, q.State) {
		return k, fmt.Errorf("Invalid state %q: a check is passing, warning or critical, and any stands for all", q.State)
	}
	return k, nil
}
