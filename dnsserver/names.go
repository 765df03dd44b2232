package dnsserver

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// A form is what kind of thing a name asks for.
type form uint8

const (
	outside form = iota // not in our domains
	unknown             // in our domains, and nothing
	nodeForm
	serviceForm
	connectForm
	ingressForm
	virtualForm
	queryForm
	addressForm
	reverseForm
)

// keywords are the labels that say what the labels before them name.
func keyword(label string) (form, bool) {
	switch label {
	case "node":
		return nodeForm, true
	case "service":
		return serviceForm, true
	case "connect":
		return connectForm, true
	case "ingress":
		return ingressForm, true
	case "virtual":
		return virtualForm, true
	case "query":
		return queryForm, true
	case "addr":
		return addressForm, true
	}
	return unknown, false
}

// A name is a parsed question name, in lower case.
type name struct {
	form       form
	domain     string // the zone, such as "consul."
	target     string // of a node, service or prepared query
	tag        string
	datacenter string // "" is our own
	peer       string
	addr       netip.Addr
}

// parse reads a fully qualified name in presentation form. Domains are fully qualified and in lower case; the longest
// that fits counts.
func parse(full string, domains []string) name {
	full = strings.ToLower(full)
	if addr, ok := reverse(full); ok {
		return name{form: reverseForm, domain: domains[0], addr: addr}
	}
	domain := zone(full, domains)
	if domain == "" {
		return name{form: outside}
	}
	labels := dns.SplitDomainName(full)
	labels = labels[:len(labels)-dns.CountLabel(domain)]
	for i, l := range labels {
		labels[i] = unescape(l)
	}
	n := within(labels)
	n.domain = domain
	return n
}

// zone finds the domain that a name in lower case is in; "" if there is none.
func zone(full string, domains []string) string {
	best := ""
	for _, d := range domains {
		if len(d) > len(best) && dns.IsSubDomain(d, full) {
			best = d
		}
	}
	return best
}

// within parses the labels in front of the domain: the last keyword parts the name from where it is looked up.
func within(labels []string) name {
	for i := len(labels) - 1; i >= 0; i-- {
		if f, ok := keyword(labels[i]); ok {
			return place(what(f, labels[:i]), labels[i+1:])
		}
		if i > 0 && strings.HasPrefix(labels[i], "_") { // _service._tag without a keyword
			return place(what(serviceForm, labels[:i+1]), labels[i+1:])
		}
	}
	return name{form: unknown}
}

// what parses the labels in front of a keyword.
func what(f form, labels []string) name {
	if len(labels) == 0 {
		return name{form: unknown}
	}
	last := labels[len(labels)-1]
	switch f {
	case nodeForm, queryForm:
		if service, _, ok := rfc2782(labels); ok && f == queryForm {
			return name{form: f, target: service}
		}
		return name{form: f, target: strings.Join(labels, ".")}
	case virtualForm, addressForm:
		if len(labels) > 1 {
			return name{form: unknown}
		}
		if f == addressForm {
			return address(last)
		}
		return name{form: f, target: last}
	}
	if service, tag, ok := rfc2782(labels); ok {
		return name{form: f, target: service, tag: tag}
	}
	return name{form: f, target: last, tag: strings.Join(labels[:len(labels)-1], ".")}
}

// rfc2782 reads _service._tag, where the tag tcp stands for none.
func rfc2782(labels []string) (service, tag string, ok bool) {
	if len(labels) != 2 || !strings.HasPrefix(labels[0], "_") || !strings.HasPrefix(labels[1], "_") {
		return "", "", false
	}
	service, tag = labels[0][1:], labels[1][1:]
	if tag == "tcp" {
		tag = ""
	}
	return service, tag, service != ""
}

// address reads the hexadecimal form of an address, as the targets of SRV records have it.
func address(label string) name {
	b, err := hex.DecodeString(label)
	if err != nil {
		return name{form: unknown}
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return name{form: unknown}
	}
	return name{form: addressForm, addr: addr}
}

// place adds where to look: a lone datacenter (or peer, of virtual addresses), or pairs of a name and what it is.
// Namespaces and partitions other than the default ones, and sameness groups, do not exist in this edition.
func place(n name, labels []string) name {
	if n.form == unknown {
		return n
	}
	if len(labels) == 1 {
		if n.form == virtualForm {
			n.peer = labels[0]
		} else {
			n.datacenter = labels[0]
		}
		return n
	}
	if len(labels)%2 != 0 {
		return name{form: unknown}
	}
	for ; len(labels) > 0; labels = labels[2:] {
		switch value := labels[0]; labels[1] {
		case "dc":
			n.datacenter = value
		case "peer":
			n.peer = value
		case "ns", "ap":
			if value != "default" {
				return name{form: unknown}
			}
		default:
			return name{form: unknown}
		}
	}
	return n
}

// reverse reads the name of an address below in-addr.arpa or ip6.arpa.
func reverse(full string) (netip.Addr, bool) {
	if front, ok := strings.CutSuffix(full, ".in-addr.arpa."); ok {
		parts := strings.Split(front, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return addr, err == nil
	}
	front, ok := strings.CutSuffix(full, ".ip6.arpa.")
	if !ok || len(front) != 63 {
		return netip.Addr{}, false
	}
	digits := make([]byte, 0, 32)
	for i := 62; i >= 0; i -= 2 {
		if i > 0 && front[i-1] != '.' {
			return netip.Addr{}, false
		}
		digits = append(digits, front[i])
	}
	var b [16]byte
	if _, err := hex.Decode(b[:], digits); err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(b), true
}

// unescape turns a label from presentation form into what it says.
func unescape(label string) string {
	if !strings.Contains(label, `\`) {
		return label
	}
	var b strings.Builder
	for i := 0; i < len(label); i++ {
		c := label[i]
		if c == '\\' && i+3 < len(label) && digit(label[i+1]) && digit(label[i+2]) && digit(label[i+3]) {
			c = (label[i+1]-'0')*100 + (label[i+2]-'0')*10 + label[i+3] - '0'
			i += 3
		} else if c == '\\' && i+1 < len(label) {
			i++
			c = label[i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// escape is the presentation form of a name that may hold any bytes; its dots stay what they are.
func escape(s string) string {
	plain := func(c byte) bool {
		return c == '-' || c == '_' || c == '.' || digit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		}
	}
	return b.String()
}
