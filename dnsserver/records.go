package dnsserver

import (
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// header makes the part that all records share.
func header(owner string, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// addressRecord makes an A or AAAA record.
func addressRecord(owner string, addr netip.Addr, ttl uint32) dns.RR {
	if addr = addr.Unmap(); addr.Is4() {
		return &dns.A{Hdr: header(owner, dns.TypeA, ttl), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, ttl), AAAA: addr.AsSlice()}
}

func cname(owner, target string, ttl uint32) dns.RR {
	return &dns.CNAME{Hdr: header(owner, dns.TypeCNAME, ttl), Target: target}
}

// fits tells whether an address is what the question's type asks for.
func fits(qtype uint16, addr netip.Addr) bool {
	switch qtype {
	case dns.TypeA:
		return addr.Unmap().Is4()
	case dns.TypeAAAA:
		return !addr.Unmap().Is4()
	}
	return qtype == dns.TypeANY || qtype == dns.TypeTXT
}

// hexName is the name under which an address without a node can be looked up.
func hexName(addr netip.Addr, datacenter, domain string) string {
	return hex.EncodeToString(addr.Unmap().AsSlice()) + ".addr." + escape(datacenter) + "." + domain
}

func nodeName(node, datacenter, domain string) string {
	return escape(node) + ".node." + escape(datacenter) + "." + domain
}

// hostName is an address that is no IP address, as a domain name; "" if it cannot be one.
func hostName(address string) string {
	full := dns.Fqdn(address)
	if _, ok := dns.IsDomainName(full); !ok || address == "" || full == "." {
		return ""
	}
	return full
}

// notes makes TXT records of what is noted of a node: key=value, or the value alone for keys that say so.
func notes(owner string, meta map[string]string, ttl uint32) []dns.RR {
	var out []dns.RR
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		text := meta[k]
		if !strings.HasPrefix(strings.ToLower(k), "rfc1035-") {
			text = k + "=" + text
		}
		out = append(out, &dns.TXT{Hdr: header(owner, dns.TypeTXT, ttl), Txt: chunks(text)})
	}
	return out
}

// chunks cuts a text into strings of at most 255 bytes, in presentation form.
func chunks(text string) []string {
	out := []string{}
	for {
		n := min(len(text), 255)
		out = append(out, strings.ReplaceAll(text[:n], `\`, `\\`))
		if text = text[n:]; text == "" {
			return out
		}
	}
}
