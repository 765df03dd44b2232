// Package dnsserver answers DNS questions about nodes and services. It knows names, records, how much an asker can
// take and how to answer fast; it knows nothing of where nodes and services are kept, which it asks a Lookup, nor of
// who may see them, beyond the token that it hands on.
package dnsserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"lictor/acl"
	"lictor/telemetry"
)

// Config configures a Server. Lookup is required.
type Config struct {
	Lookup     Lookup
	Datacenter string // our own
	Domain     string // "" means "consul."
	AltDomain  string // a second name of the domain, or ""
	Settings   Settings
	Token      func() string // on whose behalf to look; nil is the anonymous token. Asked for each question.
	// Resolve finds what a token may do, so that no answer outlives its rights; nil is a house without ACLs.
	Resolve func(ctx context.Context, token string) (acl.Authorizer, error)
	Log     *slog.Logger
	Metrics Metrics
	// MaxAnswers and MaxBytes bound the packed answers that are kept; 0 means 16,384 and 32 MiB.
	MaxAnswers, MaxBytes int
}

// Metrics are the handles of what is measured. Those that are nil measure nothing.
type Metrics struct {
	DomainQuery *telemetry.Sample  // dns.domain_query: how long an answer took
	PTRQuery    *telemetry.Sample  // dns.ptr_query: how long the answer to a reverse lookup took
	StaleQuery  *telemetry.Counter // dns.stale_queries: answers by a server that had not heard of the leader for a while
}

// NewMetrics takes the handles from a registry, which may be nil.
func NewMetrics(r *telemetry.Registry) Metrics {
	return Metrics{r.Sample("dns.domain_query"), r.Sample("dns.ptr_query"), r.Counter("dns.stale_queries")}
}

// A Server answers over UDP and TCP between Start and Stop.
type Server struct {
	Config
	domains   []string
	settings  atomic.Pointer[Settings]
	answers   *answerCache
	slots     chan struct{} // one for each question that is answered aside from the readers
	recursing chan struct{} // one for each question that is with a recursor

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex // guards the sockets
	udp     []*net.UDPConn
	tcp     []net.Listener
	conns   map[net.Conn]bool
}

const (
	// maxAside bounds the questions that are answered at the same time aside from the readers; more are dropped.
	maxAside = 1024
	// maxRecursing bounds how many of them may wait for recursors, so that those of our domains always find room.
	maxRecursing = 512
)

