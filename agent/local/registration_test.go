package local

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lictor/catalog"
	"lictor/rpc"
)

func TestCheckNames(t *testing.T) {
	named := &catalog.CheckDefinition{Name: "named", TTL: 1}
	own := &catalog.CheckDefinition{CheckID: "own", TTL: 1}
	for _, test := range []struct {
		about string
		def   *catalog.ServiceDefinition
		want  map[string]string // names by id
	}{
		{"one", &catalog.ServiceDefinition{Name: "web", ID: "w", Check: ttl(1)}, map[string]string{"service:w": "Service 'web' check"}},
		{"one in a list", &catalog.ServiceDefinition{Name: "web", Checks: []*catalog.CheckDefinition{ttl(1)}}, map[string]string{"service:web": "Service 'web' check"}},
		{"both fields", &catalog.ServiceDefinition{Name: "web", Check: ttl(1), Checks: []*catalog.CheckDefinition{named, own}},
			map[string]string{"service:web:1": "Service 'web' check", "service:web:2": "named", "own": "Service 'web' check"}},
		{"an empty one does not count", &catalog.ServiceDefinition{Name: "web", Check: &catalog.CheckDefinition{}}, map[string]string{}},
	} {
		b := open(t, nil)
		b.register(test.def)
		got := map[string]string{}
		for id, c := range b.Checks() {
			got[id] = c.Name
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.about, diff)
		}
		b.Stop()
	}
}

func TestRowsAsRecorded(t *testing.T) {
	b := open(t, nil)
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "web", Tags: []string{"a"}, Check: httpCheck()})
	b.must(b.RegisterCheck(context.Background(), &catalog.CheckDefinition{Name: "mem", Notes: "n", TTL: catalog.Duration(15 * time.Second)}, ""))
	want := map[string]*catalog.Check{
		"service:web": {Node: "node1", CheckID: "service:web", Name: "Service 'web' check", Status: "critical", ServiceID: "web",
			ServiceName: "web", ServiceTags: []string{"a"}, Type: "http", Interval: "10s"},
		"mem": {Node: "node1", CheckID: "mem", Name: "mem", Notes: "n", Status: "critical", ServiceTags: []string{}, Type: "ttl",
			Interval: "0s", Timeout: "0s"},
	}
	if diff := cmp.Diff(want, b.Checks()); diff != "" {
		t.Error(diff)
	}
}

func TestReplacingKeepsOrRemovesChecks(t *testing.T) {
	b := open(t, nil)
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "m", Checks: []*catalog.CheckDefinition{ttl(time.Hour), ttl(time.Hour)}})
	b.must(b.UpdateCheck(context.Background(), "service:m:1", catalog.Passing, "fine"))
	b.must(b.SetServiceMaintenance(context.Background(), "m", true, "", ""))
	b.register(&catalog.ServiceDefinition{Name: "m", Checks: []*catalog.CheckDefinition{ttl(time.Hour), ttl(time.Hour)}})
	if got := b.CheckRow("service:m:1"); got.Status != catalog.Passing || got.Output != "fine" {
		t.Errorf("a check that was registered again has lost its state: %+v", got)
	}
	b.register(&catalog.ServiceDefinition{Name: "m", Check: ttl(time.Hour)})
	if got := len(b.Checks()); got != 4 {
		t.Errorf("there are %d checks, want the two old ones, the new one and maintenance", got)
	}
	b.must(b.RegisterService(context.Background(), &catalog.ServiceDefinition{Name: "m", Check: &catalog.CheckDefinition{CheckID: "only", TTL: 1e12}}, "", true))
	if got := sortedKeys(b.Checks()); !slices.Equal(got, []string{"_service_maintenance:m", "only"}) {
		t.Errorf("checks %v are left", got)
	}
}

func TestSameCheckRunsOn(t *testing.T) {
	b := open(t, nil)
	defer b.Stop()
	for range 3 {
		b.register(&catalog.ServiceDefinition{Name: "web", Check: httpCheck()})
	}
	if b.hand.added != 1 {
		t.Errorf("the check was started %d times", b.hand.added)
	}
	b.hand.report("service:web", catalog.Passing, "up")
	if b.CheckRow("service:web").Status != catalog.Passing {
		t.Error("a report after a second registration is lost")
	}
	changed := httpCheck()
	changed.HTTP += "new"
	b.register(&catalog.ServiceDefinition{Name: "web", Check: changed})
	if b.hand.added != 2 || b.CheckRow("service:web").Status != catalog.Passing {
		t.Errorf("started %d times, state %s", b.hand.added, b.CheckRow("service:web").Status)
	}
}

