package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/gossip"
	"lictor/raftstore"
	"lictor/rpc"
)

// An operator answers the methods of operators from what it holds, and remembers what it was asked.
type operator struct {
	registry rpc.Registry[acl.Authorizer]
	fitness  raftstore.Fitness
	set      raftstore.SetAutopilot
	keyring  gossip.KeyringRequest
	peer     raftstore.Peer
}

// Call implements rpc.Caller.
func (o *operator) Call(ctx context.Context, _ rpc.Header, method string, args, reply any) error {
	return o.registry.Dispatch(ctx, acl.AllowAll(), method, args, reply)
}

func serveOperator() (*Server, *operator) {
	o := &operator{}
	rpc.Handle(&o.registry, raftstore.FitnessMethod, func(context.Context, acl.Authorizer, *struct{}) (raftstore.Fitness, error) {
		return o.fitness, nil
	})
	rpc.Handle(&o.registry, raftstore.SetAutopilotMethod, func(_ context.Context, _ acl.Authorizer, s *raftstore.SetAutopilot) (bool, error) {
		o.set = *s
		return !s.CAS, nil
	})
	rpc.Handle(&o.registry, coordinate.NamesMethod, new(coordinate.Service).ListNames)
	rpc.Handle(&o.registry, gossip.KeyringMethod, func(_ context.Context, _ acl.Authorizer, r *gossip.KeyringRequest) ([]gossip.KeyringAnswer, error) {
		o.keyring = *r
		return []gossip.KeyringAnswer{{WAN: true, Datacenter: "dc1", NumNodes: 1}}, nil
	})
	peer := func(_ context.Context, _ acl.Authorizer, p *raftstore.Peer) (struct{}, error) {
		o.peer = *p
		return struct{}{}, nil
	}
	rpc.Handle(&o.registry, raftstore.RemovePeerMethod, peer)
	rpc.Handle(&o.registry, raftstore.TransferLeaderMethod, peer)
	return New(Config{Caller: o, Datacenter: "dc1", Log: slog.New(slog.DiscardHandler)}), o
}

func TestAutopilotBodies(t *testing.T) {
	for body, want := range map[string]func(*raftstore.AutopilotConfig){
		`{}`: func(*raftstore.AutopilotConfig) {},
		`{"cleanupdeadservers": false, "LASTCONTACTTHRESHOLD": "300ms"}`: func(c *raftstore.AutopilotConfig) {
			c.CleanupDeadServers, c.LastContactThreshold = false, catalog.Duration(300*time.Millisecond)
		},
		`{"ServerStabilizationTime": 5e9, "LastContactThreshold": null, "MinQuorum": 3, "ModifyIndex": 7}`: func(c *raftstore.AutopilotConfig) {
			c.ServerStabilizationTime, c.MinQuorum, c.ModifyIndex = catalog.Duration(5*time.Second), 3, 7
		},
	} {
		s, o := serveOperator()
		expected := raftstore.DefaultAutopilot()
		want(&expected)
		if w := ask(s, "PUT", "/v1/operator/autopilot/configuration", body); w.Body.String() != "true" || o.set.Config != expected || o.set.CAS {
			t.Errorf("%s: %s, %+v", body, w.Body, o.set)
		}
	}
	s, o := serveOperator()
	if w := ask(s, "PUT", "/v1/operator/autopilot/configuration?cas=5", "{}"); w.Body.String() != "false" || !o.set.CAS || o.set.Index != 5 {
		t.Errorf("%s, %+v", w.Body, o.set)
	}
}

func TestOperatorRefusals(t *testing.T) {
	s, o := serveOperator()
	const autopilot, keyring = "/v1/operator/autopilot/configuration", "/v1/operator/keyring"
	for _, x := range []struct{ method, path, body, text string }{
		{"PUT", autopilot, "{bad", "Error parsing autopilot config: invalid character 'b' looking for beginning of object key string"},
		{"PUT", autopilot, `{"LastContactThreshold": "abc"}`, `Error parsing autopilot config: time: invalid duration "abc"`},
		{"PUT", autopilot, `{"Foo": 1}`, `Error parsing autopilot config: json: unknown field "Foo"`},
		{"PUT", autopilot + "?cas=x", "{}", `Error parsing cas value: strconv.ParseUint: parsing "x": invalid syntax`},
		{"GET", keyring + "?relay-factor=6", "", "Invalid relay-factor: Relay factor must be in range: [0, 5]"},
		{"GET", keyring + "?relay-factor=-1", "", "Invalid relay-factor: Relay factor must be in range: [0, 5]"},
		{"GET", keyring + "?local-only=x", "", `Error parsing local-only: strconv.ParseBool: parsing "x": invalid syntax`},
		{"PUT", keyring + "?local-only=true", "{}", "Invalid use of local-only: local-only can only be set for list requests"},
		{"POST", keyring, "{bad", "Request decode failed: invalid character 'b' looking for beginning of object key string"},
		{"DELETE", "/v1/operator/raft/peer", "", "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"},
		{"DELETE", "/v1/operator/raft/peer?id=a&address=b", "", "Must specify only one of ?id or ?address"},
	} {
		if w := ask(s, x.method, x.path, x.body); w.Code != 400 || w.Body.String() != x.text {
			t.Errorf("%s %s %s: %d %s", x.method, x.path, x.body, w.Code, w.Body)
		}
	}
	if o.keyring != (gossip.KeyringRequest{}) || o.peer != (raftstore.Peer{}) || o.set != (raftstore.SetAutopilot{}) {
		t.Error("a refused request was carried out")
	}
}

