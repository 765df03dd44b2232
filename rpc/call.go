package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// A call is one that is answered here.
type call struct {
	callContext
	request Request
	conn    *inbound
	id      uint64
	parts   assembly // of the arguments, while they are coming
	size    int      // bytes of arguments that have come
	stream  *outflow // nil if the call has one answer

	// Guarded by the mutex of conn.
	begun     bool // false while arguments are still coming
	abandoned bool // nobody waits for the answer
	stopped   bool // the server has ended it
}

func newCall(c *inbound, id uint64, h *head) *call {
	k := &call{conn: c, id: id, request: Request{Header: h.Header, Method: h.method, Peer: c.peer}}
	if h.left > 0 {
		k.deadline = time.Now().Add(h.left)
	}
	return k
}

// serve runs the handler and sends its answer.
func (k *call) serve() {
	defer k.conn.running.Done()
	reply, err := k.handle()
	c := k.conn
	c.mu.Lock()
	wanted := !k.abandoned && !(k.stopped && errors.Is(err, context.Canceled))
	alone := k.stream == nil && len(c.calls)-c.streams == 1 && c.quiet == 0
	c.mu.Unlock()
	k.cancel(context.Canceled)
	if wanted {
		k.answer(reply, err, alone)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k.id, k)
}

// handle runs the handler. A panic is the answer's problem and not the server's.
func (k *call) handle() (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			k.conn.server.config.Log.Error("a call has failed with a panic", "method", k.request.Method, "panic", p, "stack", string(debug.Stack()))
			err = &Error{Internal, "internal error"}
		}
	}()
	handler := k.conn.server.config.Handler
	if k.stream != nil {
		return nil, handler.Stream(&k.callContext, &k.request, k.send)
	}
	return handler.Answer(&k.callContext, &k.request)
}

// answer sends how the call has ended and blocks until that is on its way, so that what waits to be written is bounded by
// the number of calls. If the connection breaks meanwhile, nobody waits for it. Alone says that no other call is about to be answered.
func (k *call) answer(reply []byte, err error, alone bool) {
	what := kindReply
	switch {
	case err != nil:
		f := faultOf(err)
		what, reply = kindError, f.append(nil)
	case k.stream != nil:
		what = kindEnd
	}
	if m, _ := k.conn.link.out.message(what, k.id, reply, alone, never); m != nil {
		<-m.done
	}
}

// send sends a message of a stream.
func (k *call) send(message []byte) error {
	if err := k.stream.take(&k.callContext, cost(message)); err != nil {
		return err
	}
	m, err := k.conn.link.out.message(kindItem, k.id, message, false, k.Done)
	if err == nil && m != nil {
		select {
		case <-m.done:
		case <-k.Done():
			k.conn.link.out.drop(k.id)
		}
	}
	if ended := k.Err(); ended != nil {
		return ended
	}
	return err
}
