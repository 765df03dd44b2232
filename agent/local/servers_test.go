package local

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
	"lictor/view"
)

// A desk is a rpc.Caller of the catalog's methods in this process, that counts the calls.
type desk struct {
	registry rpc.Registry[acl.Authorizer]
	calls    int
}

func (d *desk) Call(ctx context.Context, _ rpc.Header, method string, args, reply any) error {
	d.calls++
	return d.registry.Dispatch(ctx, acl.AllowAll(), method, args, reply)
}

// TestRealCatalog registers all kinds of services in a real catalog, and expects that the full syncs after that find
// nothing to repair: no difference, no write.
func TestRealCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := state.NewLocal(10, catalog.Tables()...)
		if err != nil {
			t.Fatal(err)
		}
		service := &catalog.Service{Log: log, Datacenter: "dc1"}
		views := view.New(view.Config{Log: log, Datacenter: "dc1"})
		defer views.Stop()
		view.Handle(views, catalog.NodeServicesQuery, service.NodeServices)
		view.Handle(views, catalog.NodeChecksQuery, service.NodeChecks)
		d := &desk{}
		rpc.Handle(&d.registry, catalog.RegisterMethod, service.Register)
		rpc.Handle(&d.registry, catalog.DeregisterMethod, service.Deregister)
		b := open(t, func(c *Config) { c.Catalog = &Servers{Caller: d, Views: views, Node: "node1"} })
		defer b.Stop()
		b.Start()
		for _, s := range []*catalog.ServiceDefinition{
			{Name: "plain"},
			{Name: "full", ID: "Full/1", Tags: []string{"b", "a"}, Address: "10.0.0.5", Port: 80, Meta: map[string]string{"k": "v"},
				TaggedAddresses: map[string]catalog.ServiceAddress{"lan": {Address: "10.0.0.6", Port: 1}}, EnableTagOverride: true,
				Weights: &catalog.Weights{Passing: 3, Warning: 1}, Locality: &catalog.Locality{Region: "r", Zone: "z"},
				Checks: []*catalog.CheckDefinition{ttl(time.Hour), httpCheck()}},
			{Name: "sock", SocketPath: "/tmp/s"},
			{Name: "native", Port: 1, Connect: &catalog.ConnectDefinition{Native: true}},
			{Name: "web", Port: 8080, Connect: &catalog.ConnectDefinition{SidecarService: &catalog.ServiceDefinition{
				Proxy: &catalog.Proxy{Config: map[string]any{"n": 1, "f": 1.5, "deep": map[string]any{"a": []any{1, "x"}}},
					Upstreams: []catalog.Upstream{{DestinationName: "db", LocalBindPort: 5, Config: map[string]any{"t": 500}}},
					Expose:    catalog.Expose{Checks: true, Paths: []catalog.ExposePath{{Path: "/h", ListenerPort: 9}}}}}}},
			{Name: "mg", Kind: catalog.MeshGatewayKind, Port: 443, Address: "::1"},
		} {
			b.must(s.Validate())
			b.register(s)
		}
		b.must(b.RegisterCheck(context.Background(), &catalog.CheckDefinition{Name: "mem", Notes: "n", TTL: 1e12, Status: catalog.Warning}, ""))
		b.must(b.SetNodeMaintenance(context.Background(), true, "", ""))
		synctest.Wait()
		remote, err := b.Catalog.Registered(context.Background(), "")
		if err != nil || len(remote.Services) != len(b.Services()) || len(remote.Checks) != len(b.Checks()) {
			t.Fatalf("the catalog has %d services and %d checks, want %d and %d: %v",
				len(remote.Services), len(remote.Checks), len(b.Services()), len(b.Checks()), err)
		}
		before := d.calls
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if d.calls != before {
			t.Errorf("full syncs without a difference have made %d writes", d.calls-before)
		}
		if _, err := log.Apply(context.Background(), &catalog.Deregister{Node: "node1"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if remote, _ := b.Catalog.Registered(context.Background(), ""); len(remote.Services) != len(b.Services()) || len(remote.Checks) != len(b.Checks()) {
			t.Errorf("of a node that was removed %d services and %d checks came back", len(remote.Services), len(remote.Checks))
		}
		for id := range b.Services() {
			_ = b.DeregisterService(context.Background(), id)
		}
		synctest.Wait()
		if remote, _ := b.Catalog.Registered(context.Background(), ""); len(remote.Services) != 0 {
			t.Errorf("%d services are left", len(remote.Services))
		}
	})
}
