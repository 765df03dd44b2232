package dnsserver

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"lictor/catalog"
	"lictor/rpc"
)

// town is a small catalog with something of everything.
func town() *memory {
	m := newMemory()
	server := m.node(&catalog.Node{Node: "node1", Address: "127.0.0.1", Meta: map[string]string{"v": `1\2`, "rfc1035-note": "plain"}})
	n1 := m.node(&catalog.Node{Node: "n1", Address: "10.0.0.1", TaggedAddresses: map[string]string{"wan": "198.18.0.1", "lan_ipv6": "2001:db8::11"}})
	n2 := m.node(&catalog.Node{Node: "n2", Address: "10.0.0.2"})
	n6 := m.node(&catalog.Node{Node: "n6", Address: "2001:db8::1"})
	m.node(&catalog.Node{Node: "nhost", Address: "host.example.com"})
	m.node(&catalog.Node{Node: "inner", Address: "n2.node.consul"})
	m.node(&catalog.Node{Node: "loop", Address: "loop.node.consul"})
	m.service(server, &catalog.Instance{Service: "consul", Port: 8300}, catalog.Passing)
	m.service(n1, &catalog.Instance{ID: "web1", Service: "web", Port: 8001, Tags: []string{"v1"}, Weights: &catalog.Weights{Passing: 5, Warning: 2}}, catalog.Passing)
	m.service(n2, &catalog.Instance{ID: "web2", Service: "web", Port: 8002, Tags: []string{"v2"}, Address: "10.2.2.2", Weights: &catalog.Weights{Passing: 3, Warning: 1}}, catalog.Warning)
	m.service(n6, &catalog.Instance{ID: "web6", Service: "web", Port: 8006}, catalog.Passing)
	m.service(n2, &catalog.Instance{ID: "web9", Service: "web", Port: 8009}, catalog.Critical)
	m.service(n1, &catalog.Instance{ID: "wp", Service: "web-proxy", Port: 21000, Proxy: catalog.Proxy{DestinationServiceName: "web"}}, catalog.Passing)
	m.service(n2, &catalog.Instance{ID: "nm", Service: "named", Port: 53, Address: "target.example.com"}, catalog.Passing)
	m.service(n1, &catalog.Instance{ID: "six", Service: "six", Port: 6, Address: "2001:db8::66"}, catalog.Passing)
	m.service(n2, &catalog.Instance{ID: "sick", Service: "sick", Port: 7}, catalog.Critical)
	m.change(func() { m.virtual["web"] = netip.MustParseAddr("240.0.0.1") })
	return m
}

var serial = regexp.MustCompile(`hostmaster.consul. \d+`)

// text is an answer in the form in which the tests write it down: its code and flags, then its records by section.
func text(m *dns.Msg) []string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, f := range []struct {
		name string
		set  bool
	}{{"aa", m.Authoritative}, {"tc", m.Truncated}, {"ra", m.RecursionAvailable}} {
		if f.set {
			out[0] += " " + f.name
		}
	}
	for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var lines []string
		for _, rr := range section {
			line := strings.Join(strings.Fields(rr.String()), " ")
			if rr.Header().Rrtype == dns.TypeOPT {
				line = "OPT"
			}
			lines = append(lines, "ANX"[i:i+1]+" "+serial.ReplaceAllString(line, "hostmaster.consul. 1"))
		}
		slices.Sort(lines)
		out = append(out, lines...)
	}
	return out
}