func TestRefusals(t *testing.T) {
	b := open(t, nil)
	defer b.Stop()
	for text, err := range map[string]error{
		`Unknown service ID "none". Ensure that the service ID is passed, not the service name.`: b.DeregisterService(context.Background(), "none"),
		`Unknown check ID "none". Ensure that the check ID is passed, not the check name.`:       b.DeregisterCheck(context.Background(), "none"),
		`ServiceID "none" does not exist`: b.RegisterCheck(context.Background(), &catalog.CheckDefinition{Name: "x", ServiceID: "none", TTL: 1}, ""),
	} {
		if err == nil || err.Error() != text || rpc.CodeOf(err) != rpc.NotFound {
			t.Errorf("got %v, want %s", err, text)
		}
	}
	script := &catalog.CheckDefinition{Name: "x", ScriptArgs: []string{"true"}, Interval: 1e9}
	if b.RegisterService(context.Background(), &catalog.ServiceDefinition{Name: "web", Check: script}, "", false) == nil {
		t.Error("a script came in over HTTP")
	}
	sidecar := &catalog.ConnectDefinition{SidecarService: &catalog.ServiceDefinition{Check: script}}
	if b.RegisterService(context.Background(), &catalog.ServiceDefinition{Name: "web", Port: 1, Connect: sidecar}, "", false) == nil {
		t.Error("a script came in with a sidecar")
	}
	if len(b.Services()) != 0 {
		t.Error("a refused registration has left something")
	}
	b.must(b.RegisterCheck(context.Background(), httpNamed("http"), ""))
	if err := b.UpdateCheck(context.Background(), "http", catalog.Passing, ""); err == nil || err.Error() != `CheckID "http" does not have associated TTL` {
		t.Errorf("got %v", err)
	}
}

func httpNamed(name string) *catalog.CheckDefinition {
	d := httpCheck()
	d.Name = name
	return d
}

func TestTTL(t *testing.T) {
	running(t, scheduled, func(b *bench) {
		check := ttl(10 * time.Second)
		check.Status = catalog.Passing
		b.register(&catalog.ServiceDefinition{Name: "web", Check: check})
		time.Sleep(9 * time.Second)
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, "fine"))
		time.Sleep(9 * time.Second)
		if got := b.CheckRow("service:web").Status; got != catalog.Passing {
			t.Errorf("%s before the TTL is over", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := b.mem.check("service:web")
		if got.Status != catalog.Critical || got.Output != "TTL expired (last output before timeout follows): fine" {
			t.Errorf("after the TTL: %+v", got)
		}
		long := make([]byte, 5000)
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, string(long)))
		if got := len(b.CheckRow("service:web").Output); got != 4096+len(" ... (captured 4096 of 5000 bytes)") {
			t.Errorf("an output of 5000 bytes is cut to %d", got)
		}
	})
}

func TestCriticalServiceIsDeregistered(t *testing.T) {
	running(t, scheduled, func(b *bench) {
		check := ttl(time.Minute)
		check.DeregisterCriticalServiceAfter = catalog.Duration(time.Second)
		b.register(&catalog.ServiceDefinition{Name: "web", Check: check})
		time.Sleep(10 * time.Second)
		if row, _ := b.Service("web"); row == nil {
			t.Fatal("a service goes before its check was heard of")
		}
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, ""))
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Critical, ""))
		time.Sleep(999 * time.Millisecond)
		if row, _ := b.Service("web"); row == nil {
			t.Fatal("a service goes too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if row, _ := b.Service("web"); row != nil || b.mem.service("web") != nil {
			t.Error("a critical service stays")
		}
	})
}

