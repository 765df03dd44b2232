package dnsserver

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"lictor/acl"
	"lictor/catalog"
	"lictor/coordinate"
	"lictor/kv"
	prepared "lictor/query"
	"lictor/rpc"
	"lictor/session"
	"lictor/state"
	"lictor/view"
)

// A bureau answers prepared queries from a catalog of its own. Its other datacenter, dc2, has the service abroad.
type bureau struct {
	*testing.T
	*prepared.Keeper
	views *view.Views
	dns   *Server
	calls int // to other datacenters
}

// open runs a test on an agent with the state and on one without.
func open(t *testing.T, settings Settings, story func(b *bureau)) {
	for _, holds := range []bool{true, false} {
		t.Run(map[bool]string{true: "server", false: "client"}[holds], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bureau{T: t}
				log, err := state.NewLocal(10, slices.Concat(kv.Tables(), coordinate.Tables(), catalog.Tables(), session.Tables(), prepared.Tables())...)
				if err != nil {
					t.Fatal(err)
				}
				entries := &catalog.Service{Log: log, Datacenter: "dc1", Distance: coordinate.Distance}
				b.Keeper = &prepared.Keeper{Log: log, Catalog: entries, Datacenter: "dc1", Remotes: b}
				b.views = view.New(view.Config{Log: log, Datacenter: "dc1"})
				defer b.views.Stop()
				view.Handle(b.views, prepared.ExecuteQuery, b.Execute)
				if !holds {
					source := &servers{Views: b.views}
					source.come()
					b.views = view.New(view.Config{Source: source, Datacenter: "dc1"})
					defer b.views.Stop()
					view.Handle(b.views, prepared.ExecuteQuery, b.Execute)
				}
				b.dns = New(Config{Lookup: FromViews(b.views, "n2", b), Datacenter: "dc1", Settings: settings})
				defer b.dns.Stop()
				story(b)
			})
		})
	}
}

func (*bureau) Nearest() []string { return []string{"dc2"} }

func (b *bureau) Search(_ context.Context, dc, _ string, s *prepared.Search) (*prepared.Response, error) {
	b.calls++
	r := &prepared.Response{Service: s.Service.Service, Datacenter: dc, DNS: s.DNS}
	if s.Service.Service == "abroad" {
		r.Nodes = []*catalog.Entry{{Node: &catalog.Node{Node: "far", Address: "10.8.8.8", Datacenter: dc}, Service: &catalog.Instance{Service: "abroad", Port: 88}}}
	}
	return r, nil
}

// Call implements rpc.Caller for the one method that is asked for.
func (b *bureau) Call(ctx context.Context, _ rpc.Header, _ string, args, reply any) error {
	found, err := b.Elsewhere(ctx, acl.AllowAll(), args.(*prepared.Elsewhere))
	*reply.(**prepared.Response) = found
	return err
}

// register puts an instance of a service on a node, with a check of the node.
func (b *bureau) register(service, node, address, status string) {
	b.Helper()
	port := 8000 + int(node[1]-'0')
	for _, r := range []catalog.Register{
		{Node: node, Address: address, NodeMeta: map[string]string{"rack": node}, Service: &catalog.Instance{ID: service, Service: service, Port: port, Tags: []string{node}}},
		{Node: node, Address: address, SkipNodeUpdate: true, Check: &catalog.Check{Node: node, CheckID: "c", Name: "c", Status: status}},
	} {
		if _, err := b.Catalog.Register(b.Context(), acl.AllowAll(), &r); err != nil {
			b.Fatal(err)
		}
	}
	synctest.Wait()
}

func (b *bureau) define(q prepared.Query) {
	b.Helper()
	if _, err := b.Create(b.Context(), acl.AllowAll(), &prepared.Set{Query: q}); err != nil {
		b.Fatal(err)
	}
	synctest.Wait()
}

func (b *bureau) expect(name, qtype string, want ...string) {
	b.Helper()
	for range 2 {
		if got := text(ask(b.T, b.dns, question(name, qtype), false)); !cmp.Equal(got, want) {
			b.Errorf("%s %s: %s", name, qtype, cmp.Diff(want, got))
		}
	}
}

var missing = []string{"NXDOMAIN aa", "N consul. 0 IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"}

