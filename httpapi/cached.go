package httpapi

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
)

// maxCachedMarks bounds how many answers are remembered to have been asked for with ?cached.
const maxCachedMarks = 8192

// cachedMarks remembers which answers clients have asked for with ?cached. Every answer comes from a live view, which is
// never older than what a cache would give, and on an agent without the state ?cached saves asking the servers; clients of Consul only expect to be told whether theirs was a hit.
type cachedMarks struct {
	mu    sync.Mutex // guards what follows
	seed  maphash.Seed
	asked map[uint64]bool // by hash, because clients choose how large the arguments are
}

// note adds the headers of a cached answer, if the request asks for one.
func (c *cachedMarks) note(w http.ResponseWriter, r *http.Request, key any) {
	if !asksCached(r) {
		return
	}
	h := w.Header()
	if c.mark(key) && !asksFresh(r) {
		h["X-Cache"] = []string{"HIT"}
		h["Age"] = zero
		return
	}
	h["X-Cache"] = []string{"MISS"}
}

// asksCached tells whether a request takes an answer from a cache, and asksFresh whether it wants a new one all the same.
func asksCached(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "cached") && parameters(r).Has("cached")
}

func asksFresh(r *http.Request) bool {
	control := r.Header.Get("Cache-Control")
	return strings.Contains(control, "max-age=0") || strings.Contains(control, "must-revalidate")
}

// mark tells whether the answer was asked for before.
func (c *cachedMarks) mark(key any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.seed = maphash.MakeSeed()
	}
	if c.asked == nil || len(c.asked) >= maxCachedMarks {
		c.asked = map[uint64]bool{}
	}
	hash := maphash.Comparable(c.seed, key)
	was := c.asked[hash]
	c.asked[hash] = true
	return was
}
