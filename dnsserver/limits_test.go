package dnsserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lictor/catalog"
)

// crowd is a catalog with one service of n instances, with names of the given length and something noted of each node.
func crowd(n, nameLen int, own bool) *memory {
	m := newMemory()
	for i := range n {
		name := fmt.Sprintf("b%03d", i) + strings.Repeat("x", nameLen)
		node := &catalog.Node{Node: name, Datacenter: "dc1", Address: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}
		if i%2 == 1 {
			node.Address = fmt.Sprintf("2001:db8::%x", i+1)
		}
		if i%5 == 0 {
			node.Meta = map[string]string{"rack": strings.Repeat("r", i)}
		}
		s := &catalog.Instance{Service: "big", Port: 9000 + i}
		if own && i%3 == 0 {
			s.Address = fmt.Sprintf("10.2.%d.%d", i/250, i%250+1)
		}
		m.nodes[name] = node
		m.services["big"] = append(m.services["big"], Instance{node, s, catalog.Passing})
	}
	return m
}

// TestLimits holds for every type, transport, EDNS size and number of instances: an answer is never too long, TC is
// set exactly if something was left out, and at least one answer is given if one fits.
func TestLimits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 40, 100, 400, 1500} {
		for _, nameLen := range []int{0, 20, 58} {
			m := crowd(n, nameLen, n%2 == 0)
			s := testServer(t, m, func(s *Settings) {
				s.EnableTruncate = true
				s.ARecordLimit = rnd.IntN(2) * 50
				s.UDPAnswerLimit = rnd.IntN(2) * 3
			})
			for _, qtype := range []string{"A", "AAAA", "SRV", "ANY", "TXT"} {
				for _, size := range []uint16{0, 1, 512, 600, 1232, 1410, 4096, 65535} {
					for _, tcp := range []bool{false, true} {
						q := question("big.service.consul", qtype)
						if size > 0 {
							q.SetEdns0(size, false)
						}
						checkLimits(t, s, q, tcp)
					}
				}
			}
		}
	}
}

func checkLimits(t *testing.T, s *Server, q *dns.Msg, tcp bool) {
	t.Helper()
	packet, _ := q.Pack()
	limit := 512
	if opt := q.IsEdns0(); opt != nil {
		limit = min(max(int(opt.UDPSize()), 512), maxUDP)
	}
	if tcp {
		limit = 65535
	}
	settings := s.settings.Load()
	full := s.resolve(context.Background(), settings, readQuery(q, tcp, settings), "")
	whole := len(full.units)
	if n := settings.ARecordLimit; n > 0 && q.Question[0].Qtype != dns.TypeSRV {
		whole = min(whole, n)
	}
	for try := range 10 {
		b, ok := s.fast(packet, tcp, nil)
		if !ok {
			b = s.answer(context.Background(), packet, tcp)
		}
		var m dns.Msg
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("%s of %d, tcp %v, limit %d, try %d", dns.TypeToString[q.Question[0].Qtype], len(full.units), tcp, limit, try)
		if len(b) > limit {
			t.Fatalf("%s: %d bytes", where, len(b))
		}
		got := given(&m)
		if m.Truncated != (got < whole) {
			t.Fatalf("%s: %d of %d given, TC %v", where, got, whole, m.Truncated)
		}
		if got == 0 && whole > 0 {
			t.Fatalf("%s: nothing given", where)
		}
	}
}

// given counts the instances in an answer.
func given(m *dns.Msg) int {
	n := 0
	for _, rr := range m.Answer {
		if t := rr.Header().Rrtype; t != dns.TypeTXT {
			n++
		}
	}
	return n
}

// TestLongNames asks with names so long that an answer fits only if they are shortened.
func TestLongNames(t *testing.T) {
	m := newMemory()
	tag := strings.Repeat("t", 60) + "." + strings.Repeat("t", 60) + "." + strings.Repeat("t", 60)
	node := m.node(&catalog.Node{Node: "n", Address: "10.0.0.1", Meta: map[string]string{"long": strings.Repeat("x", 500)}})
	m.service(node, &catalog.Instance{Service: strings.Repeat("s", 40), Tags: []string{tag}, Port: 1}, catalog.Passing)
	s := testServer(t, m, nil)
	got := ask(t, s, question(tag+"."+strings.Repeat("s", 40)+".service.consul", "A"), false)
	if len(got.Answer) != 1 || got.Truncated {
		t.Errorf("got %v", got)
	}
	got = ask(t, s, question("n.node.consul", "A"), false)
	if len(got.Answer) != 1 || len(got.Extra) != 0 {
		t.Errorf("an explanation that does not fit: %v", got)
	}
}

// TestEveryInstanceGetsItsTurn asks for few of many instances, mostly from what is packed.
func TestEveryInstanceGetsItsTurn(t *testing.T) {
	s := testServer(t, crowd(40, 0, false), func(s *Settings) { s.UDPAnswerLimit, s.NodeMetaTXT = 3, false })
	packet, _ := question("big.service.consul", "SRV").Pack()
	counts := map[string]int{}
	orders := map[string]int{}
	const rounds = 40000
	for range rounds {
		b, ok := s.fast(packet, false, nil)
		if !ok {
			b = s.answer(context.Background(), packet, false)
		}
		var m dns.Msg
		if err := m.Unpack(b); err != nil || len(m.Answer) != 3 || len(b) > 512 {
			t.Fatalf("%v %v", err, m.Answer)
		}
		order := ""
		for _, rr := range m.Answer {
			counts[rr.(*dns.SRV).Target]++
			order += rr.(*dns.SRV).Target
		}
		orders[order]++
	}
	for target, n := range counts {
		if share := float64(n) / (rounds * 3 / 40); share < 0.5 || share > 1.6 {
			t.Errorf("%s was given %.2f times its share", target, share)
		}
	}
	if len(counts) != 40 || len(orders) < rounds/variantUses/2 {
		t.Errorf("%d instances in %d orders", len(counts), len(orders))
	}
}

