package raftstore

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/consulsnap"
	"lictor/kv"
	"lictor/query"
	"lictor/session"
	"lictor/state"
)

const sample = "testdata/consul-1.21.snap"

func TestImport(t *testing.T) {
	archive, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	n := open(t, nil)
	defer n.Stop()
	s := &Service{Node: n}
	if _, err := n.Apply(t.Context(), &NameCluster{ID: "mine"}); err != nil {
		t.Fatal(err)
	}
	if err := ca.Ensure(t.Context(), n, "11111111-2222-3333-4444-555555555555", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "before", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	watched := n.DB().Read()
	kv.Entries.Get(watched, "before")

	done, err := s.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if !watched.Watch().Fired() {
		t.Error("a watcher sleeps on")
	}
	for kind, want := range map[string]int{"Register": 21, "KVS": 123, "Session": 1, "Tombstone": 1, "Autopilot": 1, "ServiceVirtualIP": 2, "ConfigEntry": 3, "PreparedQuery": 1, "Index": 0,
		"ACLToken": 3, "ACLPolicy": 3, "ACLRole": 1} {
		if done.TakenOver[kind] != want {
			t.Errorf("%d of kind %s, not %d", done.TakenOver[kind], kind, want)
		}
	}
	for kind, want := range map[string]int{"ConnectCA": 1, "FederationState": 1} {
		if done.NotSupported[kind] != want {
			t.Errorf("%d of kind %s left out, not %d", done.NotSupported[kind], kind, want)
		}
	}

	tx := n.DB().Read()
	rights := &acl.Resolver{Datacenter: "dc1"}
	for _, c := range []struct {
		secret, key string
		access      acl.Access
		want        bool
	}{
		{"11111111-2222-3333-4444-555555555555", "other", acl.Write, true},
		{"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "app/x", acl.Read, true},
		{"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "app/x", acl.Write, false},
		{"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "other", acl.Read, false},
		{"", "app/x", acl.Read, false},
	} {
		az, err := rights.Within(tx, c.secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := az.Allow(acl.Key, c.key, c.access); got != c.want {
			t.Errorf("%s may %s %s: %t", c.secret, c.access, c.key, got)
		}
	}
	if acl.BegunAt(tx) == 0 {
		t.Error("who comes first may have a token of all rights, though there is one")
	}
	if kv.Entries.Get(tx, "before") != nil {
		t.Error("the old state is still there")
	}
	e := kv.Entries.Get(tx, "app/0/key-105")
	if e == nil || string(e.Value) != "value 105" || e.Flags != 105 || e.CreateIndex != 127 || e.ModifyIndex != 127 {
		t.Errorf("key: %+v", e)
	}
	if g := kv.Tombstones.Get(tx, "gone"); g == nil || g.Index != 146 {
		t.Errorf("tombstone: %+v", g)
	}
	if i := catalog.FindInstance(tx, "n1", "db-1"); i == nil || i.Service != "db" || i.Port != 801 || i.CreateIndex != 148 ||
		!slices.Equal(i.Tags, []string{"v1", "prod"}) || i.Meta["k"] != "v1" || i.Proxy.TransparentProxy != nil {
		t.Errorf("instance: %+v", i)
	}
	if c := catalog.FindCheck(tx, "n1", "db-1-check"); c == nil || c.Status != catalog.Warning || c.Output != "slow" || c.ServiceName != "db" || c.ModifyIndex != 148 {
		t.Errorf("check: %+v", c)
	}
	if m := catalog.FindNode(tx, "n2"); m == nil || m.Meta["rack"] != "r2" || m.TaggedAddresses["wan"] != "198.51.100.2" || m.ModifyIndex != 149 {
		t.Errorf("node: %+v", m)
	}
	if f := session.Find(tx, "f6142630-323c-3777-9b67-155263a16772"); f == nil || f.TTL != "86400s" || f.LockDelay != 20e9 || f.Behavior != "delete" || f.NodeChecks[0] != "node-1" {
		t.Errorf("session: %+v", f)
	}
	if held := kv.HeldBy(tx, "f6142630-323c-3777-9b67-155263a16772"); len(held) != 1 {
		t.Errorf("locked: %v", held)
	}
	if e := configentry.Find(tx, configentry.ServiceIntentions, "db"); e == nil || e.ModifyIndex != 161 || !strings.Contains(e.Text, `"Action":"allow"`) {
		t.Errorf("intentions: %+v", e)
	}
	if q := query.Queries.Get(tx, "0bd7e252-5dd3-3d4b-ff8d-88d1937a2671"); q == nil || q.Name != "web-any" || q.DNS.TTL != "10s" || q.ModifyIndex != 155 ||
		q.Service.Failover.NearestN != 2 || !slices.Equal(q.Service.Failover.Datacenters, []string{"dc2"}) || !slices.Equal(q.Service.Tags, []string{"prod"}) {
		t.Errorf("prepared query: %+v", q)
	}
	if ClusterID(tx) != "mine" || len(slices.Collect(ca.RootTable.All(tx))) != 1 {
		t.Error("the cluster's id or root is lost")
	}
	if at := tx.Changed("kvs", "nodes", "service/db"); at < 161 {
		t.Errorf("indexes begin at %d", at)
	}
	if _, err := n.Apply(t.Context(), &kv.Put{Key: "after"}); err != nil {
		t.Error(err)
	}
	if e := kv.Entries.Get(n.DB().Read(), "after"); e == nil || e.ModifyIndex <= 161 {
		t.Errorf("the log goes on at %+v", e)
	}

	for cut := range len(archive) / 64 { // what is damaged changes nothing
		if _, err := s.Restore(t.Context(), acl.AllowAll(), bytes.NewReader(archive[:cut*64])); err == nil {
			t.Fatalf("cut after %d bytes: restored", cut*64)
		}
	}
	if kv.Entries.Get(n.DB().Read(), "after") == nil {
		t.Error("a damaged archive has changed the state")
	}
}

// sampleState is the state in the sample.
func sampleState(t testing.TB) []byte {
	file, err := os.Open(sample)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a, err := readArchive(file, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	b, err := io.ReadAll(a.state)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever the state of an archive holds, it is taken over or refused, and what is taken over can be saved again.
func FuzzImport(f *testing.F) {
	whole := sampleState(f)
	in, err := consulsnap.NewReader(bytes.NewReader(whole))
	if err != nil {
		f.Fatal(err)
	}
	for { // each row alone: a large seed takes the fuzzer minutes to make smaller
		row, err := in.Next()
		if err != nil {
			break
		}
		f.Add(slices.Concat([]byte("\x81\xa9LastIndex\x01"), []byte{byte(row.Kind)}, row.Raw))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		in, err := consulsnap.NewReader(bytes.NewReader(content))
		if err != nil {
			return
		}
		db, err := state.Open(Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		tx := db.Write(1)
		if _, err := importRows(tx, in); err != nil {
			tx.Abort()
			return
		}
		tx.Commit()
		var out bytes.Buffer
		if _, err := db.Snapshot().WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		if err := state.Verify(&out, Tables()...); err != nil {
			t.Fatal(err)
		}
	})
}
