package dnsserver

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lictor/acl"
	"lictor/catalog"
	"lictor/state"
	"lictor/view"
)

// TestCatalog asks a real catalog through its views.
func TestCatalog(t *testing.T) {
	log, err := state.NewLocal(10, catalog.Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	service := &catalog.Service{Log: log, Datacenter: "dc1"}
	views := view.New(view.Config{Log: log, Datacenter: "dc1", Resolve: func(_ context.Context, token string) (acl.Authorizer, error) {
		if token == "none" {
			return acl.DenyAll(), nil
		}
		return acl.AllowAll(), nil
	}})
	defer views.Stop()
	view.Handle(views, catalog.ServiceHealthQuery, service.ServiceHealth)
	view.Handle(views, catalog.NodeQuery, service.Node)
	view.Handle(views, catalog.AddressQuery, service.AtAddress)
	view.Handle(views, catalog.VirtualAddressQuery, service.VirtualAddress)
	token := ""
	s := New(Config{Lookup: FromViews(views, "n1", nil), Datacenter: "dc1", Settings: Defaults(), Token: func() string { return token }})
	defer s.Stop()
	register := func(r catalog.Register) {
		t.Helper()
		if _, err := service.Register(t.Context(), acl.AllowAll(), &r); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name, qtype string, want ...string) {
		t.Helper()
		for range 2 {
			if got := text(ask(t, s, question(name, qtype), false)); !cmp.Equal(got, want) {
				t.Errorf("%s %s: %s", name, qtype, cmp.Diff(want, got))
			}
		}
	}
	missing := []string{"NXDOMAIN aa", "N consul. 0 IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"}
	expect("n1.node.consul", "A", missing...)
	expect("web.service.consul", "A", missing...)
	register(catalog.Register{Node: "n1", Address: "10.0.0.1", Service: &catalog.Instance{ID: "web1", Service: "Web", Port: 80, Tags: []string{"v1"}}})
	register(catalog.Register{Node: "n2", Address: "10.0.0.2", Service: &catalog.Instance{ID: "web2", Service: "Web", Port: 80, Address: "10.2.2.2"}})
	register(catalog.Register{Node: "n2", Address: "10.0.0.2", Service: &catalog.Instance{ID: "p", Service: "web-proxy", Kind: "connect-proxy", Port: 90, Proxy: catalog.Proxy{DestinationServiceName: "Web"}}})
	expect("n1.node.consul", "A", "NOERROR aa", "A n1.node.consul. 0 IN A 10.0.0.1")
	expect("web.service.consul", "A", "NOERROR aa", "A web.service.consul. 0 IN A 10.0.0.1", "A web.service.consul. 0 IN A 10.2.2.2")
	expect("V1.web.service.consul", "A", "NOERROR aa", "A V1.web.service.consul. 0 IN A 10.0.0.1")
	expect("web.connect.consul", "A", "NOERROR aa", "A web.connect.consul. 0 IN A 10.0.0.2")
	expect("web.virtual.consul", "A", "NOERROR aa", "A web.virtual.consul. 0 IN A 240.0.0.1")
	expect("1.0.0.10.in-addr.arpa", "PTR", "NOERROR aa", "A 1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul.")
	expect("2.2.2.10.in-addr.arpa", "PTR", "NOERROR aa", "A 2.2.2.10.in-addr.arpa. 0 IN PTR web.service.dc1.consul.")
	check := catalog.Check{Node: "n1", CheckID: "c", Name: "c", Status: catalog.Warning, ServiceID: "web1"}
	warning := check
	register(catalog.Register{Node: "n1", Address: "10.0.0.1", Check: &warning})
	expect("v1.web.service.consul", "SRV", "NOERROR aa", "A v1.web.service.consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.", "X n1.node.dc1.consul. 0 IN A 10.0.0.1")
	critical := check
	critical.Status = catalog.Critical
	register(catalog.Register{Node: "n1", Address: "10.0.0.1", Check: &critical})
	expect("web.service.consul", "A", "NOERROR aa", "A web.service.consul. 0 IN A 10.2.2.2")
	expect("v1.web.service.consul", "A", missing...)
	expect("web.service.dc9.consul", "A", missing...)
	token = "none"
	expect("web.service.consul", "A", missing...)
	expect("n1.node.consul", "A", missing...)
	expect("web.virtual.consul", "A", "NOERROR aa")
	expect("1.0.0.10.in-addr.arpa", "PTR", missing...)
}
