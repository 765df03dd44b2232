package dnsserver

import (
	"math/rand/v2"
	"slices"

	"github.com/miekg/dns"
)

// A unit is what is left out together when an answer is too long: an instance's records and what explains them.
type unit struct {
	answer []dns.RR
	extra  []dns.RR
}

// A reply is everything that could be said to a question, before it is cut to what the asker can take. It is not
// changed once it has been made, so that it can be packed many times.
type reply struct {
	rcode    int
	foreign  bool // about a name that is not ours
	units    []unit
	sorted   bool // the units keep their order
	ordered  bool // the units keep their order and are not counted
	ns       []dns.RR
	extra    []dns.RR // said if there is room
	live     []Freshness
	volatile bool // not to be kept
	scoped   bool // depends on the client subnet of the question
}

// fresh tells whether all that the reply was made of is as it was.
func (r *reply) fresh() bool {
	for _, l := range r.live {
		if !l.Fresh() {
			return false
		}
	}
	return true
}

// kept tells whether the reply may be given again for as long as it is fresh.
func (r *reply) kept() bool { return !r.volatile && !r.foreign }

// A query is what of a message matters for its answer.
type query struct {
	name   string // as it is written in the answer
	qtype  uint16
	qclass uint16
	tcp    bool
	edns   bool
	do     bool
	size   int // what the asker can take, as announced with EDNS
	subnet *dns.EDNS0_SUBNET
}

const (
	minSize = 512
	maxUDP  = 65507 // what fits in a datagram over IPv4
	maxTCP  = 65535
)

// limit is the longest answer that the asker can take.
func (q *query) limit() int {
	switch {
	case q.tcp:
		return maxTCP
	case q.edns:
		return min(max(q.size, minSize), maxUDP)
	}
	return minSize
}

// message is the reply in random order, cut to what the asker can take and to what the settings allow. The caller adds
// the header's id and flags.
func (r *reply) message(q *query, s *Settings) *dns.Msg {
	m := &dns.Msg{Question: []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: q.qclass}}}
	m.Response, m.Authoritative, m.Rcode = true, !r.foreign, r.rcode
	m.RecursionAvailable = len(s.Recursors) > 0
	m.Compress = !s.DisableCompression
	m.Ns = r.ns
	opt := r.opt(q)
	units, short := r.choose(q, s)
	c := cutter{limit: q.limit(), seen: map[string]bool{}}
	c.size = uncompressed(m)
	if opt != nil {
		c.size += dns.Len(opt)
	}
	short = c.add(m, units) || short
	c.explain(m, r.extra)
	if short && q.qtype == dns.TypeSRV {
		opt = nil // as Consul does: only what explains the targets is left
	}
	if opt != nil {
		m.Extra = append(m.Extra, opt)
	}
	m.Truncated = short && s.EnableTruncate
	return m
}

// pack is the message in the form in which it travels, which is never longer than the asker can take.
func (r *reply) pack(q *query, s *Settings) ([]byte, error) {
	m := r.message(q, s)
	for {
		b, err := m.Pack()
		if err != nil || len(b) <= q.limit() {
			return b, err
		}
		switch { // names of uncommon length
		case len(m.Extra) > 0:
			m.Extra = nil
		case len(m.Ns) > 0:
			m.Ns = nil
		case len(m.Answer) > 0:
			m.Answer = m.Answer[:len(m.Answer)-1]
			m.Truncated = s.EnableTruncate
		default:
			return nil, dns.ErrBuf
		}
	}
}

// choose shuffles the units and cuts them to the configured numbers. It tells whether a longer answer could be had
// over TCP.
func (r *reply) choose(q *query, s *Settings) ([]unit, bool) {
	if r.ordered {
		return r.units, false
	}
	units := slices.Clone(r.units)
	if !r.sorted {
		rand.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	}
	if n := s.ARecordLimit; n > 0 && len(units) > n && counted(q.qtype) {
		units = units[:n]
	}
	if n := s.UDPAnswerLimit; n > 0 && len(units) > n && !q.tcp && q.limit() <= minSize {
		return units[:n], true
	}
	return units, false
}

// counted tells whether the answers to a type are addresses.
func counted(qtype uint16) bool {
	return qtype == dns.TypeA || qtype == dns.TypeAAAA || qtype == dns.TypeANY || qtype == dns.TypeTXT
}

// opt is the answer to the question's EDNS record.
func (r *reply) opt(q *query) *dns.OPT {
	if !q.edns {
		return nil
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(uint16(q.size))
	if q.do {
		opt.SetDo()
	}
	if q.subnet != nil {
		echo := *q.subnet
		echo.SourceScope = 0
		if r.scoped {
			echo.SourceScope = echo.SourceNetmask
		}
		opt.Option = append(opt.Option, &echo)
	}
	return opt
}

// A cutter adds units to a message for as long as they fit. It counts as if names were not compressed, as Consul does.
type cutter struct {
	limit, size int
	seen        map[string]bool // owners of the extra records that are in
}

// add tells whether something had to be left out.
func (c *cutter) add(m *dns.Msg, units []unit) bool {
	for i, u := range units {
		n, owners := c.cost(&u)
		if c.size+n > c.limit {
			c.squeeze(m, &u, i)
			return true
		}
		c.size += n
		m.Answer = append(m.Answer, u.answer...)
		for _, rr := range u.extra {
			if owner := rr.Header().Name; !c.seen[owner] {
				m.Extra = append(m.Extra, rr)
			}
		}
		for _, owner := range owners {
			c.seen[owner] = true
		}
	}
	return false
}

// cost is the size of what the unit adds, and whom its extra records are about.
func (c *cutter) cost(u *unit) (int, []string) {
	n := length(u.answer)
	var owners []string
	for _, rr := range u.extra {
		if owner := rr.Header().Name; !c.seen[owner] {
			n += dns.Len(rr)
			owners = append(owners, owner)
		}
	}
	return n, owners
}

// explain adds records for as long as they fit.
func (c *cutter) explain(m *dns.Msg, extra []dns.RR) {
	for _, rr := range extra {
		if n := dns.Len(rr); c.size+n <= c.limit {
			c.size += n
			m.Extra = append(m.Extra, rr)
		}
	}
}

// squeeze puts in the first unit's first record alone if nothing fits in another way.
func (c *cutter) squeeze(m *dns.Msg, u *unit, at int) {
	if at > 0 {
		return
	}
	bare := *m
	bare.Answer = u.answer[:1]
	if n := c.size - uncompressed(m) + bare.Len(); n <= c.limit {
		m.Answer = bare.Answer
		c.size = c.limit
	}
}

// uncompressed is the size of a message whose names are written out.
func uncompressed(m *dns.Msg) int {
	plain := *m
	plain.Compress = false
	return plain.Len()
}

func length(rrs []dns.RR) int {
	n := 0
	for _, rr := range rrs {
		n += dns.Len(rr)
	}
	return n
}
