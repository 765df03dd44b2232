// Package pace bounds how many reads and writes there may be in a second, altogether and from each source, and has the
// rest between two attempts. It knows nothing of what is read or written, or of what becomes of those that are too many.
package pace

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates are bounds, a second; 0 or less is none.
type Rates struct {
	Read, Write             float64 // altogether
	SourceRead, SourceWrite float64 // of each source
}

// A Pace keeps to its rates. It may be used by several goroutines. Its bounds let a second's worth come at once.
type Pace struct {
	rates        Rates
	read, write  *rate.Limiter // nil is no bound
	mu           sync.Mutex    // guards what follows
	reads        map[string]*source
	writes       map[string]*source
	lastForgiven time.Time
}

// A source is what one has used of its bounds.
type source struct {
	limiter *rate.Limiter
	seen    time.Time
}

// most bounds the sources that are remembered. Those that come when there are so many share one.
const (
	most    = 10_000
	forget  = time.Minute // how long a source is remembered
	crowded = ""          // the source that all others share
)

// New makes a Pace.
func New(r Rates) *Pace {
	return &Pace{rates: r, read: limiter(r.Read), write: limiter(r.Write), reads: map[string]*source{}, writes: map[string]*source{}}
}

func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(int(perSecond), 1))
}

// Allow tells whether one more is within the bounds. What a source is refused does not count for the others.
func (p *Pace) Allow(read bool, from string) bool {
	all, each, known := p.write, p.rates.SourceWrite, p.writes
	if read {
		all, each, known = p.read, p.rates.SourceRead, p.reads
	}
	if each > 0 && !p.of(known, from, each).Allow() {
		return false
	}
	return all == nil || all.Allow()
}

// of is the bound of one source.
func (p *Pace) of(known map[string]*source, from string, each float64) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := known[from]
	if s == nil && len(known) >= most {
		p.forgive(now)
		if len(known) >= most {
			from = crowded
			s = known[from]
		}
	}
	if s == nil {
		s = &source{limiter: limiter(each)}
		known[from] = s
	}
	s.seen = now
	return s.limiter
}

// forgive forgets sources that have not been seen for a while, now and then. The caller holds mu.
func (p *Pace) forgive(now time.Time) {
	if now.Sub(p.lastForgiven) < time.Second {
		return
	}
	p.lastForgiven = now
	for _, known := range []map[string]*source{p.reads, p.writes} {
		for from, s := range known {
			if now.Sub(s.seen) > forget {
				delete(known, from)
			}
		}
	}
}
