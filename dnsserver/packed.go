package dnsserver

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lictor/acl"
)

const (
	// variants is how many orders of one answer are kept.
	variants = 8
	// variantUses is after how many answers one of the orders is replaced by a new one.
	variantUses = 32
	// packedFor bounds how long an answer is kept although nothing has changed: a client agent, which is not told when
	// rights end, looks again then at what the token may see, and the zone's serial number moves.
	packedFor = time.Second
)

// A packed is the answer to all queries with one key, in several orders, for as long as it holds.
type packed struct {
	reply    *reply
	query    query
	settings *Settings
	token    string
	rights   acl.Authorizer // those of the token; nil if it has none
	until    time.Time
	cost     int
	negative bool
	used     atomic.Bool
	uses     atomic.Uint32
	orders   [variants]atomic.Pointer[[]byte]
}

// holds tells whether the answer may still be given.
func (p *packed) holds(settings *Settings, token string, now time.Time) bool {
	return p.settings == settings && now.Before(p.until) && p.token == token && acl.Fresh(p.rights) && p.reply.fresh()
}

// take chooses one of the orders, and makes a new one now and then.
func (p *packed) take() []byte {
	if !p.used.Load() {
		p.used.Store(true)
	}
	if len(p.reply.units) < 2 {
		return *p.orders[0].Load()
	}
	n := p.uses.Add(1)
	if n < variants {
		return p.reorder(int(n))
	}
	if n%variantUses == 0 {
		return p.reorder(int(n / variantUses % variants))
	}
	if b := p.orders[rand.Uint32N(variants)].Load(); b != nil {
		return *b
	}
	return *p.orders[0].Load()
}

// reorder packs the answer in a new order.
func (p *packed) reorder(i int) []byte {
	b, err := p.reply.pack(&p.query, p.settings)
	if err != nil { // it went well before
		return *p.orders[0].Load()
	}
	p.orders[i].Store(&b)
	return b
}

const shards = 16

// An answerCache keeps packed answers, bounded in number and bytes. Negative ones have a small share of their own, so
// that made-up names push out nothing but each other.
type answerCache struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.Mutex // guards what follows
	positive pool
	negative pool
	_        [32]byte // keeps the shards' locks on cache lines of their own
}

// A pool is a part of a shard with bounds of its own.
type pool struct {
	answers         map[string]*packed
	bytes           int
	limit, maxBytes int
}

// newAnswerCache makes a cache of at most so many answers and bytes. A quarter of either is for negative answers.
func newAnswerCache(limit, maxBytes int) *answerCache {
	c := &answerCache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.positive = pool{map[string]*packed{}, 0, limit * 3 / 4 / shards, maxBytes * 3 / 4 / shards}
		s.negative = pool{map[string]*packed{}, 0, limit / 4 / shards, maxBytes / 4 / shards}
	}
	return c
}

func (c *answerCache) shard(key []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, key)%shards]
}

// find returns the answer with this key, or nil.
func (c *answerCache) find(key []byte) *packed {
	s := c.shard(key)
	s.mu.Lock()
	p := s.positive.answers[string(key)]
	if p == nil {
		p = s.negative.answers[string(key)]
	}
	s.mu.Unlock()
	return p
}

// put keeps an answer in place of the one with the same key.
func (c *answerCache) put(key []byte, p *packed) {
	first := *p.orders[0].Load()
	p.cost = 512 + 2*len(key) + min(len(p.reply.units), variants)*len(first) + 384*len(p.reply.units)
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.positive.drop(string(key))
	s.negative.drop(string(key))
	if p.negative {
		s.negative.add(string(key), p)
	} else {
		s.positive.add(string(key), p)
	}
}

func (l *pool) drop(key string) {
	if old := l.answers[key]; old != nil {
		l.bytes -= old.cost
		delete(l.answers, key)
	}
}

func (l *pool) add(key string, p *packed) {
	if p.cost > l.maxBytes {
		return
	}
	for len(l.answers) >= l.limit || l.bytes+p.cost > l.maxBytes {
		l.evict()
	}
	l.answers[key] = p
	l.bytes += p.cost
}

// evict drops an answer that has not been used since eviction last came by; maps are walked from a random place.
func (l *pool) evict() {
	victim, looked := "", 0
	for key, p := range l.answers {
		if victim == "" || !p.used.Load() {
			victim = key
		}
		if !p.used.Swap(false) {
			break
		}
		if looked++; looked == 16 {
			break
		}
	}
	l.drop(victim)
}

// size counts the answers and their bytes.
func (c *answerCache) size() (n, negative, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.positive.answers)
		negative += len(s.negative.answers)
		bytes += s.positive.bytes + s.negative.bytes
		s.mu.Unlock()
	}
	return n, negative, bytes
}
