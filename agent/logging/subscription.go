package logging

import (
	"log/slog"
	"slices"
	"sync/atomic"
)

// subscriptionBuffer is how many lines wait for a subscriber before lines are dropped.
const subscriptionBuffer = 512

// Subscription is a live copy of what is logged, at a level of its own.
type Subscription struct {
	from    *Logger
	level   slog.Level
	json    bool
	lines   chan []byte
	dropped atomic.Uint64
}

// Subscribe begins to copy all lines from a level upwards, as text or JSON, whatever the outputs take. The subscriber
// must call Close. One that is slow loses lines, and holds nobody up.
func (l *Logger) Subscribe(level slog.Level, json bool) *Subscription {
	s := &Subscription{from: l, level: level, json: json, lines: make(chan []byte, subscriptionBuffer)}
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	more := append(slices.Clone(*l.subscribers.Load()), s)
	l.subscribers.Store(&more)
	l.settle()
	return s
}

// Lines delivers lines, each with its line feed. It is never closed. The receiver must not change the bytes.
func (s *Subscription) Lines() <-chan []byte { return s.lines }

// Dropped returns how many lines were lost so far.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	l := s.from
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	fewer := slices.DeleteFunc(slices.Clone(*l.subscribers.Load()), func(other *Subscription) bool { return other == s })
	l.subscribers.Store(&fewer)
	l.settle()
}

func (s *Subscription) offer(line []byte) {
	select {
	case s.lines <- line:
	default:
		s.dropped.Add(1)
	}
}
