package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/event"
	"lictor/gossip"
	"lictor/kv"
	"lictor/kvreplication"
	prepared "lictor/query"
	"lictor/raftstore"
	"lictor/replica"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
	"lictor/view"
)

// A demand is what a method or query needs: it is carried out for who has exactly that, and for nobody else.
type demand struct {
	open   string // why it answers everybody; the rest is for those that do not
	rules  string // exactly what it needs
	narrow string // somewhat less
	shows  string // what its answer shows to who may see it; "" is for what is refused as a whole
	fails  string // why it fails here for who has the right
}

// A wired call is one of a method or query as it comes in on the port of the servers.
type wired struct {
	demand
	query bool
	args  []byte
	text  func(reply []byte) string // a reply as JSON
}

func wire[A, R any](t testing.TB, args A, d demand) wired {
	t.Helper()
	b, err := rpc.Append(nil, &args)
	if err != nil {
		t.Fatal(err)
	}
	return wired{demand: d, args: b, text: func(reply []byte) string {
		var r R
		if err := rpc.Decode(reply, &r); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}}
}

// A desk has the calls by name.
type desk struct {
	t   testing.TB
	all map[string]wired
}

func called[A, R any](d *desk, m rpc.Method[A, R], args A, what demand) {
	d.all[m.Name] = wire[A, R](d.t, args, what)
}

func asked[A comparable, R any](d *desk, q rpc.Query[A, R], args A, what demand) {
	w := wire[A, R](d.t, args, what)
	w.query = true
	d.all[q.Name] = w
}