// ask has a question answered twice, by the library's path and, where that is kept, from what is packed. Both must say
// the same.
func ask(t *testing.T, s *Server, m *dns.Msg, tcp bool) *dns.Msg {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var first dns.Msg
	if err := first.Unpack(s.answer(context.Background(), packet, tcp)); err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	b, ok := s.fast(packet, tcp, nil)
	if !ok {
		return &first
	}
	var second dns.Msg
	if err := second.Unpack(b); err != nil {
		t.Fatalf("%v: packed: %v", m.Question, err)
	}
	if len(first.Answer) == 0 || !first.Truncated && len(first.Answer) == len(second.Answer) {
		a, b := text(&first), text(&second)
		if s.settings.Load().UDPAnswerLimit == 0 && !cmp.Equal(a, b) {
			t.Errorf("%v: what is packed differs: %s", m.Question, cmp.Diff(a, b))
		}
	}
	if second.Id != m.Id || second.Question[0] != m.Question[0] || second.RecursionDesired != m.RecursionDesired || second.CheckingDisabled != m.CheckingDisabled {
		t.Errorf("%v: answered as %v", m.MsgHdr, second.MsgHdr)
	}
	return &second
}

func question(name string, qtype string) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
}

func testServer(t *testing.T, m Lookup, change func(*Settings)) *Server {
	t.Helper()
	settings := Defaults()
	settings.UDPAnswerLimit = 0
	if change != nil {
		change(&settings)
	}
	s := New(Config{Lookup: m, Datacenter: "dc1", AltDomain: "alt.example", Settings: settings})
	t.Cleanup(s.Stop)
	return s
}

