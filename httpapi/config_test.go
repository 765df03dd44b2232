package httpapi

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"lictor/acl"
	"lictor/configentry"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A path with a slash at its end asks for the entry without a name, of which there is none; bodies that are no objects
// are refused in words that clients know.
func TestConfigEntries(t *testing.T) {
	log, err := state.NewLocal(10, configentry.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	entries := &configentry.Service{Log: log}
	caller := &catalogServer{t: t, az: acl.AllowAll()}
	rpc.Handle(&caller.registry, configentry.PutMethod, entries.Put)
	views := view.New(view.Config{Log: log, Datacenter: "dc1",
		Resolve: func(context.Context, string) (acl.Authorizer, error) { return acl.AllowAll(), nil }})
	t.Cleanup(views.Stop)
	view.Handle(views, configentry.GetQuery, entries.Get)
	view.Handle(views, configentry.ListQuery, entries.List)
	s := New(Config{Caller: caller, Views: views, Datacenter: "dc1", Node: "n1", Log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", "/v1/config", `[]`, 400, "Request decoding failed: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		{"PUT", "/v1/config", `"x"`, 400, "Request decoding failed: json: cannot unmarshal string into Go value of type map[string]interface {}"},
		{"PUT", "/v1/config", `{"Kind": "service-defaults", "Name": "web"}`, 200, "true"},
		{"GET", "/v1/config/service-defaults", ``, 200, `[{"Kind":"service-defaults","Name":"web",`},
		{"GET", "/v1/config/service-defaults/web", ``, 200, `{"Kind":"service-defaults","Name":"web",`},
		{"GET", "/v1/config/service-defaults/", ``, 404, `Config entry not found for "service-defaults" / ""`},
		{"GET", "/v1/config/odd/", ``, 500, "invalid config entry kind: odd"},
	} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.text) {
			t.Errorf("%s %s %s: got %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
}