func TestAlias(t *testing.T) {
	running(t, scheduled, func(b *bench) {
		b.must(b.RegisterCheck(context.Background(), &catalog.CheckDefinition{ID: "alias", Name: "alias", AliasService: "web"}, ""))
		status := func(want, output string) {
			t.Helper()
			synctest.Wait()
			if got := b.CheckRow("alias"); got.Status != want || output != "" && got.Output != output {
				t.Errorf("alias is %s (%s), want %s (%s)", got.Status, got.Output, want, output)
			}
		}
		status(catalog.Critical, "")
		b.register(&catalog.ServiceDefinition{Name: "web"})
		status(catalog.Passing, "No checks found.")
		b.register(&catalog.ServiceDefinition{Name: "web", Check: ttl(time.Hour)})
		status(catalog.Critical, `Aliased check "Service 'web' check" failing: `)
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Passing, "fine"))
		status(catalog.Passing, "All checks passing.")
		b.must(b.UpdateCheck(context.Background(), "service:web", catalog.Warning, "hmm"))
		status(catalog.Warning, `Aliased check "Service 'web' check" failing: hmm`)
		b.must(b.DeregisterCheck(context.Background(), "service:web"))
		status(catalog.Passing, "No checks found.")
		b.must(b.DeregisterService(context.Background(), "web"))
		status(catalog.Critical, "")

		for _, name := range []string{"n1", "n2"} { // two of them do not hold each other up
			b.must(b.RegisterCheck(context.Background(), &catalog.CheckDefinition{Name: name, AliasNode: "node1"}, ""))
		}
		synctest.Wait()
		if got := b.CheckRow("n2"); got.Status != catalog.Passing || got.Output != "All checks passing." {
			t.Errorf("alias of the node is %+v", got)
		}
		b.must(b.SetNodeMaintenance(context.Background(), true, "", ""))
		synctest.Wait()
		if got := b.CheckRow("n1").Status; got != catalog.Critical {
			t.Errorf("alias of a node in maintenance is %s", got)
		}
	})
}

func TestCheckThatCannotBeRun(t *testing.T) {
	b := open(t, func(c *Config) { c.DataDir = t.TempDir() })
	defer b.Stop()
	wrong := httpNamed("x")
	wrong.HTTP = "cannot be run"
	if err := b.RegisterCheck(context.Background(), wrong, ""); rpc.CodeOf(err) != rpc.Invalid {
		t.Errorf("got %v", err)
	}
	if len(b.Checks())+len(files(t, b.DataDir)) != 0 {
		t.Error("a check that cannot be run is registered")
	}
}

func TestMaintenance(t *testing.T) {
	b := open(t, nil)
	defer b.Stop()
	ctx := context.Background()
	b.register(&catalog.ServiceDefinition{Name: "web"})
	b.must(b.SetServiceMaintenance(ctx, "web", true, "why", ""))
	b.must(b.SetServiceMaintenance(ctx, "web", true, "other", ""))
	b.must(b.SetNodeMaintenance(ctx, true, "", ""))
	service, node := b.CheckRow("_service_maintenance:web"), b.CheckRow("_node_maintenance")
	if service.Notes != "why" || service.Type != "maintenance" || service.Status != catalog.Critical || service.ServiceName != "web" {
		t.Errorf("service: %+v", service)
	}
	if node.Notes != defaultNodeReason || node.Type != "maintenance" || node.ServiceID != "" {
		t.Errorf("node: %+v", node)
	}
	for range 2 {
		b.must(b.SetServiceMaintenance(ctx, "web", false, "", ""))
		b.must(b.SetNodeMaintenance(ctx, false, "", ""))
	}
	if len(b.Checks()) != 0 {
		t.Error("maintenance is not over")
	}
	if err := b.SetServiceMaintenance(ctx, "none", true, "", ""); rpc.CodeOf(err) != rpc.NotFound {
		t.Errorf("maintenance of nothing: %v", err)
	}
}

func TestSidecar(t *testing.T) {
	b := open(t, func(c *Config) { c.SidecarPorts = PortRange{21000, 21001} })
	defer b.Stop()
	withSidecar := func(name string, s catalog.ServiceDefinition) *catalog.ServiceDefinition {
		return &catalog.ServiceDefinition{Name: name, Port: 8080, Tags: []string{"t"}, Connect: &catalog.ConnectDefinition{SidecarService: &s}}
	}
	b.register(withSidecar("web", catalog.ServiceDefinition{}))
	row, _ := b.Service("web-sidecar-proxy")
	want := catalog.Proxy{DestinationServiceName: "web", DestinationServiceID: "web", LocalServiceAddress: "127.0.0.1", LocalServicePort: 8080}
	if row == nil || row.Kind != catalog.ConnectProxy || row.Port != 21000 || !slices.Equal(row.Tags, []string{"t"}) || !cmp.Equal(row.Proxy, want) {
		t.Fatalf("sidecar %+v", row)
	}
	checks := b.Checks()
	if len(checks) != 2 || checks["service:web-sidecar-proxy:1"].Type != "tcp" || checks["service:web-sidecar-proxy:2"].Name != "Connect Sidecar Aliasing web" {
		t.Errorf("checks %v", slices.Collect(maps.Keys(checks)))
	}
	b.register(withSidecar("web", catalog.ServiceDefinition{}))
	b.register(withSidecar("db", catalog.ServiceDefinition{}))
	if row, _ := b.Service("web-sidecar-proxy"); row.Port != 21000 {
		t.Errorf("a sidecar that was registered again has moved to %d", row.Port)
	}
	if row, _ := b.Service("db-sidecar-proxy"); row.Port != 21001 {
		t.Errorf("the second sidecar is on %d", row.Port)
	}
	if b.RegisterService(context.Background(), withSidecar("third", catalog.ServiceDefinition{}), "", false) == nil {
		t.Error("a third sidecar got one of two ports")
	}
	b.must(b.DeregisterService(context.Background(), "web"))
	b.must(b.DeregisterService(context.Background(), "db"))
	if len(b.Services())+len(b.Checks()) != 0 {
		t.Error("a sidecar stays without its service")
	}
}

