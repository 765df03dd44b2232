package gossip

import (
	"reflect"
	"unsafe"

	"github.com/hashicorp/memberlist"
)

// ballast is a piece of news that never leaves memberlist's queue, being larger than any packet.
//
// When that queue runs empty, if only for a moment while one piece takes the place of another, it starts to number its
// pieces anew. Two pieces of one number, one length and one count of sendings are the same to it, and the older is gone.
// In a pool of three, half of whose names are of one length, that is now and then what a suspected member has to say for
// itself: it was declared dead although it had answered. With ballast the queue is never empty.
type ballast []byte

// Message is what would be sent.
func (b ballast) Message() []byte { return b }

// Invalidates says that no other news is out of date because of this.
func (ballast) Invalidates(memberlist.Broadcast) bool { return false }

// Finished would be called after the last sending.
func (ballast) Finished() {}

// UniqueBroadcast says that other news does not take its place.
func (ballast) UniqueBroadcast() {}

// steady puts ballast into memberlist's queue of news.
func steady(m *memberlist.Memberlist, packet int) {
	if queue := newsOf(m); queue != nil {
		queue.QueueBroadcast(make(ballast, packet+1))
	}
}

// newsOf returns memberlist's queue of news. It is taken from an unexported field; should that change its name or type,
// there is none, the queue stays as memberlist has it, and a test tells.
func newsOf(m *memberlist.Memberlist) *memberlist.TransmitLimitedQueue {
	field := reflect.ValueOf(m).Elem().FieldByName("broadcasts")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*memberlist.TransmitLimitedQueue]() {
		return nil
	}
	return *(**memberlist.TransmitLimitedQueue)(unsafe.Pointer(field.UnsafeAddr()))
}
