//go:build crash

package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A ledger is what some writers have written through all servers of a trio, whoever of them lives. Each writer counts up in
// one key until an answer is not a success. What such a write has done, now or later, is not known, so the writer turns to
// a new key, and at most one write of each key is in doubt.
type ledger struct {
	all trio

	mu    sync.Mutex // guards what follows
	pages []*page
	sent  int
	first func(ack)
	after time.Time // first is called once with a write that began after it
}

// An ack is a write that was acknowledged.
type ack struct{ begin, end time.Time }

// A page is one key.
type page struct {
	key          string
	acked, tried int
}

const writers = 6

// write writes from all writers until ctx ends.
func (l *ledger) write(ctx context.Context) {
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for ctx.Err() == nil {
				l.fill(ctx, l.turn(w))
			}
		})
	}
	all.Wait()
}

// turn begins a page.
func (l *ledger) turn(writer int) *page {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &page{key: fmt.Sprintf("page/%d/%d", writer, len(l.pages))}
	l.pages = append(l.pages, p)
	return p
}

// fill writes one page until a write fails, and then waits a little, as the server may be gone.
func (l *ledger) fill(ctx context.Context, p *page) {
	for ctx.Err() == nil {
		s := l.all[rand.IntN(len(l.all))]
		n := p.tried + 1
		l.mu.Lock()
		p.tried = n
		l.sent++
		l.mu.Unlock()
		a := ack{begin: time.Now()}
		status, body, err := s.call("PUT", "/v1/kv/"+p.key, fmt.Sprintf("%d %s", n, strings.Repeat("x", rand.IntN(1500))))
		a.end = time.Now()
		if err != nil || status != http.StatusOK || strings.TrimSpace(string(body)) != "true" {
			time.Sleep(2 * time.Millisecond)
			return
		}
		l.note(p, n, a)
	}
}

func (l *ledger) note(p *page, n int, a ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.acked = n
	if l.first != nil && a.begin.After(l.after) {
		l.first(a)
		l.first = nil
	}
}

// next is a channel for the first acknowledged write that begins from now on.
func (l *ledger) next() <-chan ack {
	came := make(chan ack, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after, l.first = time.Now(), func(a ack) { came <- a }
	return came
}

// catchUp is how long a server may need until it has what the others have: Raft sends to one that has failed often after
// pauses that grow to 41 seconds.
const catchUp = time.Minute

// verify looks for every write that is acknowledged by now at each of some servers, in what each has itself. They have some
// time to catch up.
func (l *ledger) verify(t *testing.T, servers trio) {
	t.Helper()
	least := map[*page]int{}
	l.mu.Lock()
	for _, p := range l.pages {
		least[p] = p.acked
	}
	l.mu.Unlock()
	for _, s := range servers {
		var wrong []string
		for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			if wrong = l.compare(s.numbers(), least); len(wrong) == 0 || time.Since(begin) > catchUp {
				break
			}
		}
		for _, text := range wrong {
			t.Errorf("%s: %s", s.name, text)
		}
	}
}

// compare lists the pages that are not as they should be.
func (l *ledger) compare(found map[string]int, least map[*page]int) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, acked := range least {
		if n := found[p.key]; n < acked || n > p.tried {
			wrong = append(wrong, fmt.Sprintf("%s is at %d, but %d was acknowledged and %d was sent last", p.key, n, acked, p.tried))
		}
	}
	return wrong
}

// numbers reads all pages from what a server has itself; nothing if it does not answer.
func (s *server) numbers() map[string]int {
	status, body, err := s.call("GET", "/v1/kv/page/?recurse&stale", "")
	if err != nil || status != http.StatusOK {
		return nil
	}
	var entries []struct {
		Key   string
		Value []byte
	}
	if json.Unmarshal(body, &entries) != nil {
		return nil
	}
	found := map[string]int{}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscan(string(e.Value), &n); err == nil {
			found[e.Key] = n
		}
	}
	return found
}