// New makes a Server that listens nowhere yet.
func New(c Config) *Server {
	if c.Token == nil {
		c.Token = func() string { return "" }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxAnswers == 0 {
		c.MaxAnswers = 16384
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 32 << 20
	}
	c.Datacenter = strings.ToLower(c.Datacenter)
	s := &Server{
		Config: c, answers: newAnswerCache(c.MaxAnswers, c.MaxBytes), conns: map[net.Conn]bool{},
		slots: make(chan struct{}, maxAside), recursing: make(chan struct{}, maxRecursing),
	}
	s.domains = []string{domain(c.Domain, "consul.")}
	if c.AltDomain != "" {
		s.domains = append(s.domains, domain(c.AltDomain, ""))
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.Reload(c.Settings)
	return s
}

func domain(name, otherwise string) string {
	if name = strings.Trim(name, "."); name == "" {
		return otherwise
	}
	return strings.ToLower(name) + "."
}

// Reload puts new settings in force, for all questions from now on.
func (s *Server) Reload(settings Settings) { s.settings.Store(&settings) }

// Start listens at each of the addresses, host:port, over UDP and TCP, and answers until Stop. If one of them cannot be
// had it listens nowhere and returns the error.
func (s *Server) Start(addresses ...string) error {
	for _, a := range addresses {
		if err := s.listen(a); err != nil {
			s.Stop()
			return fmt.Errorf("listen for DNS at %s: %w", a, err)
		}
	}
	for _, c := range s.udp {
		s.running.Add(1)
		go s.readUDP(c)
	}
	for _, l := range s.tcp {
		s.running.Add(1)
		go s.accept(l)
	}
	return nil
}

// Addrs are the TCP addresses that the Server listens at, in the order of Start; the UDP ones are equal.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []net.Addr
	for _, l := range s.tcp {
		out = append(out, l.Addr())
	}
	return out
}

// Stop closes the sockets and blocks until all goroutines are gone. It may be called more than once.
func (s *Server) Stop() {
	s.stop()
	s.mu.Lock()
	for _, c := range s.udp {
		c.Close()
	}
	for _, l := range s.tcp {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// fast answers a query from what is packed, appending to out. It neither blocks nor fails: what it cannot answer is
// for answer.
func (s *Server) fast(packet []byte, tcp bool, out []byte) ([]byte, bool) {
	w, ok := inspect(packet)
	if !ok || !w.plain {
		return out, false
	}
	var buf [keyLen]byte
	p := s.answers.find(w.key(buf[:0], tcp))
	if p == nil {
		return out, false
	}
	begin := time.Now()
	if !p.holds(s.settings.Load(), s.Token(), begin) {
		return out, false
	}
	at := len(out)
	out = append(out, p.take()...)
	w.address(out[at:])
	s.count(p.query.qtype, begin)
	return out, true
}

// answer answers any packet; nil means that there is nothing to say.
func (s *Server) answer(ctx context.Context, packet []byte, tcp bool) []byte {
	if len(packet) < headerLen || packet[2]&0x80 != 0 {
		return nil
	}
	if packet[2]&0x78 != 0 {
		return refusal(packet, dns.RcodeNotImplemented)
	}
	w, ok := inspect(packet)
	var m dns.Msg
	if !ok || m.Unpack(packet) != nil || len(m.Question) != 1 {
		return refusal(packet, dns.RcodeFormatError)
	}
	begin := time.Now()
	settings := s.settings.Load()
	q := readQuery(&m, tcp, settings)
	if opt := m.IsEdns0(); opt != nil && opt.Version() != 0 {
		return s.finish(&w, q, settings, &reply{rcode: dns.RcodeBadVers})
	}
	token := s.Token()
	rights := s.rights(ctx, token) // before the answer, so that it is never newer than that
	r := s.resolve(ctx, settings, q, token)
	if r.foreign && m.RecursionDesired && len(settings.Recursors) > 0 {
		return s.forward(ctx, settings, &m, q)
	}
	out := s.finish(&w, q, settings, r)
	if w.plain && out != nil && r.kept() && settings.packable() {
		s.keep(&w, tcp, &packed{reply: r, query: *q, settings: settings, token: token, rights: rights}, out)
	}
	s.count(q.qtype, begin)
	return out
}

// rights are those of a token; nil if there are none.
func (s *Server) rights(ctx context.Context, token string) acl.Authorizer {
	if s.Resolve == nil {
		return nil
	}
	az, err := s.Resolve(ctx, token)
	if err != nil {
		return nil // the look-up meets the same error
	}
	return az
}

// finish packs a reply for the query.
func (s *Server) finish(w *wire, q *query, settings *Settings, r *reply) []byte {
	out, err := r.pack(q, settings)
	if err != nil {
		s.Log.Warn("failed to pack a DNS answer", "name", q.name, "error", err)
		return refusal(w.packet, dns.RcodeServerFailure)
	}
	w.address(out)
	return out
}

// keep remembers an answer.
func (s *Server) keep(w *wire, tcp bool, p *packed, out []byte) {
	first := append([]byte(nil), out...)
	p.orders[0].Store(&first)
	p.until = time.Now().Add(packedFor)
	p.negative = len(p.reply.units) == 0
	s.answers.put(w.key(make([]byte, 0, keyLen), tcp), p)
}

// readQuery takes from a message what matters for its answer. Where names are compressed the question is put in
// capitals, so that no other name in the answer is shortened to a part of it: then it can be overwritten with the
// letters of any asker.
func readQuery(m *dns.Msg, tcp bool, settings *Settings) *query {
	q := &query{name: m.Question[0].Name, qtype: m.Question[0].Qtype, qclass: m.Question[0].Qclass, tcp: tcp}
	if !settings.DisableCompression {
		q.name = strings.ToUpper(q.name)
	}
	opt := m.IsEdns0()
	if opt == nil {
		return q
	}
	q.edns, q.do, q.size = true, opt.Do(), int(opt.UDPSize())
	for _, o := range opt.Option {
		if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
			q.subnet = subnet
		}
	}
	return q
}

func (s *Server) count(qtype uint16, begin time.Time) {
	if qtype == dns.TypePTR {
		s.Metrics.PTRQuery.Since(begin)
	} else {
		s.Metrics.DomainQuery.Since(begin)
	}
}
