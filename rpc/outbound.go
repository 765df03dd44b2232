package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const textReply = "the answer is too long"

// errGone tells that a connection has ended before the call had begun.
var errGone = errors.New("the connection has ended")

// An outbound connection is one whose calls are made here.
type outbound struct {
	pool *Pool
	peer *peer
	link *link

	mu      sync.Mutex // guards what follows
	calls   map[uint64]*waiting
	streams int // of the calls, those that are answered with many messages
	quiet   quiet
	alarm   *time.Timer   // runs expire at armed; nil until there is a deadline
	armed   time.Time     // zero: not armed
	last    uint64        // number of the last call
	seen    uint64        // last, at the last tick
	idle    time.Duration // how long there have been no calls
	err     error         // why no more calls are made
}

// A waiting is a call that is made here and not answered. The reader sets what it has to say and then tells done.
type waiting struct {
	done     chan struct{} // has room for one
	deadline time.Time     // zero: none, or the caller watches it
	parts    assembly
	reply    []byte
	err      error
	lost     error   // why the connection broke
	stream   *Stream // if not nil, all goes there
}

func newOutbound(p *Pool, pe *peer, conn net.Conn, frames *frameReader) *outbound {
	c := &outbound{pool: p, peer: pe, calls: map[uint64]*waiting{}}
	c.link = newLink(conn, frames, newOutbox(conn, p.buffers), p.config.Keepalive, c)
	return c
}

// prepare checks the head and notes the deadline of ctx in it.
func (h *head) prepare(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.check()
}

