package agent

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"lictor/catalog"
	"lictor/kv"
	"lictor/rpc"
	"lictor/session"
)

// A sight is one kind of thing that tokens may see or do: as the request for a single one of them tells, and on each other
// path. All have to agree.
type sight struct {
	kind   string
	names  []string
	single func(token, name string) bool
	paths  map[string]func(token string) []string // which of the names a token may see, or act on
}

// grants makes random rules, exact ones and prefixes, for a few of the names of each resource.
func grants(r *rand.Rand, names map[string][]string) string {
	var rules strings.Builder
	level := func() string { return []string{"deny", "read", "write"}[r.IntN(3)] }
	done := map[string]bool{}
	for _, resource := range []string{"key", "node", "service", "session", "query", "event"} {
		for range r.IntN(5) {
			name := names[resource][r.IntN(len(names[resource]))]
			kind := resource
			if r.IntN(2) == 0 {
				kind, name = resource+"_prefix", name[:r.IntN(len(name)+1)]
			}
			if rule := fmt.Sprintf("%s %q", kind, name); !done[rule] {
				done[rule] = true
				fmt.Fprintf(&rules, "%s { policy = %q", rule, level())
				if resource == "service" && r.IntN(2) == 0 {
					fmt.Fprintf(&rules, " intentions = %q", level())
				}
				rules.WriteString(" }\n")
			}
		}
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&rules, "acl = %q\n", level())
	}
	return rules.String()
}

// allowed makes a request and tells whether it is not refused.
func (r *realm) allowed(token, method, path, body string) bool {
	r.t.Helper()
	status, text := r.askAs(token, method, path, body)
	return status != http.StatusForbidden && !strings.Contains(text, "Permission denied")
}

// one tells of each name whether a request for it is not refused.
func (r *realm) one(names []string, method, path, body string) func(token string) []string {
	return func(token string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !r.allowed(token, method, strings.ReplaceAll(path, "NAME", name), strings.ReplaceAll(body, "NAME", name))
		})
	}
}

// told lists the names that stand in what these paths answer, in quotes as JSON has them.
func (r *realm) told(names []string, paths ...string) func(token string) []string {
	return func(token string) []string {
		var all strings.Builder
		for _, path := range paths {
			_, text := r.askAs(token, "GET", path, "")
			all.WriteString(text)
		}
		return standing(names, all.String())
	}
}

func standing(names []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.Contains(text, `"`+name+`"`) })
}

// sent lists the names that stand in what the servers send other agents, once and as a stream.
func sent[A comparable, R any](r *realm, q rpc.Query[A, R], names []string, all ...A) func(token string) []string {
	return func(token string) []string {
		var text strings.Builder
		for _, args := range all {
			w := wire[A, R](r.t, args, demand{})
			w.query = true
			said, err := r.incoming(token, q.Name, &w, rpc.Peer{})
			if err != nil && rpc.CodeOf(err) != rpc.PermissionDenied {
				r.t.Fatal(err)
			}
			text.WriteString(said)
		}
		return standing(names, text.String())
	}
}

// authorized asks for each name whether an access is allowed.
func (r *realm) authorized(resource, access string) func(token, name string) bool {
	return func(token, name string) bool {
		_, text := r.askAs(token, "POST", "/v1/internal/acl/authorize", fmt.Sprintf(`[{"Resource": %q, "Segment": %q, "Access": %q}]`, resource, name, access))
		return strings.Contains(text, `"Allow":true`)
	}
}

func (r *realm) eachAuthorized(names []string, resource, access string) func(token string) []string {
	ask := r.authorized(resource, access)
	return func(token string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !ask(token, name) })
	}
}

func (r *realm) single(method, path string) func(token, name string) bool {
	return func(token, name string) bool {
		return r.allowed(token, method, strings.ReplaceAll(path, "NAME", name), "")
	}
}