// incoming carries out a call that another agent makes, a server or not.
func (s *subject) incoming(token, name string, w *wired, peer rpc.Peer) (string, error) {
	s.t.Helper()
	r := &rpc.Request{Header: rpc.Header{Token: token}, Method: name, Args: w.args, Peer: peer}
	if !w.query {
		reply, err := s.server.Answer(within(s.t), r)
		if err != nil {
			return "", err
		}
		return w.text(reply), nil
	}
	ask := view.Ask{Query: name, Args: w.args}
	body, err := ask.MarshalMsg(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Method, r.Args = fetchMethod, body
	fetched, failed := s.server.Answer(within(s.t), r)
	r.Method = followMethod
	enough := errors.New("the first answer is enough")
	var followed []byte
	err = s.server.Stream(within(s.t), r, func(message []byte) error {
		followed = bytes.Clone(message)
		return enough
	})
	if (failed == nil) != errors.Is(err, enough) || failed != nil && rpc.CodeOf(failed) != rpc.CodeOf(err) {
		s.t.Errorf("%s: who fetches gets %v, who follows %v", name, failed, err)
	}
	if failed != nil {
		return "", failed
	}
	var texts [2]string
	for i, message := range [][]byte{fetched, followed} {
		var p view.Packed
		if _, err := p.UnmarshalMsg(message); err != nil {
			s.t.Fatal(err)
		}
		texts[i] = w.text(p.Body)
	}
	if texts[0] != texts[1] {
		s.t.Errorf("%s: who fetches gets %s, who follows %s", name, texts[0], texts[1])
	}
	return texts[0], nil
}

// Levels of access to what the realm is full of.
func onNode(level string) string    { return `node "secret-node" { policy = "` + level + `" } ` }
func onService(level string) string { return `service "secret-service" { policy = "` + level + `" } ` }
func onSession(level string) string { return `session "secret-node" { policy = "` + level + `" } ` }
func onQuery(level string) string   { return `query "secret-query" { policy = "` + level + `" } ` }
func onKey(level string) string     { return `key "secret/key" { policy = "` + level + `" } ` }

// demands are those of all methods and queries.
func (r *realm) demands(t *testing.T) map[string]wired {
	t.Helper()
	r.must("PUT", "/v1/kv/secret/key", "x")
	r.must("PUT", "/v1/kv/secret/gone", "x")
	r.must("PUT", "/v1/agent/service/register", `{"ID": "secret-id", "Name": "secret-service", "Address": "10.6.6.6", "Connect": {"Native": true}, "Check": {"CheckID": "secret-check", "TTL": "1h", "Status": "passing"}}`)
	r.eventually("the service is there", func() bool {
		return strings.Contains(r.must("GET", "/v1/health/service/secret-service", ""), "secret-check")
	})
	r.must("PUT", "/v1/catalog/register", `{"Node": "secret-gone", "Address": "10.0.0.9"}`)
	for _, name := range []string{"secret-service", "secret-gone"} {
		r.must("PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "`+name+`"}`)
	}
	r.must("PUT", "/v1/config", `{"Kind": "terminating-gateway", "Name": "secret-gateway", "Services": [{"Name": "secret-service"}]}`)
	r.must("PUT", "/v1/connect/intentions/exact?source=secret-caller&destination=secret-service", `{"Action": "allow"}`)
	r.must("PUT", "/v1/coordinate/update", `{"Node": "secret-node", "Coord": {"Vec": [0,0,0,0,0,0,0,0], "Error": 1.5}}`)
	r.eventually("the place is there", func() bool { return strings.Contains(r.must("GET", "/v1/coordinate/nodes", ""), "secret-node") })
	id := func(method, path, body string) string { return r.fields(r.must(method, path, body))["ID"].(string) }
	lasting, ended := id("PUT", "/v1/session/create", `{"TTL": "1h"}`), id("PUT", "/v1/session/create", `{"TTL": "1h"}`)
	query := id("POST", "/v1/query", `{"Name": "secret-query", "Service": {"Service": "secret-service"}}`)
	doomed := id("POST", "/v1/query", `{"Name": "secret-gone", "Service": {"Service": "secret-service"}}`)
	_, spare := r.token("", 0)

	const mayRead, mayWrite = `acl = "read"`, `acl = "write"`
	d := &desk{t, map[string]wired{}}
	aclRead := demand{rules: mayRead, narrow: `operator = "write"`}
	aclWrite := func(fails string) demand { return demand{rules: mayWrite, narrow: mayRead, fails: fails} }
	called(d, acl.BootstrapMethod, acl.Bootstrap{}, demand{open: "whoever comes first"})
	called(d, acl.LoginMethod, acl.Login{AuthMethod: "none"}, demand{open: "whoever can prove something"})
	called(d, acl.StartOIDCMethod, acl.OIDCStart{AuthMethod: "none"}, demand{open: "whoever wants to prove something"})
	called(d, acl.FinishOIDCMethod, acl.OIDCCallback{AuthMethod: "none"}, demand{open: "whoever can prove something"})
	called(d, acl.LogoutMethod, struct{}{}, demand{open: "to each its own"})
	called(d, acl.ResolveMethod, struct{}{}, demand{open: "to each its own"})
	called(d, acl.ResolveGlobalMethod, acl.Abroad{Datacenter: "dc2"}, demand{open: "to each its own"})
	called(d, acl.ReplicationMethod, struct{}{}, demand{open: "as by Consul"})
	called(d, replica.ListMethod, replica.Question{Kinds: []replica.Seen{{Kind: "acl-tokens"}}}, aclRead)
	called(d, replica.FetchMethod, replica.Selection{Kind: "acl-tokens", Keys: []string{acl.AnonymousID}}, aclWrite(""))
	called(d, acl.SetPolicyMethod, acl.PolicyChange{Policy: acl.Policy{Name: "mine"}}, aclWrite(""))
	called(d, acl.DeletePolicyMethod, acl.ByID{ID: someID}, aclWrite(""))
	called(d, acl.SetRoleMethod, acl.RoleChange{Role: acl.Role{Name: "mine"}}, aclWrite(""))
	called(d, acl.DeleteRoleMethod, acl.ByID{ID: someID}, aclWrite(""))
	called(d, acl.SetTokenMethod, acl.TokenChange{Create: true}, aclWrite(""))
	called(d, acl.CloneTokenMethod, acl.Clone{AccessorID: spare}, aclWrite(""))
	called(d, acl.DeleteTokenMethod, acl.ByID{ID: someID}, aclWrite(""))
	called(d, acl.SetAuthMethodMethod, acl.AuthMethodChange{Method: acl.AuthMethod{Name: "mine", Type: "jwt"}}, aclWrite("exactly one of"))
	called(d, acl.DeleteAuthMethodMethod, acl.ByName{Name: "mine"}, aclWrite(""))
	called(d, acl.SetBindingRuleMethod, acl.BindingRuleChange{Rule: acl.BindingRule{AuthMethod: "none"}}, aclWrite("cannot find auth method"))
	called(d, acl.DeleteBindingRuleMethod, acl.ByID{ID: someID}, aclWrite(""))
	called(d, acl.ExplainMethod, acl.Question{Resource: "key", Access: "read"}, aclRead)
	asked(d, acl.SelfQuery, acl.Self{}, demand{open: "to each its own"})
	asked(d, acl.TokenQuery, acl.OneToken{AccessorID: acl.AnonymousID}, aclRead)
	asked(d, acl.TokensQuery, acl.ListTokens{}, aclRead)
	asked(d, acl.PolicyQuery, acl.Named{Name: "mine"}, aclRead)
	asked(d, acl.PoliciesQuery, acl.ListPolicies{}, aclRead)
	asked(d, acl.RoleQuery, acl.Named{Name: "mine"}, aclRead)
	asked(d, acl.RolesQuery, acl.ListRoles{}, aclRead)
	asked(d, acl.AuthMethodQuery, acl.Named{Name: "mine"}, aclRead)
	asked(d, acl.AuthMethodsQuery, acl.ListAuthMethods{}, aclRead)
	asked(d, acl.BindingRuleQuery, acl.Named{ID: someID}, aclRead)
	asked(d, acl.BindingRulesQuery, acl.ListBindingRules{}, aclRead)

	operator := func(level, fails string) demand {
		narrow := mayWrite
		if level == "write" {
			narrow = `operator = "read" acl = "write"`
		}
		return demand{rules: `operator = "` + level + `"`, narrow: narrow, fails: fails}
	}
	amongServers := demand{open: "servers alone may call it"}
	called(d, ca.SettingsMethod, struct{}{}, operator("write", ""))
	called(d, ca.SetSettingsMethod, ca.Change{Provider: "none"}, operator("write", "none"))
	called(d, ca.SignMethod, ca.SignRequest{Node: "secret-node"}, demand{rules: onNode("write"), narrow: onNode("read"), fails: "auto_encrypt"})
	called(d, ca.IntroduceMethod, ca.Introduce{}, demand{open: "the token that introduces says who may"})
	asked(d, ca.RootsQuery, struct{}{}, demand{open: "root certificates are public"})
	called(d, inviteMethod, nil, amongServers)
	called(d, raftstore.LogStatsMethod, struct{}{}, amongServers)
	called(d, raftstore.ReadIndexMethod, raftstore.ReadIndex{}, amongServers)
	called(d, raftstore.LeaderMethod, struct{}{}, demand{open: "as by Consul"})
	called(d, raftstore.PeersMethod, struct{}{}, demand{open: "as by Consul"})
	called(d, raftstore.ConfigurationMethod, struct{}{}, operator("read", ""))
	called(d, raftstore.FitnessMethod, struct{}{}, operator("read", ""))
	called(d, raftstore.AutopilotMethod, state.ReadOptions{}, operator("read", ""))
	called(d, raftstore.SetAutopilotMethod, raftstore.SetAutopilot{Config: raftstore.DefaultAutopilot()}, operator("write", ""))
	called(d, kvreplication.StatusMethod, struct{}{}, operator("read", ""))
	called(d, replica.ListMethod, replica.Question{Kinds: []replica.Seen{{Kind: "acl-tokens"}}}, aclRead)
	called(d, replica.FetchMethod, replica.Selection{Kind: "acl-tokens", Keys: []string{acl.AnonymousID}}, aclWrite(""))
	called(d, raftstore.RemovePeerMethod, raftstore.Peer{ID: "x"}, operator("write", "x"))
	called(d, raftstore.TransferLeaderMethod, raftstore.Peer{}, operator("write", "peer"))
	called(d, gossip.KeyringMethod, gossip.KeyringRequest{Operation: gossip.ListKeys}, demand{rules: `keyring = "read"`, narrow: `operator = "write"`, fails: "encrypt"})

	nodeWrite := demand{rules: onNode("write"), narrow: onNode("read") + onService("write")}
	shown := func(rules, narrow, shows string) demand { return demand{rules: rules, narrow: narrow, shows: shows} }
	ofInstances := shown(onNode("read")+onService("read"), onService("write"), "secret-node")
	called(d, catalog.RegisterMethod, catalog.Register{Node: "secret-node", Address: "127.0.0.1"}, nodeWrite)
	called(d, catalog.DeregisterMethod, catalog.Deregister{Node: "secret-gone"}, demand{rules: `node "secret-gone" { policy = "write" }`, narrow: `node "secret-gone" { policy = "read" }`})
	asked(d, catalog.NodesQuery, catalog.Nodes{}, shown(onNode("read"), onService("write"), "secret-node"))
	asked(d, catalog.NodeQuery, catalog.OnNode{Node: "secret-node"}, shown(onNode("read"), onService("write"), "secret-node"))
	asked(d, catalog.NodeServicesQuery, catalog.OnNode{Node: "secret-node"}, shown(onNode("read")+onService("read"), onNode("write"), "secret-service"))
	asked(d, catalog.ServicesQuery, catalog.Services{}, shown(onService("read"), onNode("write"), "secret-service"))
	asked(d, catalog.ServiceNodesQuery, catalog.ServiceNodes{Service: "secret-service"}, ofInstances)
	asked(d, catalog.ServiceHealthQuery, catalog.ServiceHealth{Service: "secret-service"}, ofInstances)
	asked(d, catalog.NodeChecksQuery, catalog.NodeChecks{Node: "secret-node"}, shown(onNode("read")+onService("read"), onNode("write"), "secret-check"))
	asked(d, catalog.ServiceChecksQuery, catalog.ServiceChecks{Service: "secret-service"}, ofInstances)
	asked(d, catalog.ChecksInStateQuery, catalog.ChecksInState{State: catalog.AnyState}, shown(onNode("read")+onService("read"), onNode("write"), "secret-check"))
	asked(d, catalog.AddressQuery, catalog.AtAddress{Address: "10.6.6.6"}, ofInstances)
	asked(d, catalog.VirtualAddressQuery, catalog.VirtualAddress{Service: "secret-service"}, shown(onService("read"), onNode("write"), "240."))
	asked(d, catalog.UsageQuery, catalog.Count{}, operator("read", ""))
	asked(d, catalog.GatewayQuery, catalog.GatewayServices{Gateway: "secret-gateway"},
		shown(onService("read")+`service "secret-gateway" { policy = "read" }`, `service "secret-gateway" { policy = "write" }`, "secret-service"))

	gone := `service "secret-gone" { policy = "write" }`
	intentions := func(level string) string {
		return `service "secret-service" { policy = "write" intentions = "` + level + `" } `
	}
	readIntentions := demand{rules: intentions("read"), narrow: intentions("deny")}
	called(d, configentry.PutMethod, configentry.Put{Entry: configentry.Entry{Kind: configentry.ServiceDefaults, Name: "secret-service", Text: "{}"}}, demand{rules: onService("write"), narrow: onService("read")})
	called(d, configentry.DeleteMethod, configentry.Delete{Kind: configentry.ServiceDefaults, Name: "secret-gone"}, demand{rules: gone, narrow: onService("write")})
	called(d, configentry.ChangeIntentionMethod, configentry.ChangeIntention{Verb: configentry.UpsertIntention, Destination: "secret-service", Source: `{"Name": "x", "Action": "allow"}`}, demand{rules: intentions("write"), narrow: intentions("read")})
	asked(d, configentry.GetQuery, configentry.Get{Kind: configentry.ServiceDefaults, Name: "secret-service"}, demand{rules: onService("read"), narrow: onNode("write")})
	asked(d, configentry.ListQuery, configentry.List{}, shown(onService("read"), onNode("write"), "secret-service"))
	asked(d, configentry.ExportedQuery, configentry.Exported{}, demand{rules: `mesh = "read"`, narrow: `mesh = "deny" operator = "write"`})
	asked(d, configentry.ListIntentionsQuery, configentry.ListIntentions{}, shown(intentions("read"), intentions("deny"), "secret-caller"))
	asked(d, configentry.OneIntentionQuery, configentry.OneIntention{Source: "secret-caller", Destination: "secret-service"}, readIntentions)
	asked(d, configentry.MatchQuery, configentry.Match{Names: catalog.ListOf("secret-service")}, readIntentions)
	asked(d, configentry.CheckQuery, configentry.CheckCall{Source: "x", Destination: "secret-service"}, demand{rules: onService("read"), narrow: onNode("write")})

	called(d, coordinate.UpdateMethod, coordinate.Update{Node: "secret-node", Coord: &coordinate.Coordinate{Vec: make([]float64, 8), Error: 1.5}}, nodeWrite)
	called(d, coordinate.NamesMethod, struct{}{}, demand{open: "which datacenters there are is no secret"})
	called(d, coordinate.DatacentersMethod, struct{}{}, demand{open: "which datacenters there are is no secret"})
	asked(d, coordinate.NodesQuery, coordinate.Nodes{}, shown(onNode("read"), onService("write"), "secret-node"))
	asked(d, coordinate.NodeQuery, coordinate.OneNode{Node: "secret-node"}, demand{rules: onNode("read"), narrow: onService("write")})
	called(d, event.FireMethod, event.Event{Name: "secret-event"}, demand{rules: `event "secret-event" { policy = "write" }`, narrow: `event "secret-event" { policy = "read" }`})

	called(d, kv.PutMethod, kv.Put{Key: "secret/key"}, demand{rules: onKey("write"), narrow: onKey("read")})
	called(d, kv.DeleteMethod, kv.Delete{Key: "secret/gone"}, demand{rules: `key "secret/gone" { policy = "write" }`, narrow: onKey("write")})
	asked(d, kv.GetQuery, kv.Get{Key: "secret/key"}, demand{rules: onKey("read"), narrow: `key_prefix "secret/k" { policy = "read" } ` + onKey("deny")})
	asked(d, kv.ListQuery, kv.List{Prefix: "secret/"}, shown(onKey("read"), `key "secret/" { policy = "write" }`, "secret/key"))
	asked(d, kv.KeysQuery, kv.Keys{Prefix: "secret/"}, shown(onKey("read"), `key "secret/" { policy = "write" }`, "secret/key"))
	called(d, session.CreateMethod, session.Create{Session: session.Session{Node: "secret-node"}}, demand{rules: onSession("write"), narrow: onSession("read")})
	called(d, session.DestroyMethod, session.Destroy{IDs: []string{ended}}, demand{rules: onSession("write"), narrow: onSession("read")})
	called(d, session.RenewMethod, session.Renew{ID: lasting}, demand{rules: onSession("write"), narrow: onSession("read")})
	called(d, session.LockMethod, session.Lock{Key: "secret/key", Session: lasting}, demand{rules: onKey("write"), narrow: onKey("read")})
	asked(d, session.InfoQuery, session.Info{ID: lasting}, shown(onSession("read"), onNode("write"), lasting))
	asked(d, session.ListQuery, session.List{}, shown(onSession("read"), onNode("write"), lasting))
	asked(d, session.NodeQuery, session.OnNode{Node: "secret-node"}, shown(onSession("read"), onNode("write"), lasting))
	called(d, txn.WriteMethod, txn.Ops{{KV: &txn.KVOp{Verb: "set", Key: "secret/key"}}}, demand{rules: onKey("write"), narrow: onKey("read")})
	called(d, txn.ReadMethod, txn.Read{Ops: txn.Ops{{KV: &txn.KVOp{Verb: "get", Key: "secret/key"}}}}, shown(onKey("read"), onService("write"), `"Key":"secret/key"`))

	ofQuery := demand{rules: onQuery("write"), narrow: onQuery("read")}
	found := shown(onNode("read")+onService("read"), onService("write")+onQuery("write"), "10.6.6.6")
	target := prepared.Service{Service: "secret-service"}
	called(d, prepared.CreateMethod, prepared.Set{Query: prepared.Query{Name: "secret-new", Service: target}}, demand{rules: `query "secret-new" { policy = "write" }`, narrow: onQuery("write")})
	called(d, prepared.UpdateMethod, prepared.Set{Query: prepared.Query{ID: query, Name: "secret-query", Service: target}}, ofQuery)
	called(d, prepared.DeleteMethod, prepared.Delete{ID: doomed}, demand{rules: `query "secret-gone" { policy = "write" }`, narrow: onQuery("write")})
	called(d, prepared.ElsewhereMethod, prepared.Elsewhere{Execute: prepared.Execute{Name: "secret-query"}}, demand{open: "it has no failover, and finds nothing elsewhere"})
	called(d, prepared.SearchMethod, prepared.Search{Service: target}, found)
	asked(d, prepared.ListQuery, prepared.List{}, shown(onQuery("read"), onService("write"), "secret-query"))
	asked(d, prepared.GetQuery, prepared.Get{ID: query}, demand{rules: onQuery("read"), narrow: onService("write")})
	asked(d, prepared.ExplainQuery, prepared.Explain{Name: "secret-query"}, demand{rules: onQuery("read"), narrow: onService("write")})
	asked(d, prepared.ExecuteQuery, prepared.Execute{Name: "secret-query"}, found)
	return d.all
}

// Under a default of deny, each method and query is open on the port of the servers to a token with exactly its rights, and
// to none that is missing, wrong, too narrow, expired or revoked. If this fails for a new one, its row is missing in demands.
func TestRightsOfMethods(t *testing.T) {
	r := newRealm(t)
	all := r.demands(t)
	_, queries := protocol()
	for _, name := range slices.Sorted(slices.Values(slices.Concat(r.server.registry.Names(), slices.Collect(maps.Keys(queries))))) {
		w, ok := all[name]
		if !ok {
			t.Errorf("%s has no row in this test", name)
			continue
		}
		kind, _ := r.server.registry.Traits(name)
		peer := rpc.Peer{Server: kind.Servers}
		if kind.Servers {
			if _, err := r.incoming(management, name, &w, rpc.Peer{}); rpc.CodeOf(err) != rpc.PermissionDenied {
				t.Errorf("%s: who is no server gets %v", name, err)
			}
		}
		if _, err := r.incoming(management, name, &w, rpc.Peer{Stranger: true}); !slices.Contains(introducing, name) && rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Errorf("%s: who has no certificate gets %v", name, err)
		}
		for who, secret := range r.spent(w.rules) {
			if text, err := r.incoming(secret, name, &w, peer); rpc.CodeOf(err) != rpc.PermissionDenied || !strings.Contains(err.Error(), "ACL not found") {
				t.Errorf("%s: %s gets %.150s, %v", name, who, text, err)
			}
		}
		if w.open != "" {
			continue
		}
		narrow, _ := r.token(w.narrow, 0)
		for who, secret := range map[string]string{"no token": "", "a narrow token": narrow} {
			text, err := r.incoming(secret, name, &w, peer)
			denied := rpc.CodeOf(err) == rpc.PermissionDenied || strings.Contains(text, "Permission denied")
			switch {
			case err != nil && !denied:
				t.Errorf("%s: %s gets %v", name, who, err)
			case w.shows == "" && !denied:
				t.Errorf("%s: %s gets %.150s", name, who, text)
			case w.shows != "" && !denied && strings.Contains(text, w.shows):
				t.Errorf("%s: %s sees %.150s", name, who, text)
			}
		}
		exact, _ := r.token(w.rules, 0)
		text, err := r.incoming(exact, name, &w, peer)
		switch {
		case rpc.CodeOf(err) == rpc.PermissionDenied || strings.Contains(text, "Permission denied"):
			t.Errorf("%s: who has exactly the rights gets %.150s, %v", name, text, err)
		case w.fails == "" && err != nil, w.fails != "" && (err == nil || !strings.Contains(err.Error(), w.fails)):
			t.Errorf("%s: who has exactly the rights gets %.150s, %v", name, text, err)
		case !strings.Contains(text, w.shows):
			t.Errorf("%s: who has exactly the rights sees %.150s", name, text)
		}
	}
}

// What else comes in on the port of the servers: snapshots need what they need over HTTP.
func TestRightsOfTransfers(t *testing.T) {
	r := newRealm(t)
	opts, err := rpc.Append(nil, &state.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const rules = `acl = "write"`
	var archive bytes.Buffer
	attempt := func(token, method string, body io.Reader, reply io.Writer) error {
		return r.server.Transfer(within(t), &rpc.Request{Header: rpc.Header{Token: token}, Method: method, Args: opts}, body, reply)
	}
	exact, _ := r.token(rules, 0)
	if err := attempt(exact, saveMethod, nil, &archive); err != nil || archive.Len() < 1000 {
		t.Fatalf("%d bytes, %v", archive.Len(), err)
	}
	narrow, _ := r.token(`acl = "read" operator = "write" keyring = "write"`, 0)
	others := r.spent(rules)
	others["no token"], others["a narrow token"] = "", narrow
	before := r.server.node.Stats()["last_log_index"]
	for who, secret := range others {
		var reply bytes.Buffer
		if err := attempt(secret, saveMethod, nil, &reply); rpc.CodeOf(err) != rpc.PermissionDenied || reply.Len() > 0 {
			t.Errorf("save: %s gets %d bytes, %v", who, reply.Len(), err)
		}
		if err := attempt(secret, restoreMethod, bytes.NewReader(archive.Bytes()[saveHeader:]), io.Discard); rpc.CodeOf(err) != rpc.PermissionDenied {
			t.Errorf("restore: %s gets %v", who, err)
		}
	}
	if after := r.server.node.Stats()["last_log_index"]; before != after {
		t.Errorf("who may not restore has caused writes: the log was at %s and is at %s", before, after)
	}
	if err := attempt(exact, restoreMethod, bytes.NewReader(archive.Bytes()[saveHeader:]), io.Discard); err != nil {
		t.Errorf("restore: who has exactly the rights gets %v", err)
	}
}
