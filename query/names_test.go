package query

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/session"
	"lictor/state"
)

func TestNamesAreUnique(t *testing.T) {
	k := newKeeper(t)
	web := Service{Service: "web"}
	prefix := Template{Type: PrefixMatch}
	first := k.add(t, Query{Name: "first", Service: web})
	second := k.add(t, Query{Name: "second", Service: web})
	catchAll := k.add(t, Query{Template: prefix, Service: web})
	if _, err := k.Log.Apply(t.Context(), &session.Create{Session: session.Session{ID: "s", Node: "n1"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // queries without names do not get in each other's way
		k.add(t, Query{Session: "s", Service: web})
	}
	before := k.Log.DB().Read().Changed(Queries.Name())
	for _, c := range []struct {
		query Query
		want  string
	}{
		{Query{Name: "FIRST", Service: web}, "name 'FIRST' aliases an existing query name"},
		{Query{Name: "first", Template: prefix, Service: web}, "name 'first' aliases an existing query name"},
		{Query{ID: second, Name: "First", Service: web}, "name 'First' aliases an existing query name"},
		{Query{Name: first, Service: web}, "Name: \"" + first + "\" is the ID of another query"},
		{Query{Template: prefix, Service: web}, "Name: there is a template with an empty name; one is allowed"},
		{Query{ID: second, Template: prefix, Service: web}, "Name: there is a template with an empty name; one is allowed"},
		{Query{Name: "third", Session: "none", Service: web}, `invalid session "none"`},
	} {
		var err error
		if c.query.ID == "" {
			_, err = k.Create(t.Context(), acl.AllowAll(), &Set{c.query})
		} else {
			_, err = k.Update(t.Context(), acl.AllowAll(), &Set{c.query})
		}
		if err == nil || !strings.Contains(err.Error(), "raft apply failed: "+c.want) {
			t.Errorf("%+v: got %v, want %s", c.query, err, c.want)
		}
	}
	if after := k.Log.DB().Read().Changed(Queries.Name()); after != before {
		t.Error("what was refused has changed something")
	}
	for id, q := range map[string]Query{first: {Name: "First", Service: web}, catchAll: {Template: prefix, Service: Service{Service: "db"}}} { // its own name is free
		q.ID = id
		if _, err := k.Update(t.Context(), acl.AllowAll(), &Set{q}); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.Delete(t.Context(), acl.AllowAll(), &Delete{first}); err != nil {
		t.Fatal(err)
	}
	k.add(t, Query{Name: "first", Service: web})
	_, _, err := k.Execute(k.Log.DB().Read(), acl.AllowAll(), &Execute{Name: catchAll})
	if err == nil || !strings.Contains(err.Error(), "is a template; allowed are names that begin with its own") {
		t.Errorf("a template by its ID: %v", err)
	}
}

// Of all names that queries and templates may have, an exact one wins, and then the template with the longest name:
// also after a restore.
func TestNoTemplateTakesAnExactName(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	name := func(most int) string {
		b := make([]byte, random.IntN(most+1))
		for i := range b {
			b[i] = "abAB-"[random.IntN(5)]
		}
		return string(b)
	}
	for range 50 {
		k := newKeeper(t)
		exact, templates := map[string]bool{}, map[string]bool{}
		for range 12 {
			q := Query{Name: name(3)}
			key := strings.ToLower(q.Name)
			if exact[key] || templates[key] {
				continue
			}
			if q.Service.Service = "exact " + key; q.Name == "" || random.IntN(2) == 0 {
				q.Template.Type, q.Service.Service = PrefixMatch, "template "+key+"|${name.suffix}"
				templates[key] = true
			} else {
				exact[key] = true
			}
			k.add(t, q)
		}
		restored := restoredFrom(t, k.Log.DB())
		for range 50 {
			asked := name(5)
			key, want := strings.ToLower(asked), ""
			if exact[key] {
				want = "exact " + key
			} else {
				for n := 0; n <= len(key); n++ {
					if templates[key[:n]] {
						want = "template " + key[:n] + "|" + asked[n:]
					}
				}
			}
			if asked == "" {
				want = ""
			}
			for _, db := range []*state.DB{k.Log.DB(), restored} {
				r, _, err := k.Execute(db.Read(), acl.AllowAll(), &Execute{Name: asked})
				if err != nil || (r == nil) != (want == "") || r != nil && r.Service != want {
					t.Fatalf("%q of %v and %v: got %+v, %v, want %q", asked, exact, templates, r, err, want)
				}
			}
		}
	}
}

// restoredFrom is a state from a snapshot of another.
func restoredFrom(t *testing.T, db *state.DB) *state.DB {
	t.Helper()
	var archive bytes.Buffer
	if _, err := db.Snapshot().WriteTo(&archive); err != nil {
		t.Fatal(err)
	}
	fresh, err := state.Open(slices.Concat(kv.Tables(), coordinate.Tables(), catalog.Tables(), session.Tables(), Tables())...)
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Restore(&archive); err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestSnapshotHasWholeQueries(t *testing.T) {
	k := newKeeper(t)
	if _, err := k.Log.Apply(t.Context(), &session.Create{Session: session.Session{ID: "s", Node: "n1"}}); err != nil {
		t.Fatal(err)
	}
	id := k.add(t, Query{Name: "q-", Session: "s", Token: "t", Template: Template{Type: PrefixMatch, Regexp: "^q-(.*)$", RemoveEmptyTags: true},
		Service: Service{Service: "${match(1)}", Near: NearIP, OnlyPassing: true, Connect: true, Tags: []string{"a", "!b"}, IgnoreCheckIDs: []string{"c"},
			NodeMeta: map[string]string{"n": "m"}, ServiceMeta: map[string]string{"s": "m"}, Failover: Failover{NearestN: 2, Datacenters: []string{"dc2"}}},
		DNS: DNS{TTL: "5s"}})
	before, after := Queries.Get(k.Log.DB().Read(), id), Queries.Get(restoredFrom(t, k.Log.DB()).Read(), id)
	if a, b := fmt.Sprintf("%+v", before), fmt.Sprintf("%+v", after); a != b {
		t.Errorf("saved    %s\nrestored %s", a, b)
	}
}

// A name of any length costs little, and a template makes no more of it than there is room for.
func TestLongNames(t *testing.T) {
	k := newKeeper(t)
	k.add(t, Query{Template: Template{Type: PrefixMatch}, Service: Service{Service: "web", Tags: slices.Repeat([]string{"${name.full}"}, 300)}})
	if r := k.run(t, strings.Repeat("x", 1<<20)); r != nil {
		t.Errorf("got %+v", r)
	}
	if r := k.run(t, "short"); r == nil {
		t.Error("the template is not found")
	}
	_, _, err := k.Execute(k.Log.DB().Read(), acl.AllowAll(), &Execute{Name: strings.Repeat("x", maxName)})
	if err == nil || !strings.Contains(err.Error(), "expressions make more than 262144 bytes of the name") {
		t.Errorf("got %v", err)
	}
}
