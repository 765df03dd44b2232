package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lictor/acl"
	"lictor/catalog"
	"lictor/health"
	"lictor/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A memory is a Catalog of one node, in memory.
type memory struct {
	mu       sync.Mutex
	node     *catalog.Node
	services map[string]*catalog.Instance
	checks   map[string]*catalog.Check
	writes   int
	reads    int
	tokens   []string
	fail     func(token string, r *catalog.Register, d *catalog.Deregister) error
}

func newMemory() *memory {
	return &memory{services: map[string]*catalog.Instance{}, checks: map[string]*catalog.Check{}}
}

func (m *memory) Register(_ context.Context, token string, r *catalog.Register) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, token)
	if m.fail != nil {
		if err := m.fail(token, r, nil); err != nil {
			return err
		}
	}
	m.writes++
	if !r.SkipNodeUpdate {
		m.node = &catalog.Node{ID: r.ID, Node: r.Node, Address: r.Address, TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta}
	}
	if m.node == nil {
		return errors.New("no such node")
	}
	if r.Service != nil {
		m.services[r.Service.ID] = r.Service
	}
	for _, c := range r.Checks {
		if c.ServiceID != "" && m.services[c.ServiceID] == nil {
			return errors.New("no such service")
		}
		m.checks[c.CheckID] = c
	}
	return nil
}

func (m *memory) Deregister(_ context.Context, token string, d *catalog.Deregister) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, token)
	if m.fail != nil {
		if err := m.fail(token, nil, d); err != nil {
			return err
		}
	}
	m.writes++
	delete(m.services, d.ServiceID)
	delete(m.checks, d.CheckID)
	if d.ServiceID != "" {
		maps.DeleteFunc(m.checks, func(_ string, c *catalog.Check) bool { return c.ServiceID == d.ServiceID })
	}
	return nil
}

func (m *memory) Registered(context.Context, string) (*Remote, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail("", nil, nil); err != nil {
			return nil, err
		}
	}
	m.reads++
	return &Remote{m.node, slices.Collect(maps.Values(m.services)), slices.Collect(maps.Values(m.checks))}, nil
}

func (m *memory) refuse(f func(token string, r *catalog.Register, d *catalog.Deregister) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

func (m *memory) count() (writes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func (m *memory) copyServices() map[string]*catalog.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.services)
}

func (m *memory) service(id string) *catalog.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.services[id]
}

func (m *memory) check(id string) *catalog.Check {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checks[id]
}

// A hand is a Runner whose checks are reported by hand.
type hand struct {
	mu     sync.Mutex
	checks map[string]health.Check
	added  int // but TTL checks
}

func (h *hand) Allowed(d *catalog.CheckDefinition, remote bool) error {
	return (&health.Config{EnableLocalScriptChecks: true}).Allowed(d, remote)
}

func (h *hand) Add(c health.Check) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Definition.HTTP == "cannot be run" {
		return errors.New("no such thing")
	}
	if c.Definition.Type() != catalog.TypeTTL {
		h.added++
	}
	h.checks[c.ID] = c
	return nil
}

func (h *hand) Remove(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.checks, id)
}

func (h *hand) SetTTL(id, status, output string) error {
	if c, ok := h.find(id); !ok || c.Definition.TTL == 0 {
		return fmt.Errorf("CheckID %q does not have associated TTL", id)
	}
	h.report(id, status, output)
	return nil
}

func (h *hand) find(id string) (health.Check, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.checks[id]
	return c, ok
}

func (h *hand) report(id, status, output string) {
	c, _ := h.find(id)
	c.Report(status, output)
}

// scheduled has checks run by a real Scheduler.
func scheduled(c *Config) { c.Runner = nil }

// A bench is a State with what it stands on.
type bench struct {
	*State
	t    *testing.T
	mem  *memory
	hand *hand
}

func thisNode() *catalog.Node {
	return &catalog.Node{ID: "7f2c5a3e-0000-4000-8000-000000000001", Node: "node1", Address: "10.0.0.1", Datacenter: "dc1",
		TaggedAddresses: map[string]string{"lan": "10.0.0.1"}, Meta: map[string]string{"k": "v"}}
}

func open(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, mem: newMemory(), hand: &hand{checks: map[string]health.Check{}}}
	c := Config{
		Node: thisNode(), Server: true, Catalog: b.mem, Runner: b.hand, Log: slog.New(slog.DiscardHandler),
		Settings: Settings{CheckUpdateInterval: 5 * time.Minute},
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.State = s
	return b
}

func (b *bench) register(d *catalog.ServiceDefinition) {
	b.t.Helper()
	if err := b.RegisterService(context.Background(), d, "", false); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// running opens and starts a State within a bubble, and waits for its first sync.
func running(t *testing.T, change func(*Config), do func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, change)
		defer b.Stop()
		b.Start()
		synctest.Wait()
		do(b)
	})
}

func ttl(d time.Duration) *catalog.CheckDefinition {
	return &catalog.CheckDefinition{TTL: catalog.Duration(d)}
}

