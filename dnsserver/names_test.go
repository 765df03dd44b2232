package dnsserver

import (
	"net/netip"
	"testing"
)

func TestParse(t *testing.T) {
	domains := []string{"consul.", "alt.example.", "b.consul."}
	none := func(domain string) name { return name{form: unknown, domain: domain} }
	service := func(target, tag, dc string) name {
		return name{form: serviceForm, domain: "consul.", target: target, tag: tag, datacenter: dc}
	}
	for full, want := range map[string]name{
		".":                                             {form: outside},
		"example.com.":                                  {form: outside},
		"notconsul.":                                    {form: outside},
		"consul.":                                       none("consul."),
		"x.consul.":                                     none("consul."),
		"node.consul.":                                  none("consul."),
		"service.consul.":                               none("consul."),
		"connect.consul.":                               none("consul."),
		"N1.Node.Consul.":                               {form: nodeForm, domain: "consul.", target: "n1"},
		"n1.node.dc2.consul.":                           {form: nodeForm, domain: "consul.", target: "n1", datacenter: "dc2"},
		"n1.node.dc2.dc.consul.":                        {form: nodeForm, domain: "consul.", target: "n1", datacenter: "dc2"},
		"n1.node.p.peer.consul.":                        {form: nodeForm, domain: "consul.", target: "n1", peer: "p"},
		"n1.node.dc1.extra.consul.":                     none("consul."),
		"a.n1.node.consul.":                             {form: nodeForm, domain: "consul.", target: "a.n1"},
		"node.node.consul.":                             {form: nodeForm, domain: "consul.", target: "node"},
		"n1.node.alt.example.":                          {form: nodeForm, domain: "alt.example.", target: "n1"},
		"n1.node.b.consul.":                             {form: nodeForm, domain: "b.consul.", target: "n1"},
		"web.service.consul.":                           service("web", "", ""),
		"web.service.dc1.consul.":                       service("web", "", "dc1"),
		"v1.web.service.consul.":                        service("web", "v1", ""),
		"a.b.web.service.consul.":                       service("web", "a.b", ""),
		"_web._v1.service.consul.":                      service("web", "v1", ""),
		"_web._tcp.service.dc1.consul.":                 service("web", "", "dc1"),
		"_web._TCP.consul.":                             service("web", "", ""),
		"_web._v1.dc1.consul.":                          service("web", "v1", "dc1"),
		"_web.service.consul.":                          service("_web", "", ""),
		"web.service.default.ns.dc1.dc.consul.":         service("web", "", "dc1"),
		"web.service.default.ap.consul.":                service("web", "", ""),
		"web.service.other.ns.consul.":                  none("consul."),
		"web.service.x.sg.consul.":                      none("consul."),
		"web.service.x.y.consul.":                       none("consul."),
		`a\032b.service.consul.`:                        service("a b", "", ""),
		`a\.b.service.consul.`:                          service("a.b", "", ""),
		"web.connect.consul.":                           {form: connectForm, domain: "consul.", target: "web"},
		"v1.web.connect.dc1.consul.":                    {form: connectForm, domain: "consul.", target: "web", tag: "v1", datacenter: "dc1"},
		"web.ingress.consul.":                           {form: ingressForm, domain: "consul.", target: "web"},
		"web.virtual.consul.":                           {form: virtualForm, domain: "consul.", target: "web"},
		"web.virtual.p.consul.":                         {form: virtualForm, domain: "consul.", target: "web", peer: "p"},
		"a.web.virtual.consul.":                         none("consul."),
		"q.query.consul.":                               {form: queryForm, domain: "consul.", target: "q"},
		"a.b.query.dc2.consul.":                         {form: queryForm, domain: "consul.", target: "a.b", datacenter: "dc2"},
		"_q._tcp.query.consul.":                         {form: queryForm, domain: "consul.", target: "q"},
		"7f000001.addr.consul.":                         {form: addressForm, domain: "consul.", addr: netip.MustParseAddr("127.0.0.1")},
		"7F000001.addr.dc1.consul.":                     {form: addressForm, domain: "consul.", addr: netip.MustParseAddr("127.0.0.1"), datacenter: "dc1"},
		"20010db8000000000000000000000066.addr.consul.": {form: addressForm, domain: "consul.", addr: netip.MustParseAddr("2001:db8::66")},
		"7f0000.addr.consul.":                           none("consul."),
		"zz.addr.consul.":                               none("consul."),
		"127.0.0.1.addr.consul.":                        none("consul."),
		"1.0.0.10.in-addr.arpa.":                        {form: reverseForm, domain: "consul.", addr: netip.MustParseAddr("10.0.0.1")},
		"1.0.0.0.10.in-addr.arpa.":                      {form: outside},
		"x.0.0.10.in-addr.arpa.":                        {form: outside},
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.d.0.1.0.0.2.ip6.arpa.": {form: reverseForm, domain: "consul.", addr: netip.MustParseAddr("2001:db8::1")},
		"1.0.ip6.arpa.": {form: outside},
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0x2.ip6.arpa.": {form: outside},
	} {
		if got := parse(full, domains); got != want {
			t.Errorf("%s\n got %+v\nwant %+v", full, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"n1": "n1", "a.b": "a.b", "a b": `a\032b`, "ü": `\195\188`, `a\b`: `a\092b`, "A_b-1": "A_b-1",
	} {
		got := escape(in)
		if got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
		if back := unescape(got); back != in {
			t.Errorf("unescape(%q) = %q, want %q", got, back, in)
		}
	}
}
