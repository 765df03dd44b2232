package dnsserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// forward answers a question outside our domains with what a recursor says.
func (s *Server) forward(ctx context.Context, settings *Settings, m *dns.Msg, q *query) []byte {
	r := s.recurse(ctx, settings, m, q.tcp)
	if r == nil {
		r = new(dns.Msg).SetRcode(m, dns.RcodeServerFailure)
	}
	r.Id = m.Id
	r.RecursionAvailable = true
	r.Compress = !settings.DisableCompression
	r.Truncate(q.limit())
	out, err := r.Pack()
	if err != nil {
		s.Log.Warn("failed to pack a recursor's answer", "name", q.name, "error", err)
		return nil
	}
	return out
}

// recurse asks the recursors in turn until one has an answer; nil if none has. It blocks for at most the timeout for
// each of them, and does not ask at all while too many others wait.
func (s *Server) recurse(ctx context.Context, settings *Settings, m *dns.Msg, tcp bool) *dns.Msg {
	select {
	case s.recursing <- struct{}{}:
		defer func() { <-s.recursing }()
	default:
		return nil
	}
	client := dns.Client{Net: "udp", Timeout: settings.RecursorTimeout, UDPSize: maxPacket}
	if tcp {
		client.Net = "tcp"
	}
	m = m.Copy()
	m.Id = dns.Id() // not the asker's choice
	var last *dns.Msg
	for _, server := range order(settings) {
		if s.own(server) {
			continue
		}
		r, err := exchange(ctx, &client, m, server)
		if err != nil {
			s.Log.Warn("recursor failed", "recursor", server, "error", err)
			continue
		}
		if r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError {
			return r
		}
		last = r
	}
	return last
}

// exchange asks one recursor. It blocks until that answers, the client's timeout is over or ctx is done.
func exchange(ctx context.Context, client *dns.Client, m *dns.Msg, server string) (*dns.Msg, error) {
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if err == nil && !answers(r, m) {
		err = errOtherQuestion
	}
	return r, err
}

var errOtherQuestion = errors.New("the answer is to another question")

// answers tells whether r is an answer to m.
func answers(r, m *dns.Msg) bool {
	return r.Response && len(r.Question) == 1 && strings.EqualFold(r.Question[0].Name, m.Question[0].Name) &&
		r.Question[0].Qtype == m.Question[0].Qtype
}

// order is the order in which to ask the recursors.
func order(settings *Settings) []string {
	out := make([]string, len(settings.Recursors))
	for i, r := range settings.Recursors {
		out[i] = port53(r)
	}
	if settings.RandomRecursor {
		rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// own tells whether a recursor is this server, which would ask itself.
func (s *Server) own(server string) bool {
	return slices.ContainsFunc(s.Addrs(), func(a net.Addr) bool { return a.String() == server })
}

// port53 adds the port that DNS servers have unless said otherwise.
func port53(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	if addr, err := netip.ParseAddr(server); err == nil {
		return net.JoinHostPort(addr.String(), "53")
	}
	return net.JoinHostPort(server, "53")
}
