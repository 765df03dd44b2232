package query

import (
	"errors"
	"testing"

	"lictor/acl"
	"lictor/catalog"
	"lictor/session"
	"lictor/state"
)

// A reader may do what is in its list, with names that are the same.
type reader map[string]bool

func (r reader) Allow(resource acl.Resource, name string, access acl.Access) bool {
	return r[string(resource)+" "+name+" "+string(access)]
}
func (reader) ID() string       { return "reader" }
func (reader) Accessor() string { return "reader" }

func TestQueriesAreShownToWhoMayReadThem(t *testing.T) {
	k := newKeeper(t)
	if _, err := k.Log.Apply(t.Context(), &session.Create{Session: session.Session{ID: "s", Node: "n1"}}); err != nil {
		t.Fatal(err)
	}
	web := Service{Service: "web"}
	mine := k.add(t, Query{Name: "mine", Token: "secret", Service: web})
	bare := k.add(t, Query{Name: "bare", Service: web})
	theirs := k.add(t, Query{Name: "theirs", Service: web})
	nameless := k.add(t, Query{Session: "s", Token: "secret", Service: web})
	everything := k.add(t, Query{Template: Template{Type: PrefixMatch}, Service: web})
	some := reader{"query mine read": true, "query bare read": true, "query mine write": true}
	manager := reader{"acl  write": true}

	list := func(az acl.Authorizer) (map[string]string, bool) {
		t.Helper()
		l, _, err := k.List(k.Log.DB().Read(), az, &List{})
		if err != nil {
			t.Fatal(err)
		}
		tokens := map[string]string{}
		for _, q := range l.Rows {
			tokens[q.ID] = q.Token
		}
		return tokens, l.Filtered
	}
	if got, filtered := list(some); len(got) != 2 || got[mine] != hidden || !filtered {
		t.Errorf("a reader sees %v, filtered %v", got, filtered)
	}
	if got, filtered := list(manager); len(got) != 5 || got[mine] != "secret" || got[nameless] != "secret" || filtered {
		t.Errorf("a manager sees %v, filtered %v", got, filtered)
	}
	if got, filtered := list(acl.DenyAll()); len(got) != 0 || !filtered {
		t.Errorf("a stranger sees %v, filtered %v", got, filtered)
	}
	for id, want := range map[string]string{mine: hidden, bare: "", nameless: hidden, theirs: "denied", everything: "denied"} {
		l, _, err := k.Get(k.Log.DB().Read(), some, &Get{id})
		switch {
		case want == "denied":
			if !errors.As(err, new(*acl.Denial)) {
				t.Errorf("%s: got %v", id, err)
			}
		case err != nil || l.Rows[0].Token != want:
			t.Errorf("%s: got %v, %v, want token %q", id, l.Rows, err, want)
		}
	}
	if q, _, err := k.Explain(k.Log.DB().Read(), some, &Explain{Name: "mine"}); err != nil || q.Token != hidden {
		t.Errorf("explained: %+v, %v", q, err)
	}
	if q, _, err := k.Explain(k.Log.DB().Read(), manager, &Explain{Name: "mine"}); err != nil || q.Token != "secret" {
		t.Errorf("explained to a manager: %+v, %v", q, err)
	}
	for _, name := range []string{"theirs", "anything"} {
		if _, _, err := k.Explain(k.Log.DB().Read(), some, &Explain{Name: name}); !errors.As(err, new(*acl.Denial)) {
			t.Errorf("%s explained: %v", name, err)
		}
	}
	// Neither may it take what is not its own, nor give what is its own another's name.
	for _, q := range []Query{{ID: theirs, Name: "mine", Service: web}, {ID: mine, Name: "theirs 2", Service: web}, {ID: bare, Name: "bare", Service: web}} {
		if _, err := k.Update(t.Context(), some, &Set{q}); !errors.As(err, new(*acl.Denial)) {
			t.Errorf("%+v: got %v", q, err)
		}
	}
	if _, err := k.Delete(t.Context(), some, &Delete{theirs}); !errors.As(err, new(*acl.Denial)) {
		t.Errorf("got %v", err)
	}
	if _, err := k.Update(t.Context(), some, &Set{Query{ID: mine, Name: "mine", Service: web}}); err != nil {
		t.Error(err)
	}
}

