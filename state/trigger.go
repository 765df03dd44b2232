package state

import "sync/atomic"

// A trigger closes a channel once. The channel is made for the first who asks for it: most rows and nodes are never
// watched, and then a trigger is one word.
type trigger struct{ made atomic.Pointer[chan struct{}] }

// spent is the channel of every trigger that has fired.
var spent = func() *chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return &ch
}()

// channel is closed when the trigger fires, or has been if it fired before.
func (t *trigger) channel() <-chan struct{} {
	if ch := t.made.Load(); ch != nil {
		return *ch
	}
	ch := make(chan struct{})
	if t.made.CompareAndSwap(nil, &ch) {
		return ch
	}
	return *t.made.Load()
}

// fire closes the channel. It may be called again.
func (t *trigger) fire() {
	if ch := t.made.Swap(spent); ch != nil && ch != spent {
		close(*ch)
	}
}