// sights fills the realm and lists what there is, and the names that rules may have by resource.
func (r *realm) sights() ([]sight, map[string][]string) {
	r.t.Helper()
	keys := []string{"key/a", "key/ab", "key/a/b", "key/b", "other"}
	nodes := []string{"node-a", "node-ab", "node-b"}
	services := []string{"svc-a", "svc-ab", "svc-b"}
	events := []string{"event-a", "event-ab", "event-b"}
	var instances, sessions, queries, names, checks []string
	var ofNode, ofService, healths, executions, checked, onNode, sessionsOn []string
	for _, k := range keys {
		r.must("PUT", "/v1/kv/"+k, "x")
	}
	for _, n := range nodes {
		for i, s := range services {
			id := fmt.Sprintf("inst-%d-%s", i, n)
			instances = append(instances, id)
			r.must("PUT", "/v1/catalog/register", fmt.Sprintf(`{"Node": %[1]q, "Address": "10.0.0.1", "Service": {"ID": %[2]q, "Service": %[3]q},
				"Checks": [{"Node": %[1]q, "CheckID": "of-%[2]s", "ServiceID": %[2]q, "Status": "passing"}, {"Node": %[1]q, "CheckID": "alive-%[1]s", "Status": "passing"}]}`, n, id, s))
		}
		r.must("PUT", "/v1/coordinate/update", `{"Node": "`+n+`", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5}}`)
		sessions = append(sessions, r.fields(r.must("PUT", "/v1/session/create", `{"Node": "`+n+`", "NodeChecks": []}`))["ID"].(string))
		ofNode, onNode = append(ofNode, "/v1/catalog/node/"+n), append(onNode, "/v1/health/node/"+n)
		sessionsOn = append(sessionsOn, "/v1/session/node/"+n)
		checks = append(checks, "alive-"+n)
	}
	for _, s := range services {
		r.must("PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "`+s+`"}`)
		r.must("PUT", "/v1/config", `{"Kind": "service-intentions", "Name": "`+s+`", "Sources": [{"Name": "caller", "Action": "allow"}]}`)
		r.must("PUT", "/v1/agent/service/register", fmt.Sprintf(`{"ID": "%[1]s", "Name": %[1]q, "Check": {"CheckID": "check-%[1]s", "TTL": "1h"}}`, s))
		queries = append(queries, r.fields(r.must("POST", "/v1/query", fmt.Sprintf(`{"Name": "find-%[1]s", "Service": {"Service": %[1]q}}`, s)))["ID"].(string))
		names = append(names, "find-"+s)
		ofService, healths = append(ofService, "/v1/catalog/service/"+s), append(healths, "/v1/health/service/"+s)
		executions, checked = append(executions, "/v1/query/find-"+s+"/execute"), append(checked, "/v1/health/checks/"+s)
	}
	for _, e := range events {
		r.must("PUT", "/v1/event/fire/"+e, "")
		r.eventually(e, func() bool { return strings.Contains(r.must("GET", "/v1/event/list", ""), e) })
	}
	for _, n := range nodes {
		r.eventually(n, func() bool { return strings.Contains(r.must("GET", "/v1/coordinate/nodes", ""), `"`+n+`"`) })
	}
	nodeServices := func(token, id string) bool {
		_, node, _ := strings.Cut(strings.TrimPrefix(id, "inst-"), "-")
		return len(r.told([]string{id}, "/v1/catalog/node-services/"+node)(token)) > 0
	}
	waiting := func(path string) string { return path + "?index=1&wait=10ms" }
	each := func(paths []string, form func(string) string) []string {
		all := slices.Clone(paths)
		for i, p := range all {
			all[i] = form(p)
		}
		return all
	}
	lists := func(base string, names []string) map[string]func(string) []string {
		all := map[string]func(string) []string{}
		for _, how := range []string{"", "?stale", "?consistent", "?cached", "?index=1&wait=10ms"} {
			all[base+how] = r.told(names, base+how)
		}
		return all
	}
	seen := []sight{
		{"see a key", keys, r.single("GET", "/v1/kv/NAME"), map[string]func(string) []string{
			"recurse": r.told(keys, "/v1/kv/?recurse"), "keys": r.told(keys, "/v1/kv/?keys"), "waiting": r.told(keys, "/v1/kv/?recurse&index=1&wait=10ms"), "cached": r.told(keys, "/v1/kv/?keys&cached"),
			"get in a transaction": r.one(keys, "PUT", "/v1/txn", `[{"KV": {"Verb": "get", "Key": "NAME"}}]`),
			"tree in a transaction": func(token string) []string {
				_, text := r.askAs(token, "PUT", "/v1/txn", `[{"KV": {"Verb": "get-tree", "Key": "key"}}, {"KV": {"Verb": "get-tree", "Key": "o"}}]`)
				return standing(keys, text)
			},
			"stream of rows": sent(r, kv.ListQuery, keys, kv.List{}), "stream of names": sent(r, kv.KeysQuery, keys, kv.Keys{}), "stream of one": sent(r, kv.GetQuery, keys, gets(keys)...),
			"authorize": r.eachAuthorized(keys, "key", "read")}},
		{"write a key", keys, r.single("PUT", "/v1/kv/NAME?cas=999999999"), map[string]func(string) []string{
			"delete": r.one(keys, "DELETE", "/v1/kv/NAME?cas=999999999", ""), "acquire": r.one(keys, "PUT", "/v1/kv/NAME?acquire="+someID, ""),
			"cas in a transaction":    r.one(keys, "PUT", "/v1/txn", `[{"KV": {"Verb": "cas", "Key": "NAME", "Index": 999999999}}]`),
			"delete in a transaction": r.one(keys, "PUT", "/v1/txn", `[{"KV": {"Verb": "delete-cas", "Key": "NAME", "Index": 999999999}}]`),
			"lock in a transaction":   r.one(keys, "PUT", "/v1/txn", `[{"KV": {"Verb": "lock", "Key": "NAME", "Session": "`+someID+`"}}]`),
			"authorize":               r.eachAuthorized(keys, "key", "write")}},
		{"see a node", nodes, func(token, name string) bool { return len(r.told([]string{name}, "/v1/catalog/node/"+name)(token)) > 0 }, merged(lists("/v1/catalog/nodes", nodes), map[string]func(string) []string{
			"places": r.told(nodes, "/v1/coordinate/nodes"), "place": r.one(nodes, "GET", "/v1/coordinate/node/NAME", ""), "stream": sent(r, catalog.NodesQuery, nodes, catalog.Nodes{}),
			"get in a transaction": r.one(nodes, "PUT", "/v1/txn", `[{"Node": {"Verb": "get", "Node": {"Node": "NAME"}}}]`), "authorize": r.eachAuthorized(nodes, "node", "read")})},
		{"see a check of a node", checks, func(token, name string) bool {
			return r.authorized("node", "read")(token, strings.TrimPrefix(name, "alive-"))
		}, map[string]func(string) []string{"health": r.told(checks, onNode...), "state": r.told(checks, "/v1/health/state/any"), "waiting": r.told(checks, waiting("/v1/health/state/passing"))}},
		{"see a service", services, r.authorized("service", "read"), merged(lists("/v1/catalog/services", services), map[string]func(string) []string{
			"stream": sent(r, catalog.ServicesQuery, services, catalog.Services{}), "of the agent": r.told(services, "/v1/agent/services"), "one of the agent": r.one(services, "GET", "/v1/agent/service/NAME", ""),
			"its health at the agent": r.one(services, "GET", "/v1/agent/health/service/id/NAME", ""), "by name": r.one(services, "GET", "/v1/agent/health/service/name/NAME", ""),
			"its check at the agent": r.told(services, "/v1/agent/checks"), "its settings": r.one(services, "GET", "/v1/config/service-defaults/NAME", ""), "all settings": r.told(services, "/v1/config/service-defaults")})},
		{"write a service", services, r.authorized("service", "write"), map[string]func(string) []string{
			"maintenance": r.one(services, "PUT", "/v1/agent/service/maintenance/NAME?enable=false", ""), "check": r.one(services, "PUT", "/v1/agent/check/pass/check-NAME", ""),
			"settings": r.one(services, "PUT", "/v1/config?cas=999999999", `{"Kind": "service-defaults", "Name": "NAME"}`)}},
		{"see an instance", instances, nodeServices, map[string]func(string) []string{
			"node": r.told(instances, ofNode...), "service": r.told(instances, ofService...), "health": r.told(instances, healths...), "waiting": r.told(instances, each(healths, waiting)...),
			"query": r.told(instances, executions...), "checks": r.told(instances, checked...), "checks of nodes": r.told(instances, onNode...), "state": r.told(instances, "/v1/health/state/any"),
			"stream": sent(r, catalog.ServiceHealthQuery, instances, catalog.ServiceHealth{Service: "svc-a"}, catalog.ServiceHealth{Service: "svc-ab"}, catalog.ServiceHealth{Service: "svc-b"})}},
		{"see a session", sessions, func(token, id string) bool { return len(r.told([]string{id}, "/v1/session/info/"+id)(token)) > 0 }, merged(lists("/v1/session/list", sessions), map[string]func(string) []string{
			"of nodes": r.told(sessions, sessionsOn...), "stream": sent(r, session.ListQuery, sessions, session.List{})})},
		{"see a query", names, func(token, name string) bool {
			return r.allowed(token, "GET", "/v1/query/"+queries[slices.Index(names, name)], "")
		}, map[string]func(string) []string{
			"list": r.told(names, "/v1/query"), "waiting": r.told(names, waiting("/v1/query")), "explain": r.one(names, "GET", "/v1/query/NAME/explain", "")}},
		{"see an event", events, r.authorized("event", "read"), lists("/v1/event/list", events)},
		{"see intentions", services, r.single("GET", "/v1/config/service-intentions/NAME"), map[string]func(string) []string{
			"all": r.told(services, "/v1/config/service-intentions"), "match": r.one(services, "GET", "/v1/connect/intentions/match?by=destination&name=NAME", ""),
			"check": r.one(services, "GET", "/v1/connect/intentions/check?source=caller&destination=NAME", ""), "exact": r.one(services, "GET", "/v1/connect/intentions/exact?source=caller&destination=NAME", "")}},
		{"take everything", []string{""}, r.authorized("acl", "write"), map[string]func(string) []string{"snapshot": r.one([]string{""}, "GET", "/v1/snapshot", "")}},
	}
	return seen, map[string][]string{"key": keys, "node": nodes, "service": services, "session": nodes, "query": names, "event": events}
}

// gets ask for each key.
func gets(keys []string) []kv.Get {
	var all []kv.Get
	for _, k := range keys {
		all = append(all, kv.Get{Key: k})
	}
	return all
}

func merged(a, b map[string]func(string) []string) map[string]func(string) []string {
	maps.Copy(a, b)
	return a
}

// What a token may see and do is the same on every path, whatever its rules are.
func TestAllPathsAllowTheSame(t *testing.T) {
	r := newRealm(t)
	sights, names := r.sights()
	mixed := map[string]bool{} // kinds of which some token had some
	for seed := range uint64(8) {
		rules := grants(rand.New(rand.NewPCG(seed, 4)), names)
		token, _ := r.token(rules, 0)
		for _, s := range sights {
			want := slices.DeleteFunc(slices.Clone(s.names), func(name string) bool { return !s.single(token, name) })
			mixed[s.kind] = mixed[s.kind] || len(want) > 0
			for path, find := range s.paths {
				if got := find(token); !slices.Equal(got, want) {
					t.Errorf("seed %d: to %s: alone %q, by %s %q, with the rules\n%s", seed, s.kind, want, path, got, rules)
				}
			}
		}
	}
	for _, s := range sights {
		if !mixed[s.kind] {
			t.Errorf("no token was allowed to %s: the test compares nothing", s.kind)
		}
	}
}
