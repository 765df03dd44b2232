package config

import (
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr/template"
)

// DNS is how names are answered.
type DNS struct {
	Domain    string    `config:"domain" debug:"DNSDomain"`        // domain of all names; with a dot at its end after Load
	AltDomain string    `config:"alt_domain" debug:"DNSAltDomain"` // second domain of all names; with a dot at its end after Load
	Recursors []string  `config:"recursors" debug:"DNSRecursors"`  // servers that are asked for names outside the domain; with their ports after Load
	Config    DNSConfig `config:"dns_config"`
}

// DNSConfig tunes the answers.
type DNSConfig struct {
	AllowStale         bool                     `config:"allow_stale" debug:"DNSAllowStale"`                      // let any server answer
	ARecordLimit       int                      `config:"a_record_limit" debug:"DNSARecordLimit"`                 // address records in an answer at most; 0 means all
	DisableCompression bool                     `config:"disable_compression" debug:"DNSDisableCompression"`      // do not shorten names in answers
	EnableTruncate     bool                     `config:"enable_truncate" debug:"DNSEnableTruncate"`              // mark answers that leave something out as truncated
	MaxStale           time.Duration            `config:"max_stale" debug:"DNSMaxStale"`                          // how stale an answer may be before the leader is asked
	NodeTTL            time.Duration            `config:"node_ttl" debug:"DNSNodeTTL"`                            // TTL of answers about nodes
	OnlyPassing        bool                     `config:"only_passing" debug:"DNSOnlyPassing"`                    // leave out instances with a warning, too
	RecursorStrategy   string                   `config:"recursor_strategy" debug:"DNSRecursorStrategy"`          // order in which recursors are asked: sequential or random
	RecursorTimeout    time.Duration            `config:"recursor_timeout" debug:"DNSRecursorTimeout"`            // how long a recursor may take
	ServiceTTL         map[string]time.Duration `config:"service_ttl" debug:"DNSServiceTTL"`                      // TTL of answers by service; a name may end in *
	UDPAnswerLimit     int                      `config:"udp_answer_limit" debug:"DNSUDPAnswerLimit"`             // records in an answer over UDP at most
	NodeMetaTXT        bool                     `config:"enable_additional_node_meta_txt" debug:"DNSNodeMetaTXT"` // add node_meta as TXT records
	SOA                SOA                      `config:"soa" debug:"DNSSOA"`
	UseCache           bool                     `config:"use_cache" debug:"DNSUseCache"`        // answer from the agent's cache
	CacheMaxAge        time.Duration            `config:"cache_max_age" debug:"DNSCacheMaxAge"` // how old a cached answer may be
	PreferNamespace    bool                     `config:"prefer_namespace"`                     // accepted; there are no namespaces
}

// SOA is the start-of-authority record, in seconds.
type SOA struct {
	Refresh uint32 `config:"refresh" debug:"Refresh"` // seconds until a secondary asks again
	Retry   uint32 `config:"retry" debug:"Retry"`     // seconds until a secondary asks again after a failure
	Expire  uint32 `config:"expire" debug:"Expire"`   // seconds until a secondary gives up
	MinTTL  uint32 `config:"min_ttl" debug:"Minttl"`  // seconds that a missing name may be cached
}

func defaultDNS() DNS {
	return DNS{
		Domain: "consul.",
		Config: DNSConfig{
			AllowStale: true, MaxStale: 10 * 365 * day, RecursorStrategy: "sequential", RecursorTimeout: 2 * time.Second,
			UDPAnswerLimit: 3, NodeMetaTXT: true, SOA: SOA{Refresh: 3600, Retry: 600, Expire: 86400},
		},
	}
}

func (d *DNS) check(r *report) {
	d.Domain = domain(r, "domain", d.Domain)
	if d.AltDomain != "" {
		d.AltDomain = domain(r, "alt_domain", d.AltDomain)
	}
	var all []string
	for _, text := range d.Recursors {
		if address, ok := recursor(r, text); ok {
			all = append(all, address)
		}
	}
	d.Recursors = all
	d.Config.check(r)
}

func (c *DNSConfig) check(r *report) {
	atLeast(r, "dns_config.a_record_limit", c.ARecordLimit, 0)
	atLeast(r, "dns_config.udp_answer_limit", c.UDPAnswerLimit, 0)
	r.notNegative("dns_config.max_stale", c.MaxStale)
	r.notNegative("dns_config.node_ttl", c.NodeTTL)
	r.notNegative("dns_config.cache_max_age", c.CacheMaxAge)
	r.notNegative("dns_config.recursor_timeout", c.RecursorTimeout)
	r.oneOf("dns_config.recursor_strategy", c.RecursorStrategy, "sequential", "random")
	for name, ttl := range c.ServiceTTL {
		r.notNegative("dns_config.service_ttl."+name, ttl)
	}
}

// domain checks the name of a domain and writes it in lower case, with a dot at its end.
func domain(r *report, key, name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	r.matches(key, name, `^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*$`, "a domain such as \"consul\"")
	return name + "."
}

// hostName is the form of a recursor that is not an address.
const hostName = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`

// recursor completes the address of a recursor with the port of DNS.
func recursor(r *report, text string) (string, bool) {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "{{") {
		out, err := template.Parse(text)
		if err != nil || out == "" {
			r.refuse("recursors", "the template %q gives no address on this host", text)
			return "", false
		}
		text = out
	}
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), true
	}
	if _, err := netip.ParseAddrPort(text); err == nil {
		return text, true
	}
	host, port, found := strings.Cut(text, ":")
	if !found {
		port = "53"
	}
	hostOK, _ := regexp.MatchString(hostName, host)
	portOK, _ := regexp.MatchString(`^[1-9][0-9]{0,4}$`, port)
	digits, _ := regexp.MatchString(`^[0-9.]+$`, host)
	if !hostOK || !portOK || digits {
		r.refuse("recursors", "holds %q, which is not an address such as \"10.0.0.2\" or \"10.0.0.2:53\"", text)
		return "", false
	}
	return host + ":" + port, true
}
