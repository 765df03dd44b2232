package dnsserver

import (
	"cmp"
	"net/netip"

	"github.com/miekg/dns"

	"lictor/catalog"
)

// service answers with the healthy instances of a service.
func (t *task) service(q ServiceQuestion) {
	found, err := t.Lookup.Service(t.ctx, &t.place, q)
	all, ok := look(t, found, err)
	if !ok {
		return
	}
	healthy := 0
	ttl := t.settings.serviceTTL(q.Name)
	list := instances{task: t, ttl: ttl, seen: map[string]bool{}}
	for i := range all {
		if t.healthy(&all[i]) {
			healthy++
			list.add(&all[i])
		}
	}
	if healthy == 0 {
		t.missing()
		return
	}
	if t.reply.units = list.units; len(list.units) == 0 && list.host != "" {
		t.reply.units = []unit{t.host(list.host, ttl)}
	}
	if len(t.reply.units) == 0 {
		t.reply.ns = []dns.RR{t.soa()}
	}
}

// healthy tells whether an instance may be named.
func (t *task) healthy(i *Instance) bool {
	return i.Status == catalog.Passing || i.Status == catalog.Warning && !t.settings.OnlyPassing
}

// instances collects the records of a service's instances. Equal ones are kept once.
type instances struct {
	*task
	ttl   uint32
	units []unit
	seen  map[string]bool
	host  string // of an instance that is known by its name, not its address
}

func (l *instances) add(i *Instance) {
	if l.qtype == dns.TypeSRV {
		l.addTarget(i)
		return
	}
	addr, host := l.endpoint(i)
	if host != "" {
		if fits(l.qtype, netip.IPv4Unspecified()) || l.qtype == dns.TypeAAAA || l.qtype == dns.TypeCNAME {
			l.host = host
		}
		return
	}
	if !addr.IsValid() || !fits(l.qtype, addr) || l.seen[addr.String()] {
		return
	}
	l.seen[addr.String()] = true
	u := unit{answer: []dns.RR{addressRecord(l.owner, addr, l.ttl)}}
	if l.qtype == dns.TypeANY || l.qtype == dns.TypeTXT {
		u.answer = append(u.answer, notes(l.owner, i.Node.Meta, l.ttl)...)
	}
	l.units = append(l.units, u)
}

// addTarget adds an SRV record and what its target stands for.
func (l *instances) addTarget(i *Instance) {
	addr, host := l.endpoint(i)
	dc := cmp.Or(i.Node.Datacenter, l.datacenter())
	node := nodeName(i.Node.Node, dc, l.name.domain)
	target := host
	switch {
	case host != "":
	case !addr.IsValid():
		return
	case i.Service.Address != "":
		target = hexName(addr, dc, l.name.domain)
	default:
		target = node
	}
	srv := &dns.SRV{Hdr: header(l.owner, dns.TypeSRV, l.ttl), Priority: 1, Weight: weight(i), Port: uint16(i.port(l.remote())), Target: target}
	if _, ok := dns.IsDomainName(target); !ok || l.seen[srv.String()] {
		return
	}
	l.seen[srv.String()] = true
	u := unit{answer: []dns.RR{srv}}
	if host == "" {
		u.extra = append(u.extra, addressRecord(target, addr, l.ttl))
	}
	if _, ok := dns.IsDomainName(node); ok && l.settings.NodeMetaTXT {
		u.extra = append(u.extra, notes(node, i.Node.Meta, l.ttl)...)
	}
	l.units = append(l.units, u)
}

// remote tells whether the answer is about another datacenter and its WAN addresses are wanted.
func (t *task) remote() bool { return t.settings.TranslateWANAddrs && t.place.Datacenter != "" }

// endpoint is where an instance is reached: an address, or the name of a host.
func (t *task) endpoint(i *Instance) (netip.Addr, string) {
	v6 := t.qtype == dns.TypeAAAA
	if s := i.Service; s.Address != "" {
		tagged := func(tag string) string { return s.TaggedAddresses[tag].Address }
		return dial(choose(s.Address, tagged, t.remote(), v6))
	}
	return t.nodeAddress(i.Node)
}

// nodeAddress is where a node is reached: an address, or the name of a host.
func (t *task) nodeAddress(n *catalog.Node) (netip.Addr, string) {
	tagged := func(tag string) string { return n.TaggedAddresses[tag] }
	return dial(choose(n.Address, tagged, t.remote(), t.qtype == dns.TypeAAAA))
}

// choose picks from the addresses of a node or service the one for the asker: on the WAN if wan, and if there is one
// of the wanted family, of that.
func choose(address string, tagged func(string) string, wan, v6 bool) string {
	family, scope := "ipv4", "lan"
	if v6 {
		family = "ipv6"
	}
	if wan {
		scope = "wan"
		address = cmp.Or(tagged("wan"), address)
	}
	addr, err := netip.ParseAddr(address)
	if err == nil && addr.Unmap().Is4() != v6 {
		return address
	}
	return cmp.Or(tagged(scope+"_"+family), address)
}

// dial reads an address.
func dial(address string) (netip.Addr, string) {
	addr, err := netip.ParseAddr(address)
	if err == nil {
		return addr.WithZone(""), ""
	}
	return netip.Addr{}, hostName(address)
}

// port is the port of an instance, as seen over the WAN if wan.
func (i *Instance) port(wan bool) int {
	if a := i.Service.TaggedAddresses["wan"]; wan && a.Port != 0 {
		return a.Port
	}
	return i.Service.Port
}

// weight is an instance's share in SRV records, by its health.
func weight(i *Instance) uint16 {
	w := i.Service.Weights
	if w == nil {
		return 1
	}
	n := w.Passing
	if i.Status == catalog.Warning {
		n = w.Warning
	}
	return uint16(min(max(n, 0), 65535))
}

// virtual answers with the address that stands for a service in the mesh, whatever the type.
func (t *task) virtual() {
	if t.name.peer != "" {
		return // there are no peers
	}
	found, err := t.Lookup.Virtual(t.ctx, &t.place, t.name.target)
	addr, ok := look(t, found, err)
	if ok && addr.IsValid() {
		rr := addressRecord(t.owner, addr, t.settings.serviceTTL(t.name.target))
		t.reply.units = []unit{{answer: []dns.RR{rr}}}
	}
}
