package dnsserver

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// note tells of a question that has been answered, if it was asked with a token and somebody keeps a record.
func (s *Server) note(packet, out []byte, from net.Addr) {
	audit := s.settings.Load().Audit
	if audit == nil {
		return
	}
	a := Asked{Token: s.Token(), From: from.String(), Rcode: "none"}
	if a.Token == "" {
		return
	}
	var m dns.Msg
	if m.Unpack(packet) == nil && len(m.Question) > 0 {
		a.Name, a.Type = m.Question[0].Name, dns.Type(m.Question[0].Qtype).String()
	}
	if len(out) >= headerLen {
		a.Rcode = dns.RcodeToString[int(out[3]&0x0f)]
	}
	audit(&a)
}

// noteUDP is note for an asker over UDP.
func (s *Server) noteUDP(packet, out []byte, from netip.AddrPort) {
	if s.settings.Load().Audit != nil {
		s.note(packet, out, net.UDPAddrFromAddrPort(from))
	}
}
