package dnsserver

import (
	"strings"
	"time"
)

// Settings are what a reload may change. Start from Defaults. Consul's use_cache and cache_max_age have no part here:
// what is looked up is live, so a cache could only make it older.
type Settings struct {
	AllowStale bool          // answer from any server's state
	MaxStale   time.Duration // how old such an answer may be

	NodeTTL     time.Duration
	ServiceTTL  map[string]time.Duration // by name, "prefix*" or "*"
	OnlyPassing bool                     // leave out instances with warnings, too

	ARecordLimit       int  // most addresses in one answer; 0 is no limit
	UDPAnswerLimit     int  // most answers over UDP without EDNS; 0 is no limit
	EnableTruncate     bool // set TC where answers had to be left out
	DisableCompression bool
	NodeMetaTXT        bool // add what is noted of nodes as TXT records
	TranslateWANAddrs  bool // give WAN addresses for other datacenters

	SOA SOA

	Recursors       []string // host, host:port or [v6]:port, asked for names outside the domain
	RandomRecursor  bool     // in random order; else in the order given
	RecursorTimeout time.Duration

	Audit func(*Asked) // notes each question that was asked with a token; nil notes none
}

// Asked is a question that has been answered.
type Asked struct {
	Token string // on whose behalf
	Name  string
	Type  string
	Rcode string // of the answer
	From  string // the asker's address
}

// SOA are the zone's times, in seconds.
type SOA struct{ Refresh, Retry, Expire, MinTTL uint32 }

// Defaults are Consul's.
func Defaults() Settings {
	return Settings{
		AllowStale:      true,
		MaxStale:        87600 * time.Hour,
		UDPAnswerLimit:  3,
		NodeMetaTXT:     true,
		SOA:             SOA{Refresh: 3600, Retry: 600, Expire: 86400},
		RecursorTimeout: 2 * time.Second,
	}
}

// serviceTTL finds the most specific TTL for a service: its own, that of the longest prefix, or that of all.
func (s *Settings) serviceTTL(name string) uint32 {
	if ttl, ok := s.ServiceTTL[name]; ok {
		return seconds(ttl)
	}
	best, found := -1, time.Duration(0)
	for pattern, ttl := range s.ServiceTTL {
		prefix, ok := strings.CutSuffix(pattern, "*")
		if ok && len(prefix) > best && strings.HasPrefix(name, prefix) {
			best, found = len(prefix), ttl
		}
	}
	return seconds(found)
}

func (s *Settings) nodeTTL() uint32 { return seconds(s.NodeTTL) }

func seconds(d time.Duration) uint32 { return uint32(max(d, 0) / time.Second) }

// packable tells whether answers may be kept in packed form: not if each read has to be as fresh as a bound asks, nor
// where names are written out in the case of the question.
func (s *Settings) packable() bool {
	return s.AllowStale && s.MaxStale >= time.Hour && !s.DisableCompression
}