func TestOperatorRequests(t *testing.T) {
	s, o := serveOperator()
	for _, x := range []struct {
		method, path, body, text string
		keyring                  gossip.KeyringRequest
		peer                     raftstore.Peer
	}{
		{"GET", "/v1/operator/keyring?relay-factor=2&local-only=true", "",
			`[{"WAN":true,"Datacenter":"dc1","Segment":"","Keys":null,"PrimaryKeys":null,"NumNodes":1}]`,
			gossip.KeyringRequest{Operation: gossip.ListKeys, RelayFactor: 2, LocalOnly: true}, raftstore.Peer{}},
		{"POST", "/v1/operator/keyring", `{"Key": "k"}`, "", gossip.KeyringRequest{Operation: gossip.InstallKey, Key: "k"}, raftstore.Peer{}},
		{"PUT", "/v1/operator/keyring", `{"Key": "k"}`, "", gossip.KeyringRequest{Operation: gossip.UseKey, Key: "k"}, raftstore.Peer{}},
		{"DELETE", "/v1/operator/keyring", `{"key": "k"}`, "", gossip.KeyringRequest{Operation: gossip.RemoveKey, Key: "k"}, raftstore.Peer{}},
		{"DELETE", "/v1/operator/raft/peer?id=a", "", "", gossip.KeyringRequest{}, raftstore.Peer{ID: "a"}},
		{"DELETE", "/v1/operator/raft/peer?address=a:1", "", "", gossip.KeyringRequest{}, raftstore.Peer{Address: "a:1"}},
		{"POST", "/v1/operator/raft/transfer-leader?id=a", "", `{"Success":true}`, gossip.KeyringRequest{}, raftstore.Peer{ID: "a"}},
	} {
		o.keyring, o.peer = gossip.KeyringRequest{}, raftstore.Peer{}
		w := ask(s, x.method, x.path, x.body)
		if w.Code != 200 || w.Body.String() != x.text || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
		if o.keyring != x.keyring || o.peer != x.peer {
			t.Errorf("%s %s: %+v, %+v", x.method, x.path, o.keyring, o.peer)
		}
	}
}

func TestHealthOfServers(t *testing.T) {
	s, o := serveOperator()
	get := func(path string, into any) *httptest.ResponseRecorder {
		t.Helper()
		w := ask(s, "GET", path, "")
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Header().Get("Content-Type") != "application/json" {
			t.Fatal(w.Code, w.Header(), w.Body)
		}
		return w
	}
	one := raftstore.ServerFitness{Member: raftstore.Member{ID: "1", Name: "one", Status: "alive"}, Role: raftstore.RoleLeader, Healthy: true}
	two := raftstore.ServerFitness{Member: raftstore.Member{ID: "2", Status: "failed"}, Role: raftstore.RoleVoter, LogStats: raftstore.LogStats{LastContact: -1}}
	three := raftstore.ServerFitness{Member: raftstore.Member{ID: "3", ReadReplica: true}, Role: raftstore.RoleNonVoter, Healthy: true}
	for _, healthy := range []bool{true, false} {
		o.fitness = raftstore.Fitness{Healthy: healthy, Leader: "1", Servers: []raftstore.ServerFitness{one, two, three}}
		var health struct{ Servers []serverHealth }
		if w := get("/v1/operator/autopilot/health", &health); (w.Code == 200) != healthy || !healthy && w.Code != 429 {
			t.Errorf("healthy %v: status %d", healthy, w.Code)
		}
		if x := health.Servers; len(x) != 3 || !x[0].Leader || !x[0].Voter || x[1].Healthy || x[1].LastContact != 0 || x[2].Voter {
			t.Errorf("%+v", x)
		}
		var sum autopilotSummary
		if w := get("/v1/operator/autopilot/state", &sum); w.Code != 200 || sum.Healthy != healthy {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if strings.Join(sum.Voters, " ") != "1 2" || strings.Join(sum.ReadReplicas, " ") != "3" || sum.Servers["3"].NodeType != "read-replica" || sum.Servers["1"].Status != "leader" {
			t.Errorf("%+v", sum)
		}
	}
}

func FuzzAutopilotBody(f *testing.F) {
	f.Add(`{"CleanupDeadServers": true, "LastContactThreshold": "1s", "MaxTrailingLogs": 2}`)
	f.Add(`{"ServerStabilizationTime": 1e300, "MinQuorum": -1}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, _ := serveOperator()
		if w := ask(s, "PUT", "/v1/operator/autopilot/configuration", body); w.Code != 200 && w.Code != 400 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