func TestAnswers(t *testing.T) {
	const soa = "N consul. 0 IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"
	missing := []string{"NXDOMAIN aa", soa}
	s := testServer(t, town(), nil)
	for _, c := range []struct {
		name, types string
		want        []string
	}{
		{"n1.node.consul", "A ANY", []string{"NOERROR aa", "A n1.node.consul. 0 IN A 10.0.0.1"}},
		{"n1.node.dc1.consul", "A", []string{"NOERROR aa", "A n1.node.dc1.consul. 0 IN A 10.0.0.1"}},
		{"N1.node.Consul", "A", []string{"NOERROR aa", "A N1.node.Consul. 0 IN A 10.0.0.1"}},
		{"n1.node.alt.example", "A", []string{"NOERROR aa", "A n1.node.alt.example. 0 IN A 10.0.0.1"}},
		{"n1.node.consul", "AAAA", []string{"NOERROR aa", "A n1.node.consul. 0 IN AAAA 2001:db8::11"}},
		{"n6.node.consul", "A TXT SRV MX CNAME", []string{"NOERROR aa"}},
		{"n6.node.consul", "AAAA", []string{"NOERROR aa", "A n6.node.consul. 0 IN AAAA 2001:db8::1"}},
		{"nhost.node.consul", "A AAAA ANY", []string{"NOERROR aa", "A nhost.node.consul. 0 IN CNAME host.example.com."}},
		{"nhost.node.consul", "CNAME", []string{"NOERROR aa"}},
		{"inner.node.consul", "A", []string{"NOERROR aa", "A inner.node.consul. 0 IN CNAME n2.node.consul.", "A n2.node.consul. 0 IN A 10.0.0.2"}},
		{"node1.node.consul", "A", []string{"NOERROR aa", "A node1.node.consul. 0 IN A 127.0.0.1",
			`X node1.node.consul. 0 IN TXT "plain"`, `X node1.node.consul. 0 IN TXT "v=1\\2"`}},
		{"node1.node.consul", "ANY", []string{"NOERROR aa", "A node1.node.consul. 0 IN A 127.0.0.1",
			`A node1.node.consul. 0 IN TXT "plain"`, `A node1.node.consul. 0 IN TXT "v=1\\2"`}},
		{"node1.node.consul", "TXT", []string{"NOERROR aa", `A node1.node.consul. 0 IN TXT "plain"`, `A node1.node.consul. 0 IN TXT "v=1\\2"`}},
		{"none.node.consul", "A AAAA TXT", missing},
		{"n1.node.dc9.consul", "A", missing},
		{"n1.node.p.peer.consul", "A", missing},
		{"web.service.consul", "A", []string{"NOERROR aa", "A web.service.consul. 0 IN A 10.0.0.1", "A web.service.consul. 0 IN A 10.2.2.2"}},
		{"web.service.consul", "AAAA", []string{"NOERROR aa", "A web.service.consul. 0 IN AAAA 2001:db8::1", "A web.service.consul. 0 IN AAAA 2001:db8::11"}},
		{"web.service.consul", "ANY TXT", []string{"NOERROR aa", "A web.service.consul. 0 IN A 10.0.0.1", "A web.service.consul. 0 IN A 10.2.2.2", "A web.service.consul. 0 IN AAAA 2001:db8::1"}},
		{"web.service.consul", "MX", []string{"NOERROR aa", soa}},
		{"Web.Service.DC1.consul", "SRV", []string{"NOERROR aa",
			"A Web.Service.DC1.consul. 0 IN SRV 1 1 8002 0a020202.addr.dc1.consul.",
			"A Web.Service.DC1.consul. 0 IN SRV 1 1 8006 n6.node.dc1.consul.",
			"A Web.Service.DC1.consul. 0 IN SRV 1 5 8001 n1.node.dc1.consul.",
			"X 0a020202.addr.dc1.consul. 0 IN A 10.2.2.2",
			"X n1.node.dc1.consul. 0 IN A 10.0.0.1",
			"X n6.node.dc1.consul. 0 IN AAAA 2001:db8::1"}},
		{"_web._v1.service.alt.example", "SRV", []string{"NOERROR aa",
			"A _web._v1.service.alt.example. 0 IN SRV 1 5 8001 n1.node.dc1.alt.example.",
			"X n1.node.dc1.alt.example. 0 IN A 10.0.0.1"}},
		{"consul.service.consul", "SRV", []string{"NOERROR aa", "A consul.service.consul. 0 IN SRV 1 1 8300 node1.node.dc1.consul.",
			"X node1.node.dc1.consul. 0 IN A 127.0.0.1", `X node1.node.dc1.consul. 0 IN TXT "plain"`, `X node1.node.dc1.consul. 0 IN TXT "v=1\\2"`}},
		{"consul.service.consul", "A", []string{"NOERROR aa", "A consul.service.consul. 0 IN A 127.0.0.1"}},
		{"named.service.consul", "A AAAA CNAME ANY", []string{"NOERROR aa", "A named.service.consul. 0 IN CNAME target.example.com."}},
		{"named.service.consul", "SRV", []string{"NOERROR aa", "A named.service.consul. 0 IN SRV 1 1 53 target.example.com."}},
		{"six.service.consul", "A", []string{"NOERROR aa", soa}},
		{"six.service.consul", "SRV", []string{"NOERROR aa", "A six.service.consul. 0 IN SRV 1 1 6 20010db8000000000000000000000066.addr.dc1.consul.",
			"X 20010db8000000000000000000000066.addr.dc1.consul. 0 IN AAAA 2001:db8::66"}},
		{"sick.service.consul", "A SRV", missing},
		{"none.service.consul", "A SRV ANY", missing},
		{"v9.web.service.consul", "A", missing},
		{"web.service.dc9.consul", "A", missing},
		{"q.query.consul", "A SRV", missing},
		{"web.ingress.consul", "A", missing},
		{"web.connect.consul", "SRV", []string{"NOERROR aa", "A web.connect.consul. 0 IN SRV 1 1 21000 n1.node.dc1.consul.", "X n1.node.dc1.consul. 0 IN A 10.0.0.1"}},
		{"v1.web.connect.consul", "A", []string{"NOERROR aa", "A v1.web.connect.consul. 0 IN A 10.0.0.1"}},
		{"web.virtual.consul", "A AAAA", []string{"NOERROR aa", "A web.virtual.consul. 0 IN A 240.0.0.1"}},
		{"web.virtual.dc1.consul", "A", []string{"NOERROR aa"}},
		{"none.virtual.consul", "A", []string{"NOERROR aa"}},
		{"7f000001.addr.consul", "A ANY", []string{"NOERROR aa", "A 7f000001.addr.consul. 0 IN A 127.0.0.1"}},
		{"7f000001.addr.consul", "AAAA SRV", []string{"NOERROR aa", "X 7f000001.addr.consul. 0 IN A 127.0.0.1"}},
		{"zz.addr.consul", "A", missing},
		{"1.0.0.10.in-addr.arpa", "PTR A", []string{"NOERROR aa", "A 1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul."}},
		{"2.2.2.10.in-addr.arpa", "PTR", []string{"NOERROR aa", "A 2.2.2.10.in-addr.arpa. 0 IN PTR web.service.dc1.consul."}},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR", []string{"NOERROR aa",
			"A 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 0 IN PTR n6.node.dc1.consul."}},
		{"9.9.9.9.in-addr.arpa", "PTR", missing},
		{"consul", "A ANY TXT", missing},
		{"x.consul", "NS", []string{"NOERROR aa", "A consul. 0 IN NS node1.node.dc1.consul.", "X node1.node.dc1.consul. 0 IN A 127.0.0.1"}},
		{"consul", "SOA", []string{"NOERROR aa", "A" + soa[1:], "N consul. 0 IN NS node1.node.dc1.consul.", "X node1.node.dc1.consul. 0 IN A 127.0.0.1"}},
		{"NOPE.CONSUL", "A", missing},
		{"example.com", "A SOA", []string{"REFUSED"}},
		{".", "NS", []string{"REFUSED"}},
		{"consul", "AXFR", []string{"NOTIMP aa"}},
	} {
		for _, qtype := range strings.Fields(c.types) {
			for _, tcp := range []bool{false, true} {
				if got := text(ask(t, s, question(c.name, qtype), tcp)); !cmp.Equal(got, c.want) {
					t.Errorf("%s %s: %s", c.name, qtype, cmp.Diff(c.want, got))
				}
			}
		}
	}
	if got := ask(t, s, question("loop.node.consul", "A"), false); len(got.Answer) > 2*maxChase {
		t.Errorf("a circle of names: %v", got.Answer)
	}
}

