package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/go-sockaddr/template"
)

// A resolver turns the address keys of a configuration into Endpoints.
type resolver struct {
	report     *report
	interfaces func() ([]net.Addr, error)
}

// resolve evaluates all templates, applies the defaults between addresses and fills in the Endpoints. The keys
// themselves hold what their templates gave.
func (s *resolver) resolve(n *Network, server bool) {
	before := len(s.report.problems)
	e := &n.Endpoints
	e.Bind = s.one("bind_addr", &n.Bind)
	e.Client = s.several("client_addr", &n.Client)
	if e.Bind.IsValid() {
		s.advertise(n)
	}
	s.pools(n)
	for _, c := range []struct {
		key  string
		text *string
		port int
		to   *[]Listen
	}{
		{"addresses.dns", &n.Addresses.DNS, n.Ports.DNS, &e.DNS},
		{"addresses.http", &n.Addresses.HTTP, n.Ports.HTTP, &e.HTTP},
		{"addresses.https", &n.Addresses.HTTPS, n.Ports.HTTPS, &e.HTTPS},
		{"addresses.grpc", &n.Addresses.GRPC, n.Ports.GRPC, &e.GRPC},
		{"addresses.grpc_tls", &n.Addresses.GRPCTLS, n.Ports.GRPCTLS, &e.GRPCTLS},
	} {
		*c.to = s.listens(c.key, c.text, c.port, e.Client)
	}
	if len(s.report.problems) > before {
		return
	}
	e.assemble(&n.Ports, server)
	e.tag(n)
	e.collide(s.report, server)
}

// advertise finds the addresses that others are told.
func (s *resolver) advertise(n *Network) {
	e := &n.Endpoints
	for _, key := range []struct {
		name string
		text *string
	}{
		{"advertise_addr_ipv4", &n.AdvertiseV4}, {"advertise_addr_ipv6", &n.AdvertiseV6},
		{"advertise_addr_wan_ipv4", &n.AdvertiseWANV4}, {"advertise_addr_wan_ipv6", &n.AdvertiseWANV6},
	} {
		if *key.text == "" {
			continue
		}
		addr := s.told(key.name, key.text)
		if addr.IsValid() && addr.Is4() != strings.HasSuffix(key.name, "4") {
			s.report.refuse(key.name, "is %s, which is of the other IP version", addr)
		}
	}
	family := []string{n.AdvertiseV4, n.AdvertiseV6}
	if !e.Bind.Is4() {
		family = []string{n.AdvertiseV6, n.AdvertiseV4}
	}
	switch {
	case n.Advertise != "":
		e.Advertise = s.told("advertise_addr", &n.Advertise)
	case family[0] != "" || family[1] != "":
		e.Advertise = first(family...)
	case !e.Bind.IsUnspecified():
		e.Advertise = e.Bind
	default:
		e.Advertise = s.detect(e.Bind.Is4())
	}
	e.AdvertiseWAN = e.Advertise
	if n.AdvertiseWAN != "" {
		e.AdvertiseWAN = s.told("advertise_addr_wan", &n.AdvertiseWAN)
	} else if wan := first(n.AdvertiseWANV4, n.AdvertiseWANV6); wan.IsValid() {
		e.AdvertiseWAN = wan
	}
}

// first is the first of the texts that is an address.
func first(texts ...string) netip.Addr {
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			return addr
		}
	}
	return netip.Addr{}
}

// pools finds the addresses that gossip listens on. The ports are put in later.
func (s *resolver) pools(n *Network) {
	for _, pool := range []struct {
		key  string
		text *string
		to   *netip.AddrPort
	}{
		{"serf_lan", &n.SerfLAN, &n.Endpoints.SerfBindLAN}, {"serf_wan", &n.SerfWAN, &n.Endpoints.SerfBindWAN},
	} {
		addr := n.Endpoints.Bind
		if *pool.text != "" {
			addr = s.one(pool.key, pool.text)
		}
		*pool.to = netip.AddrPortFrom(addr, 0)
	}
}

