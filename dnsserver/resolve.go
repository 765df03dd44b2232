package dnsserver

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"lictor/rpc"
)

// maxChase bounds how many names an answer may follow, in case they lead round in a circle.
const maxChase = 4

// staleAfter is how old an answer has to be to count as stale.
const staleAfter = 5 * time.Second

// A task is the finding of a reply to one question.
type task struct {
	*Server
	ctx      context.Context
	settings *Settings
	owner    string // the question's name, as records are to bear it
	qtype    uint16
	name     name
	subnet   *dns.EDNS0_SUBNET // of the question; nil if it has none
	place    Place
	chased   int
	reply    *reply
}

// resolve finds everything that could be said to the question.
func (s *Server) resolve(ctx context.Context, settings *Settings, q *query, token string) *reply {
	t := &task{Server: s, ctx: ctx, settings: settings, owner: q.name, qtype: q.qtype, reply: &reply{}, subnet: q.subnet}
	t.name = parse(q.name, s.domains)
	t.place = Place{Token: token, AllowStale: settings.AllowStale, MaxStale: settings.MaxStale}
	t.run()
	return t.reply
}

// run fills the reply.
func (t *task) run() {
	if t.name.datacenter != "" && t.name.datacenter != t.Datacenter {
		t.place.Datacenter = t.name.datacenter
	}
	switch {
	case t.name.form == outside:
		t.reply.foreign = true
		t.reply.rcode = dns.RcodeRefused
	case t.qtype == dns.TypeAXFR || t.qtype == dns.TypeIXFR:
		t.reply.rcode = dns.RcodeNotImplemented
	case t.name.form == reverseForm:
		t.reverse()
	case t.qtype == dns.TypeSOA:
		t.zone()
	case t.qtype == dns.TypeNS:
		t.servers()
	default:
		t.lookup()
	}
}

// lookup answers by what kind of thing the name is.
func (t *task) lookup() {
	n := &t.name
	if n.peer != "" && n.form != virtualForm {
		t.missing() // there are no peers
		return
	}
	switch n.form {
	case nodeForm:
		t.node()
	case serviceForm:
		t.service(ServiceQuestion{Name: n.target, Tag: n.tag})
	case connectForm:
		t.service(ServiceQuestion{Name: n.target, Connect: true})
	case ingressForm:
		t.service(ServiceQuestion{Name: n.target, Ingress: true})
	case virtualForm:
		t.virtual()
	case addressForm:
		t.address(n.addr)
	case queryForm:
		t.query()
	default:
		t.missing()
	}
}

// missing answers that there is no such name.
func (t *task) missing() {
	t.reply.rcode = dns.RcodeNameError
	t.reply.ns = []dns.RR{t.soa()}
}

// failed answers for a lookup that failed: what is out of reach or out of bounds does not exist for the asker.
func (t *task) failed(err error) {
	switch rpc.CodeOf(err) {
	case rpc.NoDatacenter, rpc.PermissionDenied, rpc.NotFound:
		t.missing()
	default:
		t.Log.Warn("failed to answer a DNS question", "name", t.owner, "error", err)
		t.reply.rcode = dns.RcodeServerFailure
	}
	t.reply.volatile = true
}

// look notes how long an answer holds and passes on what it says.
func look[T any](t *task, found Found[T], err error) (T, bool) {
	if err != nil {
		t.failed(err)
		return found.Value, false
	}
	if found.Live == nil {
		t.reply.volatile = true
	} else {
		t.reply.live = append(t.reply.live, found.Live)
	}
	if found.LastContact > staleAfter {
		t.Metrics.StaleQuery.Inc()
	}
	return found.Value, true
}

// datacenter is where the answer is from.
func (t *task) datacenter() string {
	if t.name.datacenter != "" {
		return t.name.datacenter
	}
	return t.Datacenter
}

// address answers for an address that is written in the name.
func (t *task) address(addr netip.Addr) {
	rr := addressRecord(t.owner, addr, t.settings.nodeTTL())
	if fits(t.qtype, addr) && t.qtype != dns.TypeTXT {
		t.reply.units = []unit{{answer: []dns.RR{rr}}}
	} else {
		t.reply.extra = []dns.RR{rr}
	}
}

// host answers with a name in place of an address, and with what that name leads to.
func (t *task) host(target string, ttl uint32) unit {
	return unit{answer: append([]dns.RR{cname(t.owner, target, ttl)}, t.chase(target)...)}
}

// chase finds the records of a name that an address is given by: in our domains, or with the recursors' help.
func (t *task) chase(target string) []dns.RR {
	if t.qtype != dns.TypeA && t.qtype != dns.TypeAAAA && t.qtype != dns.TypeANY || t.chased >= maxChase {
		return nil
	}
	next := *t
	next.owner, next.chased, next.reply = target, t.chased+1, &reply{}
	next.name = parse(target, t.domains)
	next.place.Datacenter = ""
	if next.name.form != outside {
		next.run()
		t.reply.live = append(t.reply.live, next.reply.live...)
		t.reply.volatile = t.reply.volatile || next.reply.volatile
		return records(next.reply.units)
	}
	if len(t.settings.Recursors) == 0 {
		return nil
	}
	t.reply.volatile = true
	m := new(dns.Msg).SetQuestion(target, t.qtype)
	if r := t.recurse(t.ctx, t.settings, m, false); r != nil {
		return r.Answer
	}
	return nil
}

func records(units []unit) []dns.RR {
	var out []dns.RR
	for _, u := range units {
		out = append(out, u.answer...)
	}
	return out
}

// reverse answers with the names of an address: of the node that has it, or of the services.
func (t *task) reverse() {
	found, err := t.Lookup.Address(t.ctx, &t.place, t.name.addr)
	owner, ok := look(t, found, err)
	if !ok {
		return
	}
	dc := escape(t.Datacenter) + "." + t.name.domain
	for _, n := range owner.Nodes {
		t.pointer(escape(n) + ".node." + dc)
		return
	}
	for _, s := range owner.Services {
		t.pointer(escape(strings.ToLower(s)) + ".service." + dc)
	}
	if len(t.reply.units) > 0 {
		return
	}
	if len(t.settings.Recursors) > 0 { // perhaps somebody else knows
		t.reply.foreign = true
		t.reply.rcode = dns.RcodeRefused
		return
	}
	t.missing()
}

func (t *task) pointer(target string) {
	if _, ok := dns.IsDomainName(target); !ok {
		return
	}
	rr := &dns.PTR{Hdr: header(t.owner, dns.TypePTR, 0), Ptr: target}
	t.reply.units = append(t.reply.units, unit{answer: []dns.RR{rr}})
}
