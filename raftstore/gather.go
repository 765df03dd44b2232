package raftstore

import (
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A gathering puts the entries of several callers before Raft in one go, so that they share a write of the log, a message
// to each follower and a commit. Raft by itself takes up an entry as soon as there is one, alone if need be; what comes
// meanwhile waits for a write that was made for one. Whoever comes first lets the others that are about to write come,
// and puts all before Raft; a caller that is alone loses no time.
type gathering struct {
	put  func(entry []byte, wait time.Duration) raft.ApplyFuture
	busy func() bool // there are so many writes that one may have to wait for a place in Raft's queue

	mu      sync.Mutex // guards waiting
	waiting []*submission

	submissions sync.Pool
	followed    chan []*submission // those whose callers wait for done
}

// A submission is an entry that somebody wants to be written.
type submission struct {
	entry    []byte
	deadline time.Time // for a place in Raft's queue; zero waits until there is one
	future   raft.ApplyFuture
	err      error
	done     chan struct{} // has room for one
}

func newGathering(put func([]byte, time.Duration) raft.ApplyFuture, busy func() bool) *gathering {
	return &gathering{
		put: put, busy: busy, followed: make(chan []*submission, 64),
		submissions: sync.Pool{New: func() any { return &submission{done: make(chan struct{}, 1)} }},
	}
}

// apply writes an entry and blocks until Raft has answered.
func (g *gathering) apply(entry []byte, deadline time.Time) (any, error) {
	s := g.submissions.Get().(*submission)
	s.entry, s.deadline = entry, deadline
	g.mu.Lock()
	g.waiting = append(g.waiting, s)
	first := len(g.waiting) == 1
	g.mu.Unlock()
	if first {
		runtime.Gosched() // others that are about to write come first
		g.submit()
		s.wait()
	} else {
		<-s.done
	}
	var answer any
	if s.err == nil {
		answer = s.future.Response()
	}
	err := s.err
	*s = submission{done: s.done}
	g.submissions.Put(s)
	return answer, err
}

// submit puts all that wait before Raft. The first of them is for the caller to wait for.
func (g *gathering) submit() {
	g.mu.Lock()
	all := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	for _, s := range all {
		var wait time.Duration
		if !s.deadline.IsZero() && g.busy() {
			if wait = time.Until(s.deadline); wait <= 0 {
				s.err = raft.ErrEnqueueTimeout
				continue
			}
		}
		s.future = g.put(s.entry, wait)
	}
	if len(all) > 1 {
		g.followed <- all[1:]
	}
}

// wait blocks until Raft has answered.
func (s *submission) wait() {
	if s.err == nil {
		s.err = s.future.Error()
	}
}

// follow tells callers of Raft's answers, which come in the order of the entries, until stop is called.
func (g *gathering) follow() {
	for all := range g.followed {
		for _, s := range all {
			s.wait()
			s.done <- struct{}{}
		}
	}
}

// stop ends follow. Nobody may be in apply any more.
func (g *gathering) stop() { close(g.followed) }
