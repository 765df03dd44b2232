package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lictor/kvreplication"
)

// Replicate is keys of other datacenters that are copied into this one, one way, by the server that leads (Lictor's own). A section
// kv_replication is one datacenter; all servers should have the same sections. On reload what has changed begins anew, and what has not goes on.
type Replicate struct {
	KV []KVReplication `config:"kv_replication" debug:"KVReplication"` // datacenters to copy from
}

// KVReplication is a datacenter from which keys are copied.
type KVReplication struct {
	Datacenter string             `config:"datacenter" debug:"Datacenter"`                    // datacenter to copy from
	Token      string             `config:"token" debug:"Token,secret"`                       // token for reading there, with key_prefix:read on each source, or list where acl.enable_key_list_policy asks for that; "" is the anonymous one
	WriteToken string             `config:"write_token" debug:"WriteToken,secret"`            // token for writing here, with key_prefix:write on each destination; "" is the anonymous one
	Prefixes   []ReplicatedPrefix `config:"prefix" debug:"Prefixes"`                          // what is copied
	MaxKeys    *int               `config:"max_keys_per_second" debug:"MaxKeysPerSecond"`     // keys written in a second, of all prefixes together; by default 10000, 0 is no limit
	MaxBytes   *int               `config:"max_bytes_per_second" debug:"MaxBytesPerSecond"`   // bytes written in a second, of all prefixes together; by default 16777216, 0 is no limit
	Compare    *time.Duration     `config:"full_comparison_interval" debug:"CompareInterval"` // from one comparison of all keys with the source to the next, which undoes what others wrote; by default 24h, 0s compares only when it must
}

// ReplicatedPrefix is keys that are copied.
type ReplicatedPrefix struct {
	Source      string   `config:"source" debug:"Source"`           // what the keys begin with there; "" is all keys
	Destination *string  `config:"destination" debug:"Destination"` // what they begin with here, in its place; by default the same
	Exclude     []string `config:"exclude" debug:"Exclude"`         // what keys there begin with that are not copied, and whose counterparts are left alone
}

// The defaults of the elements of kv_replication.
const (
	replicatedKeys    = 10000
	replicatedBytes   = 16 << 20
	replicatedCompare = day
)

// Feeds are what is to be copied, as it was checked.
func (p *Replicate) Feeds() []kvreplication.Feed {
	var feeds []kvreplication.Feed
	for i := range p.KV {
		feeds = append(feeds, p.KV[i].feed())
	}
	return feeds
}

// Secret tells whether there are tokens.
func (p *Replicate) Secret() bool {
	return slices.ContainsFunc(p.KV, func(k KVReplication) bool { return k.Token != "" || k.WriteToken != "" })
}

func (k *KVReplication) feed() kvreplication.Feed {
	f := kvreplication.Feed{Token: k.Token, WriteToken: k.WriteToken, MaxKeys: *k.MaxKeys, MaxBytes: *k.MaxBytes, Compare: *k.Compare}
	for _, p := range k.Prefixes {
		f.Rules = append(f.Rules, kvreplication.Rule{Datacenter: k.Datacenter, Source: p.Source, Destination: *p.Destination, Exclude: p.Exclude})
	}
	return f
}

// check refuses what cannot be copied, and fills in defaults.
func (p *Replicate) check(r *report, c *Config) {
	if len(p.KV) > 0 && !c.Server.Server {
		r.refuse("kv_replication", "is for servers only: it is the one that leads that copies keys")
	}
	type placed struct {
		kvreplication.Rule
		key string
	}
	var rules []placed
	for i := range p.KV {
		k, key := &p.KV[i], fmt.Sprintf("kv_replication[%d]", i)
		k.check(r, key, c.Node.Datacenter)
		for n, rule := range k.feed().Rules {
			at := fmt.Sprintf("%s.prefix[%d]", key, n)
			for _, other := range rules {
				if kvreplication.Collide(&other.Rule, &rule) {
					r.refuse(at+".destination", "is %q, but must not overlap with that of %s, %q: a key can have one source only", rule.Destination, other.key, other.Destination)
				}
			}
			rules = append(rules, placed{rule, at})
		}
	}
}

func (k *KVReplication) check(r *report, key, home string) {
	k.Datacenter = strings.ToLower(k.Datacenter)
	r.matches(key+".datacenter", k.Datacenter, `^[a-z0-9_-]{1,64}$`, "1 to 64 letters, digits, dashes and underscores")
	if k.Datacenter == home {
		r.refuse(key+".datacenter", "is %q, but must be another datacenter than this agent's own", home)
	}
	if len(k.Prefixes) == 0 {
		r.refuse(key+".prefix", "is missing: it says what is copied, such as prefix { source = \"global/\" }")
	}
	complete(&k.MaxKeys, replicatedKeys)
	complete(&k.MaxBytes, replicatedBytes)
	complete(&k.Compare, replicatedCompare)
	atLeast(r, key+".max_keys_per_second", *k.MaxKeys, 0)
	atLeast(r, key+".max_bytes_per_second", *k.MaxBytes, 0)
	if *k.Compare != 0 && *k.Compare < time.Minute {
		r.refuse(key+".full_comparison_interval", "is %s, but must be 0s, or 1m or more", *k.Compare)
	}
	for i := range k.Prefixes {
		k.Prefixes[i].check(r, fmt.Sprintf("%s.prefix[%d]", key, i))
	}
}

// complete sets what is not set.
func complete[T any](to **T, value T) {
	if *to == nil {
		*to = &value
	}
}

func (p *ReplicatedPrefix) check(r *report, key string) {
	complete(&p.Destination, p.Source)
	whole := func(name, prefix string) {
		if strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "\x00") {
			r.refuse(key+"."+name, "is %q, but must not begin with a slash, as no key does, nor hold a zero byte", prefix)
		}
	}
	whole("source", p.Source)
	whole("destination", *p.Destination)
	var below []string
	for i, e := range p.Exclude {
		switch {
		case !strings.HasPrefix(e, p.Source):
			r.refuse(fmt.Sprintf("%s.exclude[%d]", key, i), "is %q, but must begin with source, %q", e, p.Source)
		case e == p.Source:
			r.refuse(fmt.Sprintf("%s.exclude[%d]", key, i), "is %q, which is source itself: nothing would be copied", e)
		default:
			below = append(below, e)
		}
	}
	p.Exclude = below
}