func TestReload(t *testing.T) {
	b := open(t, func(c *Config) {
		c.Definitions = Definitions{
			Services: []*catalog.ServiceDefinition{{Name: "stays", Check: httpCheck()}, {Name: "goes"}, {Name: "changes", Port: 1, Check: ttl(time.Hour)}},
			Checks:   []*catalog.CheckDefinition{{Name: "mem", TTL: 1e12}, {Name: "old", TTL: 1e12}},
		}
	})
	defer b.Stop()
	b.register(&catalog.ServiceDefinition{Name: "api"})
	b.hand.report("service:stays", catalog.Passing, "up")
	b.must(b.UpdateCheck(context.Background(), "service:changes", catalog.Passing, "fine"))
	b.must(b.UpdateCheck(context.Background(), "mem", catalog.Warning, ""))
	b.must(b.RegisterCheck(context.Background(), &catalog.CheckDefinition{Name: "added", ServiceID: "changes", TTL: 1e12}, ""))
	next := Definitions{
		Services: []*catalog.ServiceDefinition{{Name: "stays", Check: httpCheck()}, {Name: "changes", Port: 2, Check: ttl(time.Minute)}, {Name: "new"}},
		Checks:   []*catalog.CheckDefinition{{Name: "mem", TTL: 1e12}},
	}
	b.must(b.Reload(next, Settings{}))
	if got := sortedKeys(b.Services()); !slices.Equal(got, []string{"api", "changes", "new", "stays"}) {
		t.Errorf("services %v", got)
	}
	if got := sortedKeys(b.Checks()); !slices.Equal(got, []string{"added", "mem", "service:changes", "service:stays"}) {
		t.Errorf("checks %v", got)
	}
	if b.hand.added != 1 {
		t.Error("a check whose definition stays was started again")
	}
	for id, want := range map[string]string{"service:stays": "passing", "service:changes": "passing", "mem": "warning"} {
		if got := b.CheckRow(id).Status; got != want {
			t.Errorf("%s is %s after the reload, was %s", id, got, want)
		}
	}
	if row, _ := b.Service("changes"); row.Port != 2 {
		t.Error("a changed definition is not taken over")
	}
	for about, wrong := range map[string]Definitions{
		"no name":        {Services: []*catalog.ServiceDefinition{{ID: "x"}}},
		"twice":          {Services: []*catalog.ServiceDefinition{{Name: "x"}, {Name: "x"}}},
		"a bad check":    {Checks: []*catalog.CheckDefinition{{Name: "x"}}},
		"a bad status":   {Checks: []*catalog.CheckDefinition{{Name: "x", TTL: 1, Status: "odd"}}},
		"no check name":  {Checks: []*catalog.CheckDefinition{{TTL: 1}}},
		"sidecar twice":  {Services: []*catalog.ServiceDefinition{{Name: "x", Connect: &catalog.ConnectDefinition{SidecarService: &catalog.ServiceDefinition{}}}, {Name: "x-sidecar-proxy"}}},
		"a bad interval": {Services: []*catalog.ServiceDefinition{{Name: "x", Check: &catalog.CheckDefinition{HTTP: "http://x/"}}}},
	} {
		if b.Reload(wrong, Settings{}) == nil {
			t.Errorf("%s is accepted", about)
		}
		if len(b.Services()) != 4 {
			t.Errorf("%s has changed something", about)
		}
	}
}