func httpCheck() *catalog.CheckDefinition {
	return &catalog.CheckDefinition{HTTP: "http://127.0.0.1:1/", Interval: catalog.Duration(10 * time.Second)}
}

func TestServiceAndChecksInOneWrite(t *testing.T) {
	running(t, nil, func(b *bench) {
		before := b.mem.count()
		b.register(&catalog.ServiceDefinition{Name: "web", Port: 80, Checks: []*catalog.CheckDefinition{ttl(time.Hour), httpCheck()}})
		synctest.Wait()
		if got := b.mem.count() - before; got != 1 {
			t.Errorf("made %d writes, want 1", got)
		}
		if b.mem.service("web") == nil || b.mem.check("service:web:1") == nil || b.mem.check("service:web:2") == nil {
			t.Error("the service or its checks are not in the catalog")
		}
		b.must(b.DeregisterService(context.Background(), "web"))
		synctest.Wait()
		if got := b.mem.count() - before; got != 2 || b.mem.service("web") != nil || b.mem.check("service:web:1") != nil {
			t.Errorf("after %d writes the service is not gone", got)
		}
		if len(b.table.services)+len(b.table.checks)+len(b.table.dirty) != 0 {
			t.Error("something of a service that is gone is kept")
		}
	})
}

func TestChangesAreCoalesced(t *testing.T) {
	running(t, nil, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "web", Check: httpCheck()})
		synctest.Wait()
		before := b.mem.count()
		for range 100 {
			b.hand.report("service:web", catalog.Passing, "up")
			b.hand.report("service:web", catalog.Critical, "down")
		}
		synctest.Wait()
		if got := b.mem.count() - before; got > 100 {
			t.Errorf("made %d writes of 200 changes", got)
		}
		if b.mem.check("service:web").Status != catalog.Critical {
			t.Error("the last state is not in the catalog")
		}
	})
}

func TestOutputAloneIsDeferred(t *testing.T) {
	running(t, nil, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "web", Check: httpCheck()})
		b.hand.report("service:web", catalog.Passing, "1")
		synctest.Wait()
		before := b.mem.count()
		for i := range 10 {
			b.hand.report("service:web", catalog.Passing, string(rune('a'+i)))
		}
		time.Sleep(2 * time.Minute) // less than half the interval, but a full sync
		synctest.Wait()
		if got := b.mem.count() - before; got != 0 {
			t.Errorf("made %d writes for output alone", got)
		}
		if got := b.CheckRow("service:web").Output; got != "j" {
			t.Errorf("the agent shows output %q", got)
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if got := b.mem.count() - before; got != 1 || b.mem.check("service:web").Output != "j" {
			t.Errorf("made %d writes, output %q", got, b.mem.check("service:web").Output)
		}
		b.hand.report("service:web", catalog.Passing, "k")
		b.hand.report("service:web", catalog.Warning, "l")
		synctest.Wait()
		if got := b.mem.check("service:web"); got.Status != catalog.Warning || got.Output != "l" {
			t.Errorf("a new state waits: %+v", got)
		}
	})
}

func TestOutputAtOnceOrNever(t *testing.T) {
	running(t, func(c *Config) { c.Settings.CheckUpdateInterval = 0 }, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "web", Check: httpCheck()})
		b.hand.report("service:web", catalog.Critical, "x")
		synctest.Wait()
		if got := b.mem.check("service:web").Output; got != "x" {
			t.Errorf("output %q", got)
		}
		b.must(b.Reload(Definitions{}, Settings{DiscardCheckOutput: true}))
		b.hand.report("service:web", catalog.Passing, "y")
		synctest.Wait()
		if got := b.mem.check("service:web"); got.Output != "" || got.Status != catalog.Passing {
			t.Errorf("discarded output is in the catalog: %+v", got)
		}
	})
}

func TestFullSyncRepairs(t *testing.T) {
	running(t, nil, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "web", Check: ttl(time.Hour)})
		synctest.Wait()
		b.mem.mu.Lock()
		delete(b.mem.services, "web")
		delete(b.mem.checks, "service:web")
		b.mem.services["stray"] = &catalog.Instance{ID: "stray", Service: "stray"}
		b.mem.services["consul"] = &catalog.Instance{ID: "consul", Service: "consul"}
		b.mem.checks["serfHealth"] = &catalog.Check{CheckID: "serfHealth"}
		b.mem.checks["stray"] = &catalog.Check{CheckID: "stray"}
		b.mem.node.Address = "10.9.9.9"
		b.mem.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		b.mem.mu.Lock()
		defer b.mem.mu.Unlock()
		services, checks := sortedKeys(b.mem.services), sortedKeys(b.mem.checks)
		if !slices.Equal(services, []string{"consul", "web"}) || !slices.Equal(checks, []string{"serfHealth", "service:web"}) {
			t.Errorf("services %v, checks %v", services, checks)
		}
		if b.mem.node.Address != "10.0.0.1" {
			t.Error("the node was not repaired")
		}
	})
}