func TestPreparedQueries(t *testing.T) {
	settings := Defaults()
	settings.ServiceTTL = map[string]time.Duration{"web": 3 * time.Second, "*": 2 * time.Second}
	open(t, settings, func(b *bureau) {
		b.register("web", "n1", "10.0.0.1", catalog.Passing)
		b.register("web", "n2", "10.0.0.2", catalog.Warning)
		b.register("db", "n3", "10.0.0.3", catalog.Critical)
		b.define(prepared.Query{Name: "q", Service: prepared.Service{Service: "web"}, DNS: prepared.DNS{TTL: "17s"}})
		b.define(prepared.Query{Name: "healthy", Service: prepared.Service{Service: "web", OnlyPassing: true}})
		b.define(prepared.Query{Name: "db", Service: prepared.Service{Service: "db"}})
		b.define(prepared.Query{Name: "sick", Service: prepared.Service{Service: "db", IgnoreCheckIDs: []string{"c"}}})
		b.define(prepared.Query{Name: "at.", Template: prepared.Template{Type: prepared.PrefixMatch, Regexp: `^at\.(\w+)\.(\w+)$`},
			Service: prepared.Service{Service: "${match(1)}", Tags: []string{"${match(2)}"}}})

		both := []string{"NOERROR aa", "A q.query.consul. 17 IN A 10.0.0.1", "A q.query.consul. 17 IN A 10.0.0.2"}
		b.expect("q.query.consul", "A", both...)
		b.expect("q.query.consul", "AAAA", "NOERROR aa", missing[1])
		b.expect("Q.query.DC1.consul", "A", "NOERROR aa", "A Q.query.DC1.consul. 17 IN A 10.0.0.1", "A Q.query.DC1.consul. 17 IN A 10.0.0.2")
		targets := func(name string) []string {
			return []string{"NOERROR aa", "A " + name + ". 17 IN SRV 1 1 8001 n1.node.dc1.consul.", "A " + name + ". 17 IN SRV 1 1 8002 n2.node.dc1.consul.",
				"X n1.node.dc1.consul. 17 IN A 10.0.0.1", "X n1.node.dc1.consul. 17 IN TXT \"rack=n1\"",
				"X n2.node.dc1.consul. 17 IN A 10.0.0.2", "X n2.node.dc1.consul. 17 IN TXT \"rack=n2\""}
		}
		b.expect("q.query.consul", "SRV", targets("q.query.consul")...)
		b.expect("_q._tcp.query.consul", "SRV", targets("_q._tcp.query.consul")...)
		b.expect("healthy.query.consul", "A", "NOERROR aa", "A healthy.query.consul. 3 IN A 10.0.0.1")
		b.expect("healthy.query.consul", "ANY", "NOERROR aa", "A healthy.query.consul. 3 IN A 10.0.0.1", "A healthy.query.consul. 3 IN TXT \"rack=n1\"")
		b.expect("healthy.query.consul", "TXT", "NOERROR aa", "A healthy.query.consul. 3 IN A 10.0.0.1", "A healthy.query.consul. 3 IN TXT \"rack=n1\"")
		b.expect("sick.query.consul", "A", "NOERROR aa", "A sick.query.consul. 2 IN A 10.0.0.3")
		b.expect("at.web.n2.query.consul", "A", "NOERROR aa", "A at.web.n2.query.consul. 3 IN A 10.0.0.2")
		for _, name := range []string{"db.query.consul", "none.query.consul", "at.web.n3.query.consul", "at.web.query.consul", "q.query.dc9.consul", "query.consul"} {
			b.expect(name, "A", missing...)
			b.expect(name, "SRV", missing...)
		}

		b.register("web", "n2", "10.0.0.2", catalog.Critical)
		b.expect("q.query.consul", "A", both[:2]...)
		b.register("web", "n2", "10.0.0.2", catalog.Passing)
		b.expect("q.query.consul", "A", both...)
	})
}

