package event

import (
	"fmt"
	"strings"
	"sync"
)

// Kept is how many of the newest events an agent remembers.
const Kept = 256

// An Inbox holds the newest events that were meant for this agent. It may be used from any goroutine.
type Inbox struct {
	target Target

	mu      sync.Mutex // guards what follows
	events  []*Event   // oldest first
	known   map[string]bool
	changed chan struct{} // closed when an event comes
}

// NewInbox makes an empty Inbox of a target.
func NewInbox(t Target) *Inbox {
	return &Inbox{target: t, known: map[string]bool{}, changed: make(chan struct{})}
}

// Receive takes what the pool delivers and returns the event if it is for this agent and new, else nil. What is not a
// user's event at all, going by its name, is left alone; one that cannot be read is an error.
func (b *Inbox) Receive(name string, payload []byte, ltime uint64) (*Event, error) {
	if !strings.HasPrefix(name, prefix) {
		return nil, nil
	}
	e := &Event{}
	if _, err := e.UnmarshalMsg(payload); err != nil {
		return nil, fmt.Errorf("decode event %q: %w", name, err)
	}
	if _, err := parseID(e.ID); err != nil {
		return nil, fmt.Errorf("event %q: %w", name, err)
	}
	f, err := e.filters()
	if err != nil {
		return nil, fmt.Errorf("event %q: %w", name, err)
	}
	if len(e.Payload) == 0 {
		e.Payload = nil
	}
	e.LTime = ltime
	if !f.meant(b.target) || !b.add(e) {
		return nil, nil
	}
	return e, nil
}

// add keeps an event, unless it is there already, and tells whether it did.
func (b *Inbox) add(e *Event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[e.ID] {
		return false
	}
	if len(b.events) == Kept {
		delete(b.known, b.events[0].ID)
		b.events = append(b.events[:0:0], b.events[1:]...)
	}
	b.known[e.ID] = true
	b.events = append(b.events, e)
	close(b.changed)
	b.changed = make(chan struct{})
	return true
}

// Events lists the events, oldest first, and gives a channel that is closed when another one comes. The events are
// shared and must not be changed.
func (b *Inbox) Events() ([]*Event, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[:len(b.events):len(b.events)], b.changed
}
