package configentry

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/catalog"
)

// intend changes an intention, and gives the error's text.
func (s *Service) intend(t *testing.T, verb string, i Intention) string {
	t.Helper()
	make := Exact
	if i.ID != "" {
		make = Legacy
	}
	c, err := make(&i, verb)
	if err == nil {
		_, err = s.ChangeIntention(t.Context(), acl.AllowAll(), c)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s *Service) verdict(t *testing.T, source, destination string) Verdict {
	t.Helper()
	v, _, err := s.Check(s.Log.DB().Read(), acl.AllowAll(), &CheckCall{Source: source, Destination: destination})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIntentionsDecideByPrecedence(t *testing.T) {
	s := newService(t)
	if v := s.verdict(t, "web", "db"); !v.Allowed {
		t.Errorf("nothing is said, and the default is to allow: %+v", v)
	}
	s.DenyCalls = true
	if v := s.verdict(t, "web", "db"); v.Allowed {
		t.Errorf("nothing is said, and the default is to deny: %+v", v)
	}
	s.DenyCalls = false
	for _, i := range []Intention{
		{SourceName: "*", DestinationName: "*", Action: Deny},
		{SourceName: "web", DestinationName: "*", Action: Allow},
		{SourceName: "*", DestinationName: "db", Action: Deny},
		{SourceName: "api", DestinationName: "db", Action: Allow},
		{SourceName: "api", SourcePeer: "far", DestinationName: "db", Action: Deny},
	} {
		if err := s.intend(t, UpsertIntention, i); err != "" {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		source, destination string
		allowed             bool
	}{{"api", "db", true}, {"web", "db", false}, {"web", "x", true}, {"x", "y", false}, {"api", "x", false}} {
		if v := s.verdict(t, c.source, c.destination); v.Allowed != c.allowed || !strings.Contains(v.Reason, "intention") {
			t.Errorf("%s to %s: %+v", c.source, c.destination, v)
		}
	}
}

const idA, idB = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"

// Intentions with ids are changed by these, until the entry is written in another way.
func TestIntentionsWithIDs(t *testing.T) {
	s := newService(t)
	web := Intention{ID: idA, SourceName: "web", DestinationName: "db", Action: Allow, Meta: map[string]string{"k": "v"}}
	if err := s.intend(t, CreateIntention, web); err != "" {
		t.Fatal(err)
	}
	web.ID = idB
	if err := s.intend(t, CreateIntention, web); err != `Sources[1] defines "web" more than once` {
		t.Error(err)
	}
	web.ID, web.Action = idA, Deny
	if err := s.intend(t, UpdateIntention, web); err != "" || s.verdict(t, "web", "db").Allowed {
		t.Error(err)
	}
	moved := web
	moved.DestinationName = "other"
	if err := s.intend(t, UpdateIntention, moved); !strings.HasPrefix(err, "Cannot modify Destination") {
		t.Error(err)
	}
	moved.ID = idB
	if err := s.intend(t, UpdateIntention, moved); err != "Cannot modify non-existent intention: '"+idB+"'" {
		t.Error(err)
	}
	if err := s.intend(t, UpsertIntention, Intention{SourceName: "api", DestinationName: "db", Action: Allow}); err != "" {
		t.Fatal(err)
	}
	if err := s.intend(t, CreateIntention, Intention{ID: idB, SourceName: "x", DestinationName: "db", Action: Allow}); !strings.HasPrefix(err, "cannot use legacy intention API") {
		t.Error(err)
	}
	if text := Find(s.Log.DB().Read(), ServiceIntentions, "db").Text; strings.Contains(text, "Legacy") {
		t.Errorf("what came with the id is still there: %s", text)
	}
	for _, name := range []string{"api", "web", "nobody"} {
		if err := s.intend(t, DeleteIntention, Intention{SourceName: name, DestinationName: "db"}); err != "" {
			t.Error(err)
		}
	}
	if e := Find(s.Log.DB().Read(), ServiceIntentions, "db"); e != nil {
		t.Errorf("an entry without sources is left: %+v", e)
	}
}

// What is wrong is told, and changes nothing.
func TestIntentionsThatAreRefused(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		i    Intention
		want string
	}{
		{Intention{ID: idA, DestinationName: "db"}, "2 errors occurred:\n\t* SourceName must be set\n\t* Action must be set to 'allow' or 'deny'\n\n"},
		{Intention{ID: idA, SourceName: "a", DestinationName: "d*", Action: Allow}, "1 error occurred:\n\t* DestinationName: wildcard character '*' cannot be used with partial values\n\n"},
	} {
		if err := s.intend(t, CreateIntention, c.i); err != c.want {
			t.Errorf("got %q, want %q", err, c.want)
		}
	}
	l7 := Intention{SourceName: "a", DestinationName: "x", Permissions: []*PermissionToCall{{Action: Allow, HTTP: &HTTPPermission{PathPrefix: "/"}}}}
	if err := s.intend(t, UpsertIntention, l7); err != `service "x" has protocol "tcp", which is incompatible with L7 intentions permissions` {
		t.Error(err)
	}
	if err := s.write(t, `{"Kind":"service-defaults","Name":"x","Protocol":"http"}`); err != "" {
		t.Fatal(err)
	}
	if err := s.intend(t, UpsertIntention, l7); err != "" {
		t.Error(err)
	}
	if v := s.verdict(t, "a", "x"); v.Allowed {
		t.Errorf("permissions are about requests: %+v", v)
	}
	if err := s.write(t, `{"Kind":"service-defaults","Name":"x","Protocol":"tcp"}`); !strings.Contains(err, "incompatible with L7 intentions") {
		t.Error(err)
	}
}

// only allows accesses to the intentions of one service.
type only struct {
	acl.Authorizer
	name string
}

func (o only) Allow(r acl.Resource, name string, _ acl.Access) bool {
	return r == acl.Intention && name == o.name
}

// A token sees the intentions of its service, on either side, and changes those to it.
func TestIntentionsAsk(t *testing.T) {
	s := newService(t)
	for _, i := range []Intention{{SourceName: "a", DestinationName: "b", Action: Allow}, {SourceName: "c", DestinationName: "a", Action: Allow},
		{SourceName: "c", DestinationName: "d", Action: Allow}} {
		if err := s.intend(t, UpsertIntention, i); err != "" {
			t.Fatal(err)
		}
	}
	az := only{acl.DenyAll(), "a"}
	d, _, err := s.ListIntentions(s.Log.DB().Read(), az, &ListIntentions{})
	var seen []Intention
	if err != nil || json.Unmarshal([]byte(d.Text), &seen) != nil || len(seen) != 2 || !d.Filtered {
		t.Errorf("%s %v", d.Text, err)
	}
	if _, _, err := s.Match(s.Log.DB().Read(), az, &Match{Names: catalog.ListOf("a", "d")}); err == nil {
		t.Error("it matches those of another service")
	}
	for destination, may := range map[string]bool{"a": true, "d": false, "*": false} {
		c, err := Exact(&Intention{SourceName: "x", DestinationName: destination, Action: Deny}, UpsertIntention)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChangeIntention(t.Context(), az, c); (err == nil) != may {
			t.Errorf("%s: %v", destination, err)
		}
	}
}

// Whatever is said already: one denial more allows no call that was not allowed before.
func TestADenialMoreNeverWidens(t *testing.T) {
	names := []string{"a", "b", "c", wildcard}
	permissions := []*PermissionToCall{{Action: Allow, HTTP: &HTTPPermission{PathPrefix: "/"}}, {Action: Deny, HTTP: &HTTPPermission{PathExact: "/x"}}}
	denied := 0
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := newService(t)
		s.DenyCalls = seed%2 == 0
		if err := s.write(t, `{"Kind": "service-defaults", "Name": "a", "Protocol": "http"}`); err != "" { // permissions are about requests
			t.Fatal(err)
		}
		intention := func(action string) Intention {
			i := Intention{SourceName: names[random.IntN(4)], DestinationName: names[random.IntN(4)], Action: action}
			if i.SourceName != wildcard && random.IntN(4) == 0 {
				i.SourcePeer = "far"
			}
			if i.DestinationName == "a" && random.IntN(3) == 0 {
				first := random.IntN(2)
				if action == Deny {
					first = 1
				}
				i.Action, i.Permissions = "", permissions[first:]
			}
			return i
		}
		add := func(i Intention) {
			if err := s.intend(t, UpsertIntention, i); err != "" {
				t.Fatalf("seed %d: %+v: %s", seed, i, err)
			}
		}
		for range random.IntN(12) {
			add(intention([]string{Allow, Deny}[random.IntN(2)]))
		}
		before := map[[2]string]bool{}
		for _, source := range names[:3] {
			for _, destination := range names[:3] {
				before[[2]string{source, destination}] = s.verdict(t, source, destination).Allowed
			}
		}
		denial := intention(Deny)
		add(denial)
		for call, allowed := range before {
			after := s.verdict(t, call[0], call[1])
			if after.Allowed && !allowed {
				t.Errorf("seed %d: %s may call %s once this is there: %s", seed, call[0], call[1], &denial)
			}
			if allowed && !after.Allowed {
				denied++
			}
			if after.Allowed && denial.SourcePeer == "" && denial.SourceName == call[0] && denial.DestinationName == call[1] {
				t.Errorf("seed %d: %s may call %s all the same", seed, call[0], call[1])
			}
		}
	}
	if denied < 50 {
		t.Errorf("only %d calls were denied by one denial more", denied)
	}
}