// depart notes the time that is left until the deadline of ctx.
func (h *head) depart(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	if h.left = time.Until(deadline); h.left <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// call makes a call and blocks for its answer, or returns errGone.
func (c *outbound) call(ctx context.Context, h *head, args []byte) ([]byte, error) {
	if err := h.depart(ctx); err != nil {
		return nil, err
	}
	w := c.pool.waitings.Get().(*waiting)
	var done <-chan struct{}
	done, w.deadline = ending(ctx)
	id, alone, err := c.register(w)
	if err != nil {
		return nil, err
	}
	// If this fails, ctx or the connection has ended, which is seen below.
	m, _ := c.link.out.request(kindCall, id, h, args, alone, ctx.Done)
	select {
	case <-w.done:
	case <-done:
		if c.withdraw(id) {
			return nil, ctx.Err()
		}
		<-w.done // is being answered
	}
	if m.long != nil {
		c.link.out.drop(id)
	}
	if w.lost != nil { // the reader may still be busy with it
		return nil, &ConnError{Target: c.peer.target, Sent: c.link.out.sent(m), Err: w.lost}
	}
	reply, err := w.reply, w.err
	*w = waiting{done: w.done}
	c.pool.waitings.Put(w)
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// register gives a call its number, and tells whether it is the only one for a while, streams aside.
func (c *outbound) register(w *waiting) (id uint64, alone bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, false, errGone
	}
	c.last++
	c.calls[c.last] = w
	if !w.deadline.IsZero() && (c.armed.IsZero() || w.deadline.Before(c.armed)) {
		c.arm(w.deadline)
	}
	if w.stream != nil {
		c.streams++
		return c.last, false, nil
	}
	return c.last, c.quiet.alone(len(c.calls) - c.streams), nil
}

// drop forgets a call, and returns it if it was there. The caller has locked mu.
func (c *outbound) drop(id uint64) *waiting {
	w := c.calls[id]
	delete(c.calls, id)
	if w != nil && w.stream != nil {
		c.streams--
	}
	return w
}

// arm sets the alarm. The caller has locked mu.
func (c *outbound) arm(at time.Time) {
	c.armed = at
	if c.alarm == nil {
		c.alarm = time.AfterFunc(time.Until(at), c.expire)
	} else {
		c.alarm.Reset(time.Until(at))
	}
}

// expire ends the calls whose deadline is over. As calls have about the same time, and most are answered long before it
// is over, one alarm for all rings once in that time.
func (c *outbound) expire() {
	expired := map[uint64]*waiting{}
	c.mu.Lock()
	now, next := time.Now(), time.Time{}
	for id, w := range c.calls {
		switch {
		case w.deadline.IsZero():
		case !w.deadline.After(now):
			expired[id] = w
		case next.IsZero() || w.deadline.Before(next):
			next = w.deadline
		}
	}
	if c.armed = next; !next.IsZero() {
		c.arm(next)
	}
	c.mu.Unlock()
	for id, w := range expired {
		if c.withdraw(id) {
			w.finish(context.DeadlineExceeded)
		}
	}
}

// withdraw tells the other side that nobody waits for a call any more. It reports false if that has just been answered.
func (c *outbound) withdraw(id uint64) bool {
	c.mu.Lock()
	w := c.drop(id)
	c.mu.Unlock()
	if w == nil {
		return false
	}
	c.link.out.drop(id)
	if err := c.link.out.control(kindCancel, id, nil); err != nil {
		c.link.fail(err)
	}
	return true
}

// tick ends the connection when it has not been used for long.
func (c *outbound) tick() (busy bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if busy = len(c.calls) > 0; busy || c.last != c.seen {
		c.seen, c.idle = c.last, 0
		return busy, nil
	}
	if c.idle += c.pool.config.Keepalive; c.idle >= c.pool.config.Idle {
		c.err = errIdle
	}
	return false, c.err
}

func (c *outbound) broken(err error) {
	c.pool.remove(c.peer)
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	calls := c.calls
	c.calls, c.streams = map[uint64]*waiting{}, 0
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.mu.Unlock()
	for _, w := range calls {
		w.lose(eof(err))
	}
	if len(calls) > 0 {
		c.pool.config.Log.Debug("lost a connection with calls under way", "to", c.peer.target.Address, "calls", len(calls), "error", err)
	}
}

// receive takes a frame from the callee. It runs on the reader's goroutine.
func (c *outbound) receive(f frame) error {
	if f.kind < kindReply || f.kind > kindRefuse || f.call == 0 {
		return errFrame
	}
	last := f.kind != kindItem && (f.kind != kindReply || !f.more)
	c.mu.Lock()
	w, known := c.calls[f.call], f.call <= c.last
	if last {
		c.drop(f.call)
	}
	c.mu.Unlock()
	if w == nil {
		if known {
			return nil // withdrawn
		}
		return errFrame
	}
	var err error
	if w.stream != nil {
		err = w.stream.receive(f)
	} else {
		err = c.answer(f, w)
	}
	if err != nil && last {
		w.lose(err)
	}
	return err
}

// answer takes a frame for a call with one answer.
func (c *outbound) answer(f frame, w *waiting) error {
	switch f.kind {
	case kindReply:
		switch {
		case w.parts.length+len(f.payload) > c.pool.config.MaxReply:
			if !f.more || c.withdraw(f.call) {
				w.finish(&Error{Limited, textReply})
			}
		case f.more:
			w.parts.add(f.payload)
		default:
			w.reply = w.parts.complete(f.payload)
			w.finish(nil)
		}
		return nil
	case kindError, kindRefuse:
		err, broken := c.failure(f)
		if broken == nil {
			w.finish(err)
		}
		return broken
	default:
		return errFrame
	}
}

// failure is the error that a frame tells of.
func (c *outbound) failure(f frame) (err, broken error) {
	if f.kind == kindRefuse {
		return &ConnError{Target: c.peer.target, Err: errRefused}, nil
	}
	told, err := parseFault(f.payload)
	if err != nil {
		return nil, err
	}
	return told.error(c.pool.config.Sentinels), nil
}

// finish tells the caller how its call has ended.
func (w *waiting) finish(err error) {
	w.err = err
	w.done <- struct{}{}
}

// lose tells the caller that the connection has broken.
func (w *waiting) lose(err error) {
	if w.stream != nil {
		w.stream.lose(err)
		return
	}
	w.lost = err
	w.done <- struct{}{}
}