func TestClientRemovesServiceConsul(t *testing.T) {
	running(t, func(c *Config) { c.Server = false }, func(b *bench) {
		b.mem.mu.Lock()
		b.mem.services["consul"] = &catalog.Instance{ID: "consul", Service: "consul"}
		b.mem.mu.Unlock()
		b.ServersChanged()
		synctest.Wait()
		if b.mem.service("consul") != nil {
			t.Error("the service of a server is left on a client")
		}
	})
}

func TestTagOverride(t *testing.T) {
	running(t, nil, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "a", Tags: []string{"mine"}, EnableTagOverride: true})
		b.register(&catalog.ServiceDefinition{Name: "b", Tags: []string{"mine"}})
		synctest.Wait()
		_, changed := b.Service("a")
		b.mem.mu.Lock()
		for _, id := range []string{"a", "b"} {
			row := *b.mem.services[id]
			row.Tags = []string{"theirs"}
			b.mem.services[id] = &row
		}
		b.mem.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a, _ := b.Service("a"); !slices.Equal(a.Tags, []string{"theirs"}) {
			t.Errorf("tags %v are not taken over", a.Tags)
		}
		select {
		case <-changed:
		default:
			t.Error("who watches the service is not woken")
		}
		if got := b.mem.service("b").Tags; !slices.Equal(got, []string{"mine"}) {
			t.Errorf("tags %v are not repaired", got)
		}
	})
}

func TestNoLeaderThenLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.Stop()
		b.mem.refuse(func(string, *catalog.Register, *catalog.Deregister) error { return state.ErrNoLeader })
		b.Start()
		b.register(&catalog.ServiceDefinition{Name: "web"})
		synctest.Wait()
		b.mem.refuse(nil)
		b.ServersChanged()
		synctest.Wait()
		if b.mem.service("web") == nil {
			t.Error("the service is not registered as soon as there is a leader")
		}
	})
}

func TestDenialDoesNotSpin(t *testing.T) {
	running(t, nil, func(b *bench) {
		tries := 0
		b.mem.refuse(func(_ string, r *catalog.Register, _ *catalog.Deregister) error {
			if r != nil && r.Service != nil && r.Service.ID == "secret" {
				tries++
				return &acl.Denial{Resource: acl.Service, Name: "secret", Access: acl.Write}
			}
			return nil
		})
		b.register(&catalog.ServiceDefinition{Name: "secret", Check: ttl(time.Hour)})
		b.register(&catalog.ServiceDefinition{Name: "web"})
		synctest.Wait()
		if tries != 1 || b.mem.service("web") == nil {
			t.Errorf("tried %d times at once; other service %v", tries, b.mem.service("web"))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if tries < 5 || tries > 11 {
			t.Errorf("tried %d times in ten minutes", tries)
		}
		b.mem.refuse(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if b.mem.service("secret") == nil {
			t.Error("the service is not registered once it is allowed")
		}
	})
}

func TestFailureIsRetriedSoon(t *testing.T) {
	running(t, nil, func(b *bench) {
		failing := true
		b.mem.refuse(func(_ string, r *catalog.Register, _ *catalog.Deregister) error {
			if failing && r != nil && r.Service != nil && r.Service.ID == "web" {
				return errors.New("broken pipe")
			}
			return nil
		})
		b.register(&catalog.ServiceDefinition{Name: "web"})
		b.register(&catalog.ServiceDefinition{Name: "other"})
		synctest.Wait()
		if b.mem.service("other") == nil {
			t.Error("one failure holds up all")
		}
		b.mem.mu.Lock()
		failing = false
		b.mem.mu.Unlock()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if b.mem.service("web") == nil {
			t.Error("not tried again within 30 s")
		}
	})
}

func TestTokens(t *testing.T) {
	running(t, func(c *Config) { c.Tokens = func() Tokens { return Tokens{Agent: "agent", Default: "default"} } }, func(b *bench) {
		b.register(&catalog.ServiceDefinition{Name: "plain"})
		synctest.Wait()
		b.must(b.RegisterService(context.Background(), &catalog.ServiceDefinition{Name: "header", Check: ttl(time.Hour)}, "header", false))
		synctest.Wait()
		check := ttl(time.Hour)
		check.Token = "check"
		b.register(&catalog.ServiceDefinition{Name: "own", Token: "own", Check: check})
		synctest.Wait()
		want := []string{"agent", "default", "header", "own", "check"}
		if !slices.Equal(b.mem.tokens, want) {
			t.Errorf("tokens %v, want %v", b.mem.tokens, want)
		}
	})
}

func TestScale(t *testing.T) {
	for members, want := range map[int]int{1: 1, 128: 1, 129: 2, 256: 2, 257: 3, 512: 3, 1024: 4, 2048: 5} {
		if got := scale(members); got != want {
			t.Errorf("scale(%d) = %d, want %d", members, got, want)
		}
	}
}
