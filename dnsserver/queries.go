package dnsserver

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// query answers with what a prepared query finds, which may depend on where the asker is.
func (t *task) query() {
	t.reply.scoped = true
	q := QueryQuestion{Name: t.name.target}
	found, err := t.Lookup.Query(t.ctx, &t.place, q)
	answer, ok := look(t, found, err)
	if ok && answer != nil && answer.ByIP {
		t.reply.volatile = true
		q.IP = t.asker()
		found, err = t.Lookup.Query(t.ctx, &t.place, q)
		answer, ok = look(t, found, err)
	}
	if !ok {
		return
	}
	if answer == nil || len(answer.Instances) == 0 {
		t.missing()
		return
	}
	t.list(answer)
}

func (t *task) list(answer *QueryAnswer) {
	if answer.Datacenter != t.Datacenter {
		t.name.datacenter, t.place.Datacenter = answer.Datacenter, answer.Datacenter
	}
	ttl := t.settings.serviceTTL(answer.Service)
	if d, err := time.ParseDuration(answer.TTL); err == nil {
		ttl = seconds(d)
	}
	l := instances{task: t, ttl: ttl, seen: map[string]bool{}}
	for i := range answer.Instances {
		l.add(&answer.Instances[i])
	}
	t.reply.sorted = answer.Sorted
	if t.reply.units = l.units; len(l.units) == 0 && l.host != "" {
		t.reply.units = []unit{t.host(l.host, ttl)}
	}
	if len(t.reply.units) == 0 {
		t.reply.ns = []dns.RR{t.soa()}
	}
}

// asker is the address of who asks: that of the question's client subnet, or else of the packet's sender.
func (t *task) asker() string {
	addr := askerOf(t.ctx)
	if t.subnet != nil {
		if a, ok := netip.AddrFromSlice(t.subnet.Address); ok {
			addr = a
		}
	}
	if !addr.IsValid() {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}
