package gossip

import (
	"log/slog"

	"github.com/hashicorp/serf/serf"
)

// EventType says what happened to a member.
type EventType int

// The kinds of member event.
const (
	// MemberJoin: the member is alive, for the first time or again.
	MemberJoin EventType = iota
	// MemberUpdate: its tags or its address changed.
	MemberUpdate
	// MemberFail: it died without saying good-bye.
	MemberFail
	// MemberLeave: it left gracefully, or was made to leave.
	MemberLeave
	// MemberReap: it is forgotten.
	MemberReap
	// EventsLost: the reader was too slow and events were dropped; it must read Members. Member is empty.
	EventsLost
)

// String returns the event in one word, for logs.
func (t EventType) String() string {
	if t < MemberJoin || t > EventsLost {
		return "unknown"
	}
	return [...]string{"join", "update", "fail", "leave", "reap", "lost"}[t]
}

// Event is one change of the membership. Member is as it was at the event.
type Event struct {
	Type   EventType
	Member Member
}

// UserEvent is a custom event as it was broadcast by some member.
type UserEvent struct {
	Name    string
	Payload []byte
	// LTime is the Lamport time of the event in this pool.
	LTime uint64
}

const (
	// serfBacklog is how many events serf can hand over at once before the pump runs.
	serfBacklog = 1024
	// memberBacklog and userBacklog bound what waits for a slow reader.
	memberBacklog = 4096
	userBacklog   = 256
)

// pump carries events from serf to the pool's channels. It reads always and at once, so that serf, which holds locks
// while it hands over an event, never waits; what the readers do not take is queued up to a bound. It is the owner of
// both channels and closes them when serf has shut down.
type pump struct {
	in      <-chan serf.Event
	stopped <-chan struct{}
	members chan Event
	users   chan UserEvent
	seen    func(Event)
	log     *slog.Logger

	queue     []Event
	userQueue []UserEvent
}

func (q *pump) run() {
	defer close(q.members)
	defer close(q.users)
	for {
		memberOut, member := offer(q.members, q.queue)
		userOut, user := offer(q.users, q.userQueue)
		select {
		case e := <-q.in:
			q.take(e)
		case memberOut <- member:
			q.queue = pop(q.queue)
		case userOut <- user:
			q.userQueue = pop(q.userQueue)
		case <-q.stopped:
			return
		}
	}
}

// offer returns the channel and the first of the queue, or a nil channel, on which nothing is ever sent.
func offer[T any](ch chan T, queue []T) (chan<- T, T) {
	if len(queue) == 0 {
		var none T
		return nil, none
	}
	return ch, queue[0]
}

// pop drops the first and lets go of the memory once the queue is empty.
func pop[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return nil
	}
	return queue[1:]
}

func (q *pump) take(e serf.Event) {
	switch e := e.(type) {
	case serf.MemberEvent:
		for _, m := range e.Members {
			q.takeMember(Event{Type: eventTypeOf(e.Type), Member: memberOf(m)})
		}
	case serf.UserEvent:
		if len(q.userQueue) >= userBacklog {
			q.log.Warn("user event dropped as its reader is too slow", "event", q.userQueue[0].Name)
			q.userQueue = pop(q.userQueue)
		}
		q.userQueue = append(q.userQueue, UserEvent{Name: e.Name, Payload: e.Payload, LTime: uint64(e.LTime)})
	}
}

func (q *pump) takeMember(e Event) {
	q.seen(e)
	if len(q.queue) >= memberBacklog {
		q.log.Warn("member events dropped as their reader is too slow", "events", len(q.queue))
		q.queue = append(q.queue[:0:0], Event{Type: EventsLost})
	}
	q.queue = append(q.queue, e)
}

func eventTypeOf(t serf.EventType) EventType {
	switch t {
	case serf.EventMemberJoin:
		return MemberJoin
	case serf.EventMemberLeave:
		return MemberLeave
	case serf.EventMemberFailed:
		return MemberFail
	case serf.EventMemberReap:
		return MemberReap
	default:
		return MemberUpdate
	}
}