// told is an address that others can reach.
func (s *resolver) told(key string, text *string) netip.Addr {
	addr := s.one(key, text)
	if addr.IsValid() && addr.IsUnspecified() {
		s.report.refuse(key, "is %s, which no other agent can reach: set the address of one interface", addr)
		return netip.Addr{}
	}
	return addr
}

// one resolves a key that must give exactly one IP address.
func (s *resolver) one(key string, text *string) netip.Addr {
	all := s.several(key, text)
	if len(all) > 1 {
		s.report.refuse(key, "gives several addresses (%s), but must give one", *text)
	}
	if len(all) != 1 {
		return netip.Addr{}
	}
	return all[0]
}

// several resolves a key that gives one or more IP addresses.
func (s *resolver) several(key string, text *string) []netip.Addr {
	words := s.expand(key, text)
	var all []netip.Addr
	for _, word := range words {
		addr, err := netip.ParseAddr(strings.Trim(word, "[]"))
		if err != nil {
			s.report.refuse(key, "holds %q, which is not an IP address", word)
			return nil
		}
		all = append(all, addr.Unmap())
	}
	return all
}

// expand evaluates the templates of a key and splits what they give at blanks.
func (s *resolver) expand(key string, text *string) []string {
	if strings.Contains(*text, "{{") {
		out, err := template.Parse(*text)
		if err != nil {
			s.report.refuse(key, "the template %q does not work: %v", *text, err)
			return nil
		}
		if strings.TrimSpace(out) == "" {
			s.report.refuse(key, "the template %q gives no address on this host", *text)
			return nil
		}
		*text = strings.Join(strings.Fields(out), " ")
	}
	words := strings.Fields(*text)
	if len(words) == 0 {
		s.report.refuse(key, "must not be empty")
	}
	return words
}

// listens gives the listeners of one service: Unix sockets always, others if the port is on.
func (s *resolver) listens(key string, text *string, port int, client []netip.Addr) []Listen {
	var all []Listen
	var addrs []netip.Addr
	if *text == "" {
		addrs = client
	} else {
		for _, word := range s.expand(key, text) {
			if path, ok := strings.CutPrefix(word, "unix://"); ok {
				if key == "addresses.dns" || path == "" {
					s.report.refuse(key, "%q cannot be used: an IP address is wanted", word)
				}
				all = append(all, Listen{Network: "unix", Address: path})
				continue
			}
			addrs = append(addrs, s.several(key, &word)...)
		}
	}
	if port <= 0 {
		return all
	}
	for _, addr := range addrs {
		all = append(all, Listen{Network: "tcp", Address: net.JoinHostPort(addr.String(), strconv.Itoa(port))})
	}
	return all
}

// detect finds the address of this host that others reach: its only private IPv4 address or, failing that, its only
// other one; with IPv6 its only global one. A host without any is on its own, and loopback will do.
func (s *resolver) detect(v4 bool) netip.Addr {
	loopback := netip.IPv6Loopback()
	if v4 {
		loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	addrs, err := s.interfaces()
	if err != nil {
		s.report.refuse("advertise_addr", "must be set: the addresses of this host cannot be found: %v", err)
		return loopback
	}
	candidates := pick(addrs, v4)
	switch {
	case len(candidates) == 1:
		return candidates[0]
	case len(candidates) == 0:
		s.report.warn("this host has no address that others could reach: advertise_addr is %s", loopback)
		return loopback
	}
	names := make([]string, len(candidates))
	for i, addr := range candidates {
		names[i] = addr.String()
	}
	s.report.refuse("advertise_addr", "must be set (or bind_addr): this host has several addresses: %s", strings.Join(names, ", "))
	return loopback
}

// pick chooses the addresses of one IP version among which an agent may advertise one.
func pick(addrs []net.Addr, v4 bool) []netip.Addr {
	var better, others []netip.Addr
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		addr := prefix.Addr().Unmap()
		if addr.Is4() != v4 || !addr.IsGlobalUnicast() {
			continue
		}
		if addr.IsPrivate() == v4 {
			better = append(better, addr)
		} else {
			others = append(others, addr)
		}
	}
	if len(better) > 0 {
		return better
	}
	return others
}