// TestMadeUpNames floods the server with a million names that do not exist: what it keeps is bounded, and what exists
// is still there.
func TestMadeUpNames(t *testing.T) {
	s := testServer(t, crowd(5, 0, false), nil)
	known, _ := question("big.service.consul", "A").Pack()
	s.answer(context.Background(), known, false)
	names := 1_000_000
	if testing.Short() {
		names = 50_000
	}
	packet, _ := question("aaaaaaaa.service.consul", "A").Pack()
	for i := range names {
		copy(packet[13:21], fmt.Sprintf("%08x", i))
		w, _ := inspect(packet)
		r := &reply{rcode: dns.RcodeNameError, live: []Freshness{&moment{}}}
		if i%100 == 0 {
			s.answer(context.Background(), packet, false)
			continue
		}
		s.keep(&w, false, &packed{reply: r, settings: s.settings.Load()}, packet)
	}
	n, negative, bytes := s.answers.size()
	if n != 1 || negative == 0 || negative > s.MaxAnswers/4 || bytes > s.MaxBytes {
		t.Errorf("%d answers, %d negative ones, %d bytes", n, negative, bytes)
	}
}

// TestManyAnswers asks for more that exists than can be kept.
func TestManyAnswers(t *testing.T) {
	s := New(Config{Lookup: crowd(200, 0, false), Datacenter: "dc1", Settings: Defaults(), MaxAnswers: 256, MaxBytes: 1 << 20})
	for size := range uint16(2000) {
		q := question("big.service.consul", "A")
		q.SetEdns0(512+size, false)
		packet, _ := q.Pack()
		s.answer(context.Background(), packet, false)
	}
	n, _, bytes := s.answers.size()
	if n == 0 || n > 256 || bytes > 1<<20 {
		t.Errorf("%d answers, %d bytes", n, bytes)
	}
}

// TestPackedAnswersAge looks again after a while although nothing has changed.
func TestPackedAnswersAge(t *testing.T) {
	m := crowd(2, 0, false)
	s := testServer(t, m, nil)
	packet, _ := question("big.service.consul", "A").Pack()
	s.answer(context.Background(), packet, false)
	w, _ := inspect(packet)
	p := s.answers.find(w.key(nil, false))
	if !p.holds(s.settings.Load(), "", time.Now()) || p.holds(s.settings.Load(), "", time.Now().Add(packedFor+time.Second)) {
		t.Error("the answer is not kept for as long as it should be")
	}
}

// TestShortAnswersWithoutTC pins what Consul does unless told to set TC, down to the EDNS record that a shortened SRV
// answer loses.
func TestShortAnswersWithoutTC(t *testing.T) {
	s := testServer(t, crowd(40, 0, false), func(s *Settings) { s.UDPAnswerLimit, s.NodeMetaTXT = 3, false })
	for _, c := range []struct {
		qtype  string
		size   uint16
		given  int
		answer bool // to the EDNS record
	}{{"A", 0, 3, false}, {"A", 512, 3, true}, {"A", 4096, 20, true}, {"SRV", 0, 3, false}, {"SRV", 512, 3, false}, {"SRV", 4096, 40, true}} {
		q := question("big.service.consul", c.qtype)
		if c.size > 0 {
			q.SetEdns0(c.size, false)
		}
		got := ask(t, s, q, false)
		if len(got.Answer) != c.given || got.Truncated || (got.IsEdns0() != nil) != c.answer {
			t.Errorf("%s %d: %d answers, TC %v, EDNS %v", c.qtype, c.size, len(got.Answer), got.Truncated, got.IsEdns0() != nil)
		}
	}
}

func TestChoose(t *testing.T) {
	tags := map[string]string{"wan": "198.18.0.1", "wan_ipv6": "2001:db8::2", "lan_ipv4": "10.0.0.4", "lan_ipv6": "2001:db8::4"}
	some := func(tag string) string { return tags[tag] }
	none := func(string) string { return "" }
	for _, c := range []struct {
		address string
		tagged  func(string) string
		wan, v6 bool
		want    string
	}{
		{"10.0.0.1", some, false, false, "10.0.0.1"},
		{"10.0.0.1", some, false, true, "2001:db8::4"},
		{"10.0.0.1", some, true, false, "198.18.0.1"},
		{"10.0.0.1", some, true, true, "2001:db8::2"},
		{"10.0.0.1", none, true, true, "10.0.0.1"},
		{"2001:db8::1", some, false, false, "10.0.0.4"},
		{"2001:db8::1", none, false, false, "2001:db8::1"},
		{"host.example.com", none, false, true, "host.example.com"},
	} {
		if got := choose(c.address, c.tagged, c.wan, c.v6); got != c.want {
			t.Errorf("%s wan %v v6 %v: got %s, want %s", c.address, c.wan, c.v6, got, c.want)
		}
	}
}
