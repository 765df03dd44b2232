package telemetry

import (
	"math"
	"sync"
	"sync/atomic"
)

// Counter counts events. Its methods may be called by many goroutines at once, and on nil, which does nothing.
type Counter struct {
	identity
	ones atomic.Uint64
	bulk bulk

	// Guarded by Registry.intervalMu: what was counted when the interval began, and the last finished interval.
	at   tally
	last tally
}

// bulk takes amounts other than one.
type bulk struct {
	mu sync.Mutex
	tally
}

// tally is a count of events, the sum of their amounts, and the sum of their squares.
type tally struct {
	count    uint64
	sum      float64
	squares  float64
	min, max float64
}

// Counter returns the counter of a name (dotted, without prefix) and labels, always the same one.
func (r *Registry) Counter(name string, labels ...Label) *Counter {
	if r == nil {
		return nil
	}
	return r.counters.get(identity{name, labels})
}

// Inc counts one event.
func (c *Counter) Inc() {
	if c != nil {
		c.ones.Add(1)
	}
}

// Add counts one event of the given amount. Amounts that are not above zero are ignored, as counters never fall.
func (c *Counter) Add(amount float64) {
	if c == nil || !(amount > 0) || math.IsInf(amount, 1) {
		return
	}
	if amount == 1 {
		c.ones.Add(1)
		return
	}
	b := &c.bulk
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.min == 0 || amount < b.min {
		b.min = amount
	}
	b.max = max(b.max, amount)
	b.count++
	b.sum += amount
	b.squares += amount * amount
}

// read returns all that was counted so far; its least and greatest amounts are those since the last reset.
func (c *Counter) read(reset bool) tally {
	c.bulk.mu.Lock()
	t := c.bulk.tally
	if reset {
		c.bulk.min, c.bulk.max = 0, 0
	}
	c.bulk.mu.Unlock()
	ones := c.ones.Load()
	t.count += ones
	t.sum += float64(ones)
	t.squares += float64(ones)
	return t
}

// since returns what t counted beyond an earlier reading of the same counter.
func (t tally) since(earlier tally) tally {
	d := tally{
		count:   t.count - earlier.count,
		sum:     t.sum - earlier.sum,
		squares: t.squares - earlier.squares,
		min:     t.min,
		max:     t.max,
	}
	if t.max == 0 { // nothing but ones
		d.min, d.max = 1, 1
	}
	return d
}

func (c *Counter) roll() {
	now := c.read(true)
	c.last, c.at = now.since(c.at), now
}