func TestNearTheAsker(t *testing.T) {
	settings := Defaults()
	open(t, settings, func(b *bureau) {
		var places []*coordinate.Entry
		for i := range 9 {
			node := fmt.Sprintf("n%d", i+1)
			b.register("web", node, "10.0.0."+node[1:], catalog.Passing)
			places = append(places, &coordinate.Entry{Node: node, Coord: &coordinate.Coordinate{Vec: []float64{float64(i) / 10, 0, 0, 0, 0, 0, 0, 0}, Error: 1}})
		}
		if _, err := b.Log.Apply(b.Context(), &coordinate.BatchUpdate{Entries: places}); err != nil {
			b.Fatal(err)
		}
		for name, near := range map[string]string{"named": "n9", "agent": prepared.NearAgent, "ip": prepared.NearIP} {
			b.define(prepared.Query{Name: name, Service: prepared.Service{Service: "web", Near: near}})
		}
		order := func(name, subnet string, from net.Addr) string {
			b.Helper()
			m := question(name+".query.consul", "A")
			m.SetEdns0(4096, false)
			if subnet != "" {
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.ParseIP(subnet).To4()}}
			}
			packet, err := m.Pack()
			if err != nil {
				b.Fatal(err)
			}
			var got dns.Msg
			if err := got.Unpack(b.dns.answer(asking(b.Context(), from), packet, false)); err != nil {
				b.Fatal(err)
			}
			var all strings.Builder
			for _, rr := range got.Answer {
				a := rr.(*dns.A).A.To4()
				fmt.Fprint(&all, a[3])
			}
			return all.String()
		}
		udp := func(address string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(address), Port: 5000} }
		for range 3 {
			for _, c := range []struct{ name, subnet, from, want string }{
				{"named", "", "10.0.0.1", "987654321"},
				{"agent", "10.0.0.9", "10.0.0.9", "213456789"}, // the agent is on n2; n1 and n3 are as near to it
				{"ip", "", "10.0.0.1", "123456789"},
				{"ip", "", "10.0.0.9", "987654321"},
				{"ip", "10.0.0.1", "10.0.0.9", "123456789"},
			} {
				got := order(c.name, c.subnet, udp(c.from))
				if c.name == "agent" {
					got, c.want = got[:1]+got[3:], c.want[:1]+c.want[3:]
				}
				if got != c.want {
					b.Errorf("%s from %s for %q: got %s, want %s", c.name, c.from, c.subnet, got, c.want)
				}
			}
			if got := order("ip", "192.0.2.1", udp("10.0.0.1")); len(got) != 9 {
				b.Errorf("for an unknown subnet: %s", got)
			}
		}
	})
}

func TestLongAnswersToPreparedQueries(t *testing.T) {
	settings := Defaults()
	settings.UDPAnswerLimit, settings.EnableTruncate = 0, true
	open(t, settings, func(b *bureau) {
		for i := range 100 {
			b.register("many", fmt.Sprintf("n%03d", i), fmt.Sprintf("10.1.0.%d", i), catalog.Passing)
		}
		b.define(prepared.Query{Name: "many", Service: prepared.Service{Service: "many"}})
		for _, qtype := range []string{"A", "SRV"} {
			m := question("many.query.consul", qtype)
			got := ask(b.T, b.dns, m, false)
			if got.Compress = true; !got.Truncated || len(got.Answer) == 0 || got.Len() > minSize {
				b.Errorf("%s over UDP: %d answers, truncated %v, %d bytes", qtype, len(got.Answer), got.Truncated, got.Len())
			}
			if got := ask(b.T, b.dns, m, true); got.Truncated || len(got.Answer) != 100 {
				b.Errorf("%s over TCP: %d answers, truncated %v", qtype, len(got.Answer), got.Truncated)
			}
		}
	})
}

// What another datacenter has answered is not kept: nobody tells when it changes there.
func TestFailoverOverDNS(t *testing.T) {
	open(t, Defaults(), func(b *bureau) {
		over := prepared.Failover{Datacenters: []string{"dc2"}}
		b.define(prepared.Query{Name: "abroad", Service: prepared.Service{Service: "abroad", Failover: over}, DNS: prepared.DNS{TTL: "5s"}})
		b.define(prepared.Query{Name: "nowhere", Service: prepared.Service{Service: "nowhere", Failover: over}})
		b.expect("abroad.query.consul", "A", "NOERROR aa", "A abroad.query.consul. 5 IN A 10.8.8.8")
		b.expect("abroad.query.consul", "SRV", "NOERROR aa", "A abroad.query.consul. 5 IN SRV 1 1 88 far.node.dc2.consul.", "X far.node.dc2.consul. 5 IN A 10.8.8.8")
		b.expect("nowhere.query.consul", "A", missing...)
		if b.calls != 6 {
			b.Errorf("6 questions made %d calls", b.calls)
		}
		b.register("abroad", "n1", "10.0.0.1", catalog.Passing)
		b.expect("abroad.query.consul", "A", "NOERROR aa", "A abroad.query.consul. 5 IN A 10.0.0.1")
		if b.calls != 6 {
			b.Error("called abroad for what is at home")
		}
	})
}
