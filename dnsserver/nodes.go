package dnsserver

import (
	"cmp"
	"time"

	"github.com/miekg/dns"
)

// node answers with a node's address and what is noted of it.
func (t *task) node() {
	found, err := t.Lookup.Node(t.ctx, &t.place, t.name.target)
	n, ok := look(t, found, err)
	if !ok {
		return
	}
	if n == nil {
		t.missing()
		return
	}
	ttl := t.settings.nodeTTL()
	t.reply.ordered = true
	switch addr, host := t.nodeAddress(n); {
	case host != "" && (t.qtype == dns.TypeA || t.qtype == dns.TypeAAAA || t.qtype == dns.TypeANY):
		t.reply.units = []unit{t.host(host, ttl)}
	case addr.IsValid() && fits(t.qtype, addr) && t.qtype != dns.TypeTXT:
		t.reply.units = []unit{{answer: []dns.RR{addressRecord(t.owner, addr, ttl)}}}
	}
	switch texts := notes(t.owner, n.Meta, ttl); {
	case t.qtype == dns.TypeTXT || t.qtype == dns.TypeANY:
		for _, rr := range texts {
			t.reply.units = append(t.reply.units, unit{answer: []dns.RR{rr}})
		}
	case t.settings.NodeMetaTXT:
		t.reply.extra = texts
	}
}

// zone answers with the start of the zone's authority and the servers that have it.
func (t *task) zone() {
	t.servers()
	if t.reply.rcode != dns.RcodeSuccess {
		return
	}
	for _, u := range t.reply.units {
		t.reply.ns = append(t.reply.ns, u.answer...)
		t.reply.extra = append(t.reply.extra, u.extra...)
	}
	t.reply.units = []unit{{answer: []dns.RR{t.soa()}}}
}

// maxServers bounds how many servers are named.
const maxServers = 3

// servers answers with the names and addresses of the servers.
func (t *task) servers() {
	t.place.Datacenter = ""
	found, err := t.Lookup.Service(t.ctx, &t.place, ServiceQuestion{Name: serverService})
	all, ok := look(t, found, err)
	if !ok {
		return
	}
	ttl := t.settings.nodeTTL()
	for i := range all {
		owner := nodeName(all[i].Node.Node, cmp.Or(all[i].Node.Datacenter, t.Datacenter), t.name.domain)
		if _, ok := dns.IsDomainName(owner); !ok || !t.healthy(&all[i]) || len(t.reply.units) == maxServers {
			continue
		}
		ns := &dns.NS{Hdr: header(t.name.domain, dns.TypeNS, ttl), Ns: owner}
		u := unit{answer: []dns.RR{ns}}
		if addr, _ := t.endpoint(&all[i]); addr.IsValid() {
			u.extra = []dns.RR{addressRecord(owner, addr, ttl)}
		}
		t.reply.units = append(t.reply.units, u)
	}
}

// serverService is the service that all servers are instances of.
const serverService = "consul"

// soa is the start of the zone's authority.
func (t *task) soa() dns.RR {
	domain, s := t.name.domain, t.settings.SOA
	return &dns.SOA{
		Hdr: header(domain, dns.TypeSOA, s.MinTTL), Ns: "ns." + domain, Mbox: "hostmaster." + domain,
		Serial: uint32(time.Now().Unix()), Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.MinTTL,
	}
}
