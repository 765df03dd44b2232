package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"lictor/acl"
	"lictor/event"
	"lictor/rpc"
)

// An eventServer delivers what is fired to its own inbox.
type eventServer struct {
	registry rpc.Registry[acl.Authorizer]
	inbox    *event.Inbox
	fired    uint64
}

// Call implements rpc.Caller.
func (s *eventServer) Call(ctx context.Context, _ rpc.Header, method string, args, reply any) error {
	return s.registry.Dispatch(ctx, acl.AllowAll(), method, args, reply)
}

// onlyDeploy may read the event deploy.
type onlyDeploy struct{ acl.Authorizer }

func (onlyDeploy) Allow(r acl.Resource, name string, access acl.Access) bool {
	return r == acl.Event && name == "deploy" && access == acl.Read
}

func serveEvents() *Server {
	s := &eventServer{inbox: event.NewInbox(event.Target{Node: "node1", Services: func(func(string, []string) bool) {}})}
	rpc.Handle(&s.registry, event.FireMethod, (&event.Service{Broadcast: func(name string, payload []byte) error {
		s.fired++
		_, err := s.inbox.Receive(name, payload, s.fired)
		return err
	}}).Fire)
	return New(Config{Caller: s, Events: s.inbox, Datacenter: "dc1", Log: slog.New(slog.DiscardHandler),
		Resolve: func(_ context.Context, token string) (acl.Authorizer, error) {
			if token == "deploy" {
				return onlyDeploy{acl.AllowAll()}, nil
			}
			return acl.AllowAll(), nil
		}})
}

func listed(t *testing.T, w *httptest.ResponseRecorder) (names []string, index string) {
	t.Helper()
	var events []event.Event
	if err := json.Unmarshal(w.Body.Bytes(), &events); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body, err)
	}
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names, w.Header().Get("X-Consul-Index")
}

func TestEventsAreFiredAndListed(t *testing.T) {
	s := serveEvents()
	if w := ask(s, "GET", "/v1/event/list", ""); w.Body.String() != "[]" || w.Header().Get("X-Consul-Index") != "1" {
		t.Error(w.Body, w.Header())
	}
	w := ask(s, "PUT", "/v1/event/fire/deploy", "payload")
	var fired event.Event
	if err := json.Unmarshal(w.Body.Bytes(), &fired); err != nil || string(fired.Payload) != "payload" || fired.Version != 1 || fired.LTime != 0 {
		t.Fatal(w.Body, err)
	}
	ask(s, "PUT", "/v1/event/fire/a%2Fb?node=^node", "")
	ask(s, "PUT", "/v1/event/fire/elsewhere?node=^other", "")
	for path, want := range map[string]int{"": 2, "?name=deploy": 1, "?name=none": 0, "?token=deploy": 1} {
		if names, _ := listed(t, ask(s, "GET", "/v1/event/list"+path, "")); len(names) != want {
			t.Errorf("%s: %v", path, names)
		}
	}
	if _, index := listed(t, ask(s, "GET", "/v1/event/list?name=deploy", "")); index != strconv.FormatUint(fired.Index(), 10) {
		t.Errorf("index %s", index)
	}
}

func TestEventListBlocks(t *testing.T) {
	s := serveEvents()
	ask(s, "PUT", "/v1/event/fire/deploy", "")
	_, index := listed(t, ask(s, "GET", "/v1/event/list", ""))
	if _, again := listed(t, ask(s, "GET", "/v1/event/list?wait=1ms&index="+index, "")); again != index {
		t.Errorf("index moved from %s to %s by itself", index, again)
	}
	answer := make(chan *httptest.ResponseRecorder, 1)
	go func() { answer <- ask(s, "GET", "/v1/event/list?name=deploy&index="+index, "") }()
	ask(s, "PUT", "/v1/event/fire/other", "")
	ask(s, "PUT", "/v1/event/fire/deploy", "")
	if names, after := listed(t, <-answer); len(names) != 2 || after == index {
		t.Errorf("woken with %v at %s", names, after)
	}
}

func TestEventRefusals(t *testing.T) {
	s := serveEvents()
	for _, x := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"PUT", "/v1/event/fire/", 400, "Missing name"},
		{"PUT", "/v1/event/fire/x?node=[", 500, "Invalid node filter: error parsing regexp: missing closing ]: `[`"},
		{"PUT", "/v1/event/fire/x?tag=a", 500, "Cannot provide tag filter without service filter"},
		{"GET", "/v1/event/list?index=x", 400, "Invalid index"},
	} {
		if w := ask(s, x.method, x.path, ""); w.Code != x.status || w.Body.String() != x.text {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
}
