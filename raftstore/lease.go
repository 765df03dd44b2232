package raftstore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A lease says for how long nobody else can lead. A voter that agrees to a message of its leader helps no other
// candidate for a heartbeat time-out, which is longer than a lease; so no other leader can be elected before a lease
// has passed since a quorum was sent messages that it has agreed to. What counts is when a message was sent: an answer
// that has waited, with a process that was stopped or on a line that was down, proves nothing about now. Raft's own
// check goes by when answers come in, which is good enough to step down by but not to read by.
//
// Two things would break the promise, and are looked after elsewhere: a voter that starts again has forgotten it (see
// Node.abstains), and a voter helps a candidate at once whom the leader itself has asked to stand (see void).
type lease struct {
	self   raft.ServerID
	length time.Duration
	zero   time.Time     // of until
	until  atomic.Int64  // when the lease ends, since zero
	voided atomic.Uint64 // the term in which the lease does not count

	mu      sync.Mutex // guards what follows
	term    uint64
	agreed  map[raft.ServerID]time.Time // when the newest message was sent that a voter has agreed to, in this term
	proof   time.Time                   // a quorum has agreed to messages that were sent then or later
	over    uint64                      // a term in which another server has told of a later one
	changed chan struct{}               // closed at the next change; nil if nobody waits
}

func newLease(self string, length time.Duration) *lease {
	return &lease{self: raft.ServerID(self), length: length, zero: time.Now()}
}

// An exchange is a message to another server, and what came of it.
type exchange struct {
	id     raft.ServerID
	term   uint64
	sent   time.Time
	failed bool
	agrees bool
	later  bool // the other server knows a later term
}

// note takes an exchange into account.
func (l *lease) note(e exchange, m *membership) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.term > l.term {
		l.term, l.agreed, l.proof = e.term, map[raft.ServerID]time.Time{}, time.Time{}
	}
	switch {
	case e.term < l.term:
		return
	case e.later:
		l.over = e.term
	case e.failed:
		delete(l.agreed, e.id) // it may have ended and forgotten
	case e.agrees && e.sent.After(l.agreed[e.id]):
		l.agreed[e.id] = e.sent
	}
	l.proof = l.proven(m)
	end := int64(0)
	if !l.proof.IsZero() {
		end = int64(l.proof.Add(l.length).Sub(l.zero))
	}
	l.until.Store(end)
	l.wake()
}

// proven finds the newest moment after which a quorum was sent what it agreed to. It needs mu.
func (l *lease) proven(m *membership) time.Time {
	need := m.quorum()
	var times []time.Time
	for _, id := range m.voters {
		if id == l.self {
			need--
		} else if t, ok := l.agreed[id]; ok {
			times = append(times, t)
		}
	}
	if need <= 0 || need > len(times) {
		return time.Time{}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	return times[need-1]
}

// holds tells whether the lease of a term is still running.
func (l *lease) holds(term uint64) bool {
	if l.voided.Load() == term || time.Since(l.zero) >= time.Duration(l.until.Load()) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term == term && l.over != term
}

// void ends the lease of a term for good: another server has been asked to stand for election, and nobody knows when it
// will.
func (l *lease) void(term uint64) { l.voided.Store(term) }

// await blocks until a quorum has agreed to messages that were sent at this moment or later. It returns false if it
// will not, the server no longer leads, or ctx is done.
func (l *lease) await(ctx context.Context, term uint64, since time.Time, leads func() bool) bool {
	for leads() {
		l.mu.Lock()
		switch {
		case l.term > term, l.over == term:
			l.mu.Unlock()
			return false
		case l.term == term && !l.proof.IsZero() && !l.proof.Before(since):
			l.mu.Unlock()
			return true
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// lost makes those who await look whether the server still leads.
func (l *lease) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// wake wakes who awaits. It needs mu.
func (l *lease) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