func TestSettings(t *testing.T) {
	m := town()
	for name, c := range map[string]struct {
		change      func(*Settings)
		name, qtype string
		want        []string
	}{
		"only passing": {func(s *Settings) { s.OnlyPassing = true }, "web.service.consul", "A",
			[]string{"NOERROR aa", "A web.service.consul. 0 IN A 10.0.0.1"}},
		"service TTL": {func(s *Settings) {
			s.ServiceTTL = map[string]time.Duration{"*": time.Second, "w*": 2 * time.Second, "we*": 3 * time.Second, "web-proxy": 4 * time.Second}
		}, "v1.web.service.consul", "SRV", []string{"NOERROR aa", "A v1.web.service.consul. 3 IN SRV 1 5 8001 n1.node.dc1.consul.", "X n1.node.dc1.consul. 3 IN A 10.0.0.1"}},
		"exact service TTL": {func(s *Settings) {
			s.ServiceTTL = map[string]time.Duration{"*": time.Second, "web-proxy": 4 * time.Second}
		}, "web-proxy.service.consul", "A", []string{"NOERROR aa", "A web-proxy.service.consul. 4 IN A 10.0.0.1"}},
		"node TTL": {func(s *Settings) { s.NodeTTL = 7 * time.Second }, "n1.node.consul", "A",
			[]string{"NOERROR aa", "A n1.node.consul. 7 IN A 10.0.0.1"}},
		"SOA": {func(s *Settings) { s.NodeTTL, s.SOA = 7*time.Second, SOA{100, 50, 5000, 60} }, "consul", "SOA",
			[]string{"NOERROR aa", "A consul. 60 IN SOA ns.consul. hostmaster.consul. 1 100 50 5000 60",
				"N consul. 7 IN NS node1.node.dc1.consul.", "X node1.node.dc1.consul. 7 IN A 127.0.0.1"}},
		"no notes": {func(s *Settings) { s.NodeMetaTXT = false }, "node1.node.consul", "A",
			[]string{"NOERROR aa", "A node1.node.consul. 0 IN A 127.0.0.1"}},
		"no notes, but asked for": {func(s *Settings) { s.NodeMetaTXT = false }, "node1.node.consul", "TXT",
			[]string{"NOERROR aa", `A node1.node.consul. 0 IN TXT "plain"`, `A node1.node.consul. 0 IN TXT "v=1\\2"`}},
		"no compression": {func(s *Settings) { s.DisableCompression = true }, "Web-Proxy.service.consul", "A",
			[]string{"NOERROR aa", "A Web-Proxy.service.consul. 0 IN A 10.0.0.1"}},
		"fresh reads": {func(s *Settings) { s.AllowStale = false }, "n1.node.consul", "A",
			[]string{"NOERROR aa", "A n1.node.consul. 0 IN A 10.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(t, m, c.change)
			if got := text(ask(t, s, question(c.name, c.qtype), false)); !cmp.Equal(got, c.want) {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
}

func TestFailures(t *testing.T) {
	m := town()
	s := testServer(t, m, nil)
	for _, c := range []struct {
		err  error
		want int
	}{
		{rpc.Errorf(rpc.PermissionDenied, "no"), dns.RcodeNameError},
		{rpc.ErrNoDatacenter, dns.RcodeNameError},
		{rpc.Errorf(rpc.NoLeader, "none"), dns.RcodeServerFailure},
		{errors.New("broken"), dns.RcodeServerFailure},
	} {
		m.change(func() { m.fail = c.err })
		if got := ask(t, s, question("web.service.consul", "A"), false); got.Rcode != c.want {
			t.Errorf("%v: %s", c.err, dns.RcodeToString[got.Rcode])
		}
	}
	m.change(func() { m.fail = nil })
	if got := ask(t, s, question("web.service.consul", "A"), false); len(got.Answer) != 2 {
		t.Errorf("after the failure: %v", got)
	}
}

func TestEDNS(t *testing.T) {
	s := testServer(t, town(), nil)
	m := question("web.service.consul", "A")
	m.SetEdns0(1232, true)
	for range 2 {
		got := ask(t, s, m, false)
		opt := got.IsEdns0()
		if opt == nil || opt.UDPSize() != 1232 || !opt.Do() || len(opt.Option) != 0 {
			t.Fatalf("got %v", opt)
		}
	}
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{10, 0, 0, 0}}}
	opt := ask(t, s, m, false).IsEdns0()
	if len(opt.Option) != 1 || opt.Option[0].String() != "10.0.0.0/24/0" {
		t.Errorf("got %v", opt)
	}
	m.IsEdns0().SetVersion(1)
	if got := ask(t, s, m, false); got.Rcode != dns.RcodeBadVers {
		t.Errorf("version 1: %v", got)
	}
}

func TestChangesShowAtOnce(t *testing.T) {
	m := town()
	token := "a"
	s := New(Config{Lookup: m, Datacenter: "dc1", Settings: Defaults(), Token: func() string { return token }})
	q := question("n1.node.consul", "A")
	first := func() string { return ask(t, s, q, false).Answer[0].String() }
	before := first()
	asked := m.asked.Load()
	packet, _ := q.Pack()
	if _, ok := s.fast(packet, false, nil); !ok || m.asked.Load() != asked {
		t.Error("the answer was not kept")
	}
	m.node(&catalog.Node{Node: "n1", Address: "10.9.9.9"})
	if _, ok := s.fast(packet, false, nil); ok {
		t.Error("the answer was kept after a change")
	}
	if after := first(); after == before {
		t.Errorf("still %s", after)
	}
	token = "b"
	if _, ok := s.fast(packet, false, nil); ok {
		t.Error("the answer was kept for another token")
	}
	first()
	settings := Defaults()
	settings.NodeTTL = time.Minute
	s.Reload(settings)
	if got := first(); !strings.Contains(got, "\t60\t") {
		t.Errorf("after a reload: %s", got)
	}
}
