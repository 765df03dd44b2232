package rpc

import (
	"context"
	"math"
	"sync"
)

// Credit counts bytes of messages. A message may be sent as long as any is left, and may then overdraw it, so that one of
// any length can pass; who receives has at most its window and one message to hold.

// messageCost is what a message costs beside its length: empty ones take memory, too.
const messageCost = 64

// maxCredit bounds what a caller can grant.
const maxCredit = math.MaxInt32

func cost(message []byte) int64 { return int64(len(message)) + messageCost }

// An outflow is the credit of a stream that is sent here.
type outflow struct {
	mu   sync.Mutex // guards what follows
	left int64
	more chan struct{} // closed when credit comes; nil if nobody waits for it
}

// take blocks until there is credit, or ctx ends.
func (o *outflow) take(ctx context.Context, cost int64) error {
	for {
		o.mu.Lock()
		if o.left > 0 {
			o.left -= cost
			o.mu.Unlock()
			return nil
		}
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// grant adds credit. It reports whether that is a sane amount.
func (o *outflow) grant(n uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left += int64(n)
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.left <= maxCredit
}
