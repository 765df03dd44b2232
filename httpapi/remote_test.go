package httpapi

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/rpc"
	"lictor/view"
)

// distant is the Source of an agent without the state. What it delivers has travelled.
type distant struct {
	*view.Views
	fetches atomic.Int64
}

func (d *distant) Fetch(ctx context.Context, q *view.Ask) (*view.Packed, error) {
	d.fetches.Add(1)
	p, err := d.Views.Answer(ctx, q.Header, travel(q))
	if err != nil {
		return nil, err
	}
	return travel(p), nil
}

func (d *distant) Follow(ctx context.Context, q *view.Ask, deliver func(*view.Packed) error) error {
	return d.Views.Stream(ctx, q.Header, travel(q), func(p *view.Packed) error { return deliver(travel(p)) })
}

func travel[T any](sent *T) *T {
	b, err := rpc.Append(nil, sent)
	arrived := new(T)
	if err == nil {
		err = rpc.Decode(b, arrived)
	}
	if err != nil {
		panic(err)
	}
	return arrived
}

// An agent without the state answers as a server does: to the letter, and with the same headers.
func TestAgentWithoutState(t *testing.T) {
	s := newCatalogServer(t, nodesOnly{acl.DenyAll()})
	s.az = acl.AllowAll()
	s.register("n1", "web", 80, "passing")
	s.register("n2", "db", 81, "critical")
	for name, az := range map[string]acl.Authorizer{"all": acl.AllowAll(), "nodes": nodesOnly{acl.DenyAll()}} {
		t.Run(name, func(t *testing.T) {
			s.views.Resolve = func(context.Context, string) (acl.Authorizer, error) { return az, nil }
			far := &distant{Views: s.views}
			views := view.New(view.Config{Source: far, Datacenter: "dc1"})
			t.Cleanup(views.Stop)
			catalogQueries(views, &catalog.Service{}, &coordinate.Service{})
			agent := &catalogServer{t: t, http: httptest.NewServer(New(Config{Caller: s, Views: views, Datacenter: "dc1", Node: "n1", Log: slog.New(slog.DiscardHandler)}))}
			t.Cleanup(agent.http.Close)
			for _, path := range []string{
				"/v1/catalog/nodes", "/v1/catalog/nodes?filter=Node==n1", "/v1/catalog/nodes?filter=(", "/v1/catalog/nodes?dc=dc2",
				"/v1/catalog/node/n1", "/v1/catalog/node/none", "/v1/catalog/node-services/n1", "/v1/catalog/node-services/none",
				"/v1/catalog/services", "/v1/catalog/services?stale", "/v1/catalog/service/web?consistent", "/v1/catalog/service/none",
				"/v1/catalog/service/web?index=1", "/v1/catalog/connect/web", "/v1/catalog/gateway-services/web",
				"/v1/health/service/web", "/v1/health/service/web?passing", "/v1/health/service/db?passing", "/v1/health/service/none",
				"/v1/health/node/n1", "/v1/health/checks/web", "/v1/health/state/any", "/v1/health/state/critical", "/v1/health/state/none",
				"/v1/health/service/web?cached", "/v1/catalog/services?cached", "/v1/coordinate/nodes", "/v1/coordinate/node/n1", "/v1/operator/usage",
			} {
				status, h, body := s.do("GET", path, "")
				status2, h2, body2 := agent.do("GET", path, "")
				for _, changing := range []string{"Date", "X-Cache", "Age"} {
					h.Del(changing)
					h2.Del(changing)
				}
				if status != status2 || body != body2 || !cmp.Equal(h, h2) {
					t.Errorf("%s: %d %s\nbut an agent says\n%d %s\n%s", path, status, body, status2, body2, cmp.Diff(h, h2))
				}
			}
			asked := far.fetches.Load()
			for range 10 {
				agent.do("GET", "/v1/health/service/web?cached", "")
			}
			if n := far.fetches.Load() - asked; n != 0 {
				t.Errorf("servers were asked %d times for what is cached", n)
			}
			if _, h, _ := agent.do("GET", "/v1/health/service/web?cached", ""); h.Get("X-Cache") != "HIT" || h.Get("Age") != "0" {
				t.Errorf("headers of what is cached: %v", h)
			}
		})
	}
}
