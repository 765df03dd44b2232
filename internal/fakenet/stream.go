package fakenet

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

const (
	// window is how many bytes of one direction may be under way or unread.
	window = 256 << 10
	// A segment that does not get through is sent again after minAgain, then after twice as long each time up to
	// maxAgain, and given up after giveUp.
	minAgain = 200 * time.Millisecond
	maxAgain = 2 * time.Minute
	giveUp   = 15 * time.Minute
)

// segment is some bytes under way, or the end of their stream: io.EOF when the sender is done, else why it broke off.
type segment struct {
	due  time.Time
	data []byte
	end  error
}

// stream is one direction of a connection. The network's mu guards it.
type stream struct {
	net      *Network
	src, dst *Conn
	timer    *time.Timer // delivers, when the first segment is due or may get through at last
	flight   []segment
	inbox    bytes.Buffer // arrived and not read
	end      error        // arrived after what is in inbox
	held     int          // bytes under way or unread
	stalled  time.Time    // since when the first segment does not get through; zero: it does
	cut      bool         // that is for a fault of the network, not for a pause

	readable, writable *sync.Cond
}

func newStream(n *Network, src, dst *Conn) *stream {
	s := &stream{net: n, src: src, dst: dst, readable: sync.NewCond(&n.mu), writable: sync.NewCond(&n.mu)}
	s.timer = time.AfterFunc(time.Hour, s.deliver)
	s.timer.Stop()
	return s
}

// send puts a segment under way.
func (s *stream) send(seg segment) {
	now := time.Now()
	d, lost := s.net.travel(s.src.host.at, s.dst.host.at)
	for again := minAgain; lost && again < maxAgain; again *= 2 {
		d += again
		_, lost = s.net.travel(s.src.host.at, s.dst.host.at)
	}
	seg.due = now.Add(d)
	if n := len(s.flight); n > 0 && seg.due.Before(s.flight[n-1].due) {
		seg.due = s.flight[n-1].due
	}
	s.held += len(seg.data)
	s.flight = append(s.flight, seg)
	if len(s.flight) == 1 {
		s.timer.Reset(d)
	}
}

// deliver lets arrive what is due. It is the timer's.
func (s *stream) deliver() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	now := time.Now()
	for len(s.flight) > 0 {
		seg := s.flight[0]
		if wait := seg.due.Sub(now); wait > 0 {
			s.timer.Reset(wait)
			return
		}
		if !s.passes() {
			s.stall(now)
			return
		}
		s.stalled, s.cut = time.Time{}, false
		s.flight = s.flight[1:]
		s.arrive(seg)
	}
	s.flight = nil
}

func (s *stream) passes() bool {
	a, b := s.src.host.at, s.dst.host.at
	return s.net.reaches(a, b) && !a.paused && !b.paused
}

// stall notes that the first segment does not get through, and gives up in the end.
func (s *stream) stall(now time.Time) {
	if s.stalled.IsZero() {
		s.stalled = now
	}
	s.cut = s.cut || !s.net.reaches(s.src.host.at, s.dst.host.at)
	if !s.cut {
		return
	}
	left := giveUp - now.Sub(s.stalled)
	if left > 0 {
		s.timer.Reset(left)
		return
	}
	s.drop()
	s.src.fail(syscall.ETIMEDOUT)
}

// retry sends again what did not get through: after a pause at once, after a fault when the sender would try next.
func (s *stream) retry(now time.Time) {
	if s.stalled.IsZero() || !s.passes() {
		return
	}
	if !s.cut {
		s.timer.Reset(0)
		return
	}
	at := s.stalled
	for again := minAgain; !at.After(now); again = min(2*again, maxAgain) {
		at = at.Add(again)
	}
	s.timer.Reset(at.Sub(now))
}

// drop forgets what is under way.
func (s *stream) drop() {
	for _, seg := range s.flight {
		s.held -= len(seg.data)
	}
	s.flight, s.stalled, s.cut = nil, time.Time{}, false
	s.timer.Stop()
}

// arrive takes a segment at the other end. If nobody is there any more the sender is told so.
func (s *stream) arrive(seg segment) {
	switch {
	case s.dst.closed || s.dst.failed != nil:
		s.held -= len(seg.data)
		if len(seg.data) > 0 {
			s.drop()
			s.src.fail(syscall.ECONNRESET)
		}
	case seg.end == nil:
		s.inbox.Write(seg.data)
	default:
		s.end = seg.end
		if !errors.Is(s.end, io.EOF) {
			s.dst.fail(s.end)
		}
	}
	s.readable.Broadcast()
}
