// Package expiry ends things in time: a queue of deadlines that one goroutine, on the leader, carries out. It works in
// memory alone, and knows nothing of what ends.
package expiry

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// A Queue holds the deadlines of things that have names. New makes one.
type Queue struct {
	work Work
	wake chan struct{} // holds one token if the first deadline is nearer than it was

	mu     sync.Mutex // guards what follows
	timers map[string]*timer
	order  deadlines
}

// Work is what a queue is for.
type Work struct {
	// Load sets deadlines for what has none yet. It is called when the queue begins to run, and now and then.
	Load func()
	// Due tells whether something whose deadline is over is to end. It may set another deadline for it.
	Due func(Item) bool
	// End ends things, at most MaxBatch at once, and returns an error if they have to be tried again.
	End func(context.Context, []Item) error
}

// An Item is something that has a deadline. Version tells one life of a name from another.
type Item struct {
	Name    string
	Version uint64
}

// A timer is the deadline of one item. One that is out of the order is being acted on.
type timer struct {
	Item
	at    time.Time
	place int // in the order; -1 if it is not there
}

const (
	retryEnd = time.Second      // after an attempt to end something has failed
	rescan   = 10 * time.Second // after which is found what came otherwise than through Set
	// MaxBatch is how many items end at once.
	MaxBatch = 1024
)

// New makes a Queue that does nothing until Run.
func New(w Work) *Queue { return &Queue{work: w, wake: make(chan struct{}, 1)} }

// Run ends things from now on until ctx is done, which it blocks for. It begins without deadlines.
func (q *Queue) Run(ctx context.Context) {
	q.mu.Lock()
	q.timers, q.order = map[string]*timer{}, nil
	q.mu.Unlock()
	defer q.stop()
	q.work.Load()
	look := time.NewTicker(rescan)
	defer look.Stop()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		alarm.Reset(q.next())
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-look.C:
			q.work.Load()
		case <-alarm.C:
			q.end(ctx, q.due(time.Now()))
		}
	}
}

func (q *Queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timers, q.order = nil, nil
}

// Set gives an item a deadline, in place of the one that it had. While the queue does not run, nothing is done: Load
// will.
func (q *Queue) Set(i Item, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timers != nil {
		q.set(i, at)
	}
}

// Extend is Set, but not for an item that is being ended, which it tells by false.
func (q *Queue) Extend(i Item, at time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timers == nil {
		return true
	}
	if t := q.timers[i.Name]; t != nil && t.place < 0 {
		return false
	}
	q.set(i, at)
	return true
}

// Add is Set for an item that has no deadline yet, or has one of another version.
func (q *Queue) Add(i Item, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.timers[i.Name]; q.timers != nil && (t == nil || t.Version != i.Version) {
		q.set(i, at)
	}
}

// Len is how many items have a deadline: none while the queue does not run.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.timers)
}

// set puts the deadline of an item into the order, or moves it there. The caller holds mu.
func (q *Queue) set(i Item, at time.Time) {
	t := q.timers[i.Name]
	if t == nil {
		t = &timer{place: -1}
		q.timers[i.Name] = t
	}
	t.Item, t.at = i, at
	if t.place < 0 {
		heap.Push(&q.order, t)
	} else {
		heap.Fix(&q.order, t.place)
	}
	if t.place == 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// next is how long it is until the first deadline.
func (q *Queue) next() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return rescan
	}
	return max(0, time.Until(q.order[0].at))
}

// due takes out of the order what is over.
func (q *Queue) due(now time.Time) []Item {
	var items []Item
	for len(items) < MaxBatch {
		i, ok := q.pop(now)
		if !ok {
			break
		}
		if q.work.Due(i) {
			items = append(items, i)
		} else {
			q.drop(i)
		}
	}
	return items
}

func (q *Queue) pop(now time.Time) (Item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 || q.order[0].at.After(now) {
		return Item{}, false
	}
	return heap.Pop(&q.order).(*timer).Item, true
}

// drop forgets an item, unless it has a new deadline.
func (q *Queue) drop(i Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.timers[i.Name]; t != nil && t.place < 0 {
		delete(q.timers, i.Name)
	}
}

// end ends items, or tries again later.
func (q *Queue) end(ctx context.Context, items []Item) {
	if len(items) == 0 {
		return
	}
	err := q.work.End(ctx, items)
	for _, i := range items {
		if err == nil {
			q.drop(i)
			continue
		}
		q.mu.Lock()
		if t := q.timers[i.Name]; t != nil && t.place < 0 {
			q.set(i, time.Now().Add(retryEnd))
		}
		q.mu.Unlock()
	}
}

// deadlines is a heap of timers, the nearest first.
type deadlines []*timer

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	t := x.(*timer)
	t.place = len(*d)
	*d = append(*d, t)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	old := *d
	t := old[len(old)-1]
	t.place = -1
	*d = old[:len(old)-1]
	return t
}