// A query runs with the rights of the token that it has, and with the asker's if it has none.
func TestExecutionHasTheRightsOfTheQuerysToken(t *testing.T) {
	k := newKeeper(t)
	k.add(t, Query{Name: "own", Token: "captured", Service: Service{Service: "web"}})
	k.add(t, Query{Name: "plain", Service: Service{Service: "web"}})
	k.add(t, Query{Name: "lost", Token: "deleted", Service: Service{Service: "web"}})
	k.Resolve = func(_ *state.Tx, token string) (acl.Authorizer, error) {
		if token == "captured" {
			return reader{"service web read": true, "node n2 read": true}, nil
		}
		return nil, acl.ErrNotFound
	}
	run := func(az acl.Authorizer, name string) (*Response, error) {
		r, _, err := k.Execute(k.Log.DB().Read(), az, &Execute{Name: name})
		return r, err
	}
	for _, az := range []acl.Authorizer{acl.DenyAll(), acl.AllowAll()} {
		if r, err := run(az, "own"); err != nil || len(r.Nodes) != 1 || r.Nodes[0].Node.Node != "n2" || !r.Filtered {
			t.Errorf("got %+v, %v", r, err)
		}
		if _, err := run(az, "lost"); !errors.Is(err, acl.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if r, err := run(acl.DenyAll(), "plain"); err != nil || len(r.Nodes) != 0 || !r.Filtered {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := run(acl.AllowAll(), "plain"); err != nil || len(r.Nodes) != 2 || r.Filtered {
		t.Errorf("got %+v, %v", r, err)
	}
}

func alive(status string) []*catalog.Check {
	return []*catalog.Check{{Node: "n1", CheckID: "alive", Status: status}}
}

// A query goes in the commit in which its session ends, whatever ends that.
func TestQueriesGoWithTheirSessionsAtOnce(t *testing.T) {
	for what, end := range map[string]state.Command{
		"destroyed":   &session.Destroy{IDs: []string{"s"}},
		"node gone":   &catalog.Deregister{Node: "n1"},
		"node failed": &catalog.Register{Node: "n1", Address: "10.0.0.1", Checks: alive(catalog.Critical)},
	} {
		t.Run(what, func(t *testing.T) {
			k, ctx := newKeeper(t), t.Context()
			for _, c := range []state.Command{&catalog.Register{Node: "n1", Address: "10.0.0.1", Checks: alive(catalog.Passing)},
				&session.Create{Session: session.Session{ID: "s", Node: "n1", NodeChecks: []string{"alive"}}},
				&session.Create{Session: session.Session{ID: "other", Node: "n2"}}} {
				if _, err := k.Log.Apply(ctx, c); err != nil {
					t.Fatal(err)
				}
			}
			k.add(t, Query{Name: "bound", Session: "s", Service: Service{Service: "web"}})
			k.add(t, Query{Name: "free", Service: Service{Service: "web"}})
			k.add(t, Query{Name: "other", Session: "other", Service: Service{Service: "web"}})
			watched := k.Log.DB().Read()
			if _, _, err := k.List(watched, acl.AllowAll(), &List{}); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Log.Apply(ctx, end); err != nil {
				t.Fatal(err)
			}
			tx := k.Log.DB().Read()
			if k.run(t, "bound") != nil || k.run(t, "free") == nil || k.run(t, "other") == nil {
				t.Error("the wrong queries are there")
			}
			if at := tx.Changed(Queries.Name()); at != tx.Changed("sessions") {
				t.Errorf("the session ended at %d, its query at %d", tx.Changed("sessions"), at)
			}
			if !watched.Watch().Fired() {
				t.Error("who waits for the list sleeps on")
			}
		})
	}
}
