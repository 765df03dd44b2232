package txn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/session"
	"lictor/state"
	"lictor/txn"
)

func newService(t testing.TB) *txn.Service {
	t.Helper()
	log, err := state.NewLocal(10, slices.Concat(kv.Tables(), catalog.Tables(), coordinate.Tables(), session.Tables())...)
	if err != nil {
		t.Fatal(err)
	}
	s := &txn.Service{Log: log, Catalog: &catalog.Service{Log: log, Datacenter: "dc1"}, Delays: new(session.Delays)}
	for _, cmd := range []state.Command{
		&catalog.Register{Node: "n", Address: "10.0.0.1", Service: &catalog.Instance{ID: "w", Service: "web"},
			Checks: []*catalog.Check{{Node: "n", CheckID: "c", Status: "passing"}, {Node: "n", CheckID: "wc", ServiceID: "w", Status: "passing"}}}, // 10
		&session.Create{Session: session.Session{ID: "s1", Node: "n", Behavior: "release", LockDelay: time.Second}}, // 11
		&session.Create{Session: session.Session{ID: "s2", Node: "n", Behavior: "release"}},                         // 12
		&kv.Put{Key: "k", Value: []byte("v")},                 // 13
		&session.Lock{Key: "l", Session: "s1", Seen: 1 << 60}, // 14
	} {
		if _, err := log.Apply(context.Background(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func parse(t testing.TB, body string) txn.Ops {
	t.Helper()
	var ops txn.Ops
	if err := json.Unmarshal([]byte(body), &ops); err != nil {
		t.Fatal(err)
	}
	return ops
}

// do carries out a transaction as the HTTP API does, and gives its errors and how many results it has.
func do(t testing.TB, s *txn.Service, az acl.Authorizer, ops txn.Ops) (errors string, results int) {
	t.Helper()
	var failed []txn.OpError
	if ops.ReadOnly() {
		r, err := s.Read(context.Background(), az, &txn.Read{Ops: ops})
		if err != nil {
			t.Fatal(err)
		}
		failed, results = r.Errors, len(r.Results)
	} else {
		r, err := s.Write(context.Background(), az, &ops)
		if err != nil {
			t.Fatal(err)
		}
		failed, results = r.Errors, len(r.Results)
	}
	var texts []string
	for _, e := range failed {
		texts = append(texts, fmt.Sprintf("%d: %s", e.OpIndex, e.What))
	}
	return strings.Join(texts, "; "), results
}

func TestOperations(t *testing.T) {
	for _, x := range []struct {
		ops     string
		errors  string
		results int
	}{
		{`{}`, "", 0},
		{`{"KV":{"Verb":"set","Key":"a"}}`, "", 1},
		{`{"KV":{"Verb":"set"}}`, "0: Must provide key", 0},
		{`{"KV":{"Verb":"odd","Key":"a"}}`, "0: unknown KV operation: odd", 0},
		{`{"KV":{"Verb":"cas","Key":"k","Index":13}}`, "", 1},
		{`{"KV":{"Verb":"cas","Key":"k","Index":12}}`, `0: failed to set key "k", index is stale`, 0},
		{`{"KV":{"Verb":"cas","Key":"new"}}`, "", 1},
		{`{"KV":{"Verb":"get","Key":"k"}}`, "", 1},
		{`{"KV":{"Verb":"get","Key":"no"}}`, `0: key "no" doesn't exist`, 0},
		{`{"KV":{"Verb":"get-or-empty","Key":"no"}}`, "", 1},
		{`{"KV":{"Verb":"get-tree","Key":"k"}},{"KV":{"Verb":"get-tree","Key":"no"}}`, "", 1},
		{`{"KV":{"Verb":"check-index","Key":"k","Index":13}}`, "", 1},
		{`{"KV":{"Verb":"check-index","Key":"k","Index":12}}`, `0: failed index check for key "k", current modify index 13 != 12`, 0},
		{`{"KV":{"Verb":"check-index","Key":"no","Index":12}}`, `0: failed to check index, key "no" doesn't exist`, 0},
		{`{"KV":{"Verb":"check-session","Key":"l","Session":"s1"}}`, "", 1},
		{`{"KV":{"Verb":"check-session","Key":"l","Session":"s2"}}`, `0: failed session check for key "l", current session "s1" != "s2"`, 0},
		{`{"KV":{"Verb":"check-not-exists","Key":"no"}}`, "", 0},
		{`{"KV":{"Verb":"check-not-exists","Key":"k"}}`, `0: key "k" exists`, 0},
		{`{"KV":{"Verb":"delete","Key":"k"}},{"KV":{"Verb":"get-or-empty","Key":"k"}}`, "", 1},
		{`{"KV":{"Verb":"delete-tree","Key":"k"}}`, "", 0},
		{`{"KV":{"Verb":"delete-cas","Key":"k","Index":13}}`, "", 0},
		{`{"KV":{"Verb":"delete-cas","Key":"k","Index":1}}`, `0: failed to delete key "k", index is stale`, 0},
		{`{"KV":{"Verb":"delete-cas","Key":"no","Index":1}}`, "", 0},
		{`{"KV":{"Verb":"lock","Key":"k","Session":"s1"}}`, "", 1},
		{`{"KV":{"Verb":"lock","Key":"l","Session":"s1"}}`, "", 1},
		{`{"KV":{"Verb":"lock","Key":"l","Session":"s2"}}`, `0: failed to lock key "l", lock is already held`, 0},
		{`{"KV":{"Verb":"lock","Key":"l","Session":"no"}}`, `0: invalid session "no"`, 0},
		{`{"KV":{"Verb":"lock","Key":"l"}}`, `0: missing session`, 0},
		{`{"KV":{"Verb":"unlock","Key":"l","Session":"s1"}},{"KV":{"Verb":"lock","Key":"l","Session":"s2"}}`, "", 2},
		{`{"KV":{"Verb":"unlock","Key":"l","Session":"s2"}}`, `0: failed to unlock key "l", lock isn't held, or is held by another session`, 0},
		{`{"KV":{"Verb":"unlock","Key":"l"}}`, `0: missing session`, 0},
		{`{"Session":{"Verb":"delete","Session":{"ID":"s1"}}},{"KV":{"Verb":"get","Key":"l"}}`, "", 1},
		{`{"Session":{"Verb":"delete","Session":{"ID":"s1"}}},{"KV":{"Verb":"lock","Key":"l","Session":"s2"}}`, `1: failed to lock key "l", its lock-delay is not over`, 0},
		{`{"Session":{"Verb":"delete","Session":{"ID":"s1"}}},{"KV":{"Verb":"check-session","Key":"l","Session":"s1"}}`, `1: failed session check for key "l", current session "" != "s1"`, 0},
		{`{"Session":{"Verb":"set","Session":{"ID":"s1"}}}`, "0: unknown session operation: set", 0},
		{`{"Session":{"Verb":"delete"}}`, "0: Must provide session", 0},
		{`{"Node":{"Verb":"get","Node":{"Node":"N"}}}`, "", 1},
		{`{"Node":{"Verb":"set","Node":{"Node":"m","Address":"10.0.0.2"}}},{"Node":{"Verb":"get","Node":{"Node":"m"}}}`, "", 2},
		{`{"Node":{"Verb":"cas","Node":{"Node":"n","ModifyIndex":10}}}`, "", 1},
		{`{"Node":{"Verb":"cas","Node":{"Node":"n","ModifyIndex":9}}}`, `0: failed to set node "n", index is stale`, 0},
		{`{"Node":{"Verb":"delete","Node":{"Node":"n"}}},{"KV":{"Verb":"check-session","Key":"l","Session":"s1"}}`, `1: failed session check for key "l", current session "" != "s1"`, 0},
		{`{"Node":{"Verb":"delete-cas","Node":{"Node":"n","ModifyIndex":10}}}`, "", 0},
		{`{"Node":{"Verb":"delete-cas","Node":{"Node":"n","ModifyIndex":9}}}`, `0: failed to delete node "n", index is stale`, 0},
		{`{"Node":{"Verb":"set","Node":{}}}`, "0: Must provide node", 0},
		{`{"Node":{"Verb":"set","Node":{"Node":"m","ID":"x"}}}`, "0: Bad node ID: uuid string is wrong length", 0},
		{`{"Node":{"Verb":"odd","Node":{"Node":"n"}}}`, "0: unknown node operation: odd", 0},
		{`{"Service":{"Verb":"get","Node":"n","Service":{"ID":"w"}}}`, "", 1},
		{`{"Service":{"Verb":"get","Node":"n","Service":{"ID":"x"}}}`, `0: service "x" on node "n" doesn't exist`, 0},
		{`{"Service":{"Verb":"set","Node":"n","Service":{"Service":"x","Weights":{}}}}`, "", 1},
		{`{"Service":{"Verb":"set","Node":"no","Service":{"Service":"x"}}}`, "0: Missing node registration", 0},
		{`{"Service":{"Verb":"cas","Node":"n","Service":{"ID":"w","Service":"web","Port":1,"ModifyIndex":10}}}`, "", 1},
		{`{"Service":{"Verb":"cas","Node":"n","Service":{"ID":"w","Service":"web","Port":1,"ModifyIndex":9}}}`, `0: failed to set service "w" on node "n", index is stale`, 0},
		{`{"Service":{"Verb":"delete","Node":"n","Service":{"ID":"w","Service":"web"}}}`, "", 0},
		{`{"Service":{"Verb":"delete-cas","Node":"n","Service":{"ID":"w","Service":"web","ModifyIndex":9}}}`, `0: failed to delete service "w" on node "n", index is stale`, 0},
		{`{"Service":{"Verb":"odd","Node":"n","Service":{"Service":"w"}}}`, "0: unknown service operation: odd", 0},
		{`{"Check":{"Verb":"get","Check":{"Node":"n","CheckID":"c"}}}`, "", 1},
		{`{"Check":{"Verb":"get","Check":{"Node":"n","CheckID":"x"}}}`, `0: check "x" on node "n" doesn't exist`, 0},
		{`{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"x","ServiceID":"w"}}}`, "", 1},
		{`{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"x","ServiceID":"no"}}}`, "0: Missing service registration", 0},
		{`{"Check":{"Verb":"set","Check":{"Node":"no","CheckID":"x"}}}`, "0: Missing node registration", 0},
		{`{"Node":{"Verb":"set","Node":{"Node":"n","Address":"a","PeerName":"p"}}}`, "0: cannot register requests with PeerName in them", 0},
		{`{"Check":{"Verb":"set","Check":{"Node":"n","Status":"passing"}}}`, "0: failed inserting check: object missing primary index", 0},
		{`{"Check":{"Verb":"cas","Check":{"Node":"n","CheckID":"c","ModifyIndex":9}}}`, `0: failed to set check "c" on node "n", index is stale`, 0},
		{`{"Check":{"Verb":"delete","Check":{"Node":"n","CheckID":"c"}}}`, "", 0},
		{`{"Check":{"Verb":"delete-cas","Check":{"Node":"n","CheckID":"c","ModifyIndex":9}}}`, `0: failed to delete check "c" on node "n", index is stale`, 0},
		{`{"Check":{"Verb":"odd","Check":{"Node":"n","CheckID":"c"}}}`, "0: unknown check operation: odd", 0},
	} {
		s := newService(t)
		before := snapshot(t, s)
		errors, results := do(t, s, acl.AllowAll(), parse(t, "["+x.ops+"]"))
		if errors != x.errors || results != x.results {
			t.Errorf("%s: %d results, errors %q, want %d and %q", x.ops, results, errors, x.results, x.errors)
		}
		if errors != "" && snapshot(t, s) != before {
			t.Errorf("%s: failed, and has changed something", x.ops)
		}
	}
}

func snapshot(t testing.TB, s *txn.Service) string {
	t.Helper()
	var b strings.Builder
	if _, err := s.Log.DB().Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// All operations that fail are told of, whatever comes before and after them.
func TestAllOrNothing(t *testing.T) {
	s := newService(t)
	before := snapshot(t, s)
	errors, _ := do(t, s, acl.AllowAll(), parse(t, `[{"KV":{"Verb":"set","Key":"a"}},{"KV":{"Verb":"get","Key":"b"}},
		{"Node":{"Verb":"delete","Node":{"Node":"n"}}},{"Service":{"Verb":"get","Node":"n","Service":{"ID":"w"}}}]`))
	if want := `1: key "b" doesn't exist; 3: service "w" on node "n" doesn't exist`; errors != want {
		t.Errorf("errors %q", errors)
	}
	if snapshot(t, s) != before {
		t.Error("something has changed")
	}
}

// only gives access to what is named, as "resource:access:name".
type only map[string]bool

func (o only) Allow(r acl.Resource, name string, a acl.Access) bool {
	return o[fmt.Sprintf("%s:%s:%s", r, a, name)]
}
func (o only) ID() string       { return fmt.Sprint(map[string]bool(o)) }
func (o only) Accessor() string { return "me" }

// Each operation needs the access that it needs when it comes alone.
func TestAccess(t *testing.T) {
	for _, x := range []struct {
		op    string
		needs []string
	}{
		{`{"KV":{"Verb":"set","Key":"k"}}`, []string{"key:write:k"}},
		{`{"KV":{"Verb":"cas","Key":"k","Index":13}}`, []string{"key:write:k"}},
		{`{"KV":{"Verb":"get","Key":"k"}}`, []string{"key:read:k"}},
		{`{"KV":{"Verb":"check-not-exists","Key":"no"}}`, []string{"key:read:no"}},
		{`{"KV":{"Verb":"lock","Key":"k","Session":"s1"}}`, []string{"key:write:k"}},
		{`{"KV":{"Verb":"delete","Key":"k"}}`, []string{"key:write:k"}},
		{`{"KV":{"Verb":"delete-tree","Key":"k"}}`, []string{"key:write-prefix:k"}},
		{`{"Node":{"Verb":"get","Node":{"Node":"n"}}}`, []string{"node:read:n"}},
		{`{"Node":{"Verb":"set","Node":{"Node":"n"}}}`, []string{"node:write:n"}},
		{`{"Node":{"Verb":"delete","Node":{"Node":"n"}}}`, []string{"node:write:n"}},
		{`{"Service":{"Verb":"get","Node":"n","Service":{"ID":"w"}}}`, []string{"service:read:web"}},
		{`{"Service":{"Verb":"set","Node":"n","Service":{"Service":"x"}}}`, []string{"service:write:x"}},
		{`{"Service":{"Verb":"set","Node":"n","Service":{"ID":"w","Service":"x"}}}`, []string{"service:write:x", "service:write:web"}},
		{`{"Service":{"Verb":"delete","Node":"n","Service":{"ID":"w","Service":"x"}}}`, []string{"service:write:web"}},
		{`{"Check":{"Verb":"get","Check":{"Node":"n","CheckID":"wc"}}}`, []string{"service:read:web"}},
		{`{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"c"}}}`, []string{"node:write:n"}},
		{`{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"wc","ServiceID":"w"}}}`, []string{"service:write:web"}},
		{`{"Check":{"Verb":"delete","Check":{"Node":"n","CheckID":"wc"}}}`, []string{"service:write:web"}},
		{`{"Session":{"Verb":"delete","Session":{"ID":"s1"}}}`, []string{"session:write:n"}},
	} {
		all := only{}
		for _, n := range x.needs {
			all[n] = true
		}
		if errors, _ := do(t, newService(t), all, parse(t, "["+x.op+"]")); errors != "" {
			t.Errorf("%s with %v: %s", x.op, x.needs, errors)
		}
		for _, n := range x.needs {
			some := only{}
			for _, other := range x.needs {
				some[other] = other != n
			}
			s := newService(t)
			before := snapshot(t, s)
			errors, _ := do(t, s, some, parse(t, `[{},`+x.op+`]`))
			if !strings.HasPrefix(errors, "1: Permission denied: token with AccessorID 'me' lacks permission") || snapshot(t, s) != before {
				t.Errorf("%s without %s: %q", x.op, n, errors)
			}
		}
	}
}

func TestTreeIsFiltered(t *testing.T) {
	s := newService(t)
	r, err := s.Read(context.Background(), only{"key:read:k": true}, &txn.Read{Ops: parse(t, `[{"KV":{"Verb":"get-tree","Key":"k"}},{"KV":{"Verb":"get-tree","Key":"l"}}]`)})
	if err != nil || r.Errors != nil || len(r.Results) != 1 || !r.ResultsFilteredByACLs {
		t.Errorf("%+v, %v", r, err)
	}
}

func body(from, n int) []byte {
	var b strings.Builder
	v := strings.Repeat("eHh4", 85)
	for i := range n {
		fmt.Fprintf(&b, `,{"KV":{"Verb":"set","Key":"state/%d/%d","Value":"%s"}}`, i%100, from+i, v)
	}
	return []byte("[" + b.String()[1:] + "]")
}

// BenchmarkTxn64 is a transaction of 64 writes from its JSON to its answer, and its way through the log.
func BenchmarkTxn64(b *testing.B) {
	s := newService(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		text := body(i*64, 64)
		b.StartTimer()
		var ops txn.Ops
		if err := json.Unmarshal(text, &ops); err != nil {
			b.Fatal(err)
		}
		buf, _ := (&txn.Apply{Ops: ops}).MarshalMsg(nil)
		var back txn.Apply
		if _, err := back.UnmarshalMsg(buf); err != nil {
			b.Fatal(err)
		}
		r, err := s.Write(context.Background(), acl.AllowAll(), &ops)
		if err != nil || r.Errors != nil {
			b.Fatal(err, r.Errors)
		}
		if _, err := json.Marshal(r); err != nil {
			b.Fatal(err)
		}
	}
}
