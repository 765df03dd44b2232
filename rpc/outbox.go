package rpc

import (
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	outboxFull = 256 << 10 // bytes of frames that wait before whoever has more to write has to wait, too
	outboxMost = 4 << 20   // bytes of frames at which the other side must have stopped reading
	directMost = 4 << 10   // bytes that may be given to the connection by who has them, since the other side was last heard
	bufferKept = 2*frameMost + outboxFull
)

// An outbox collects what is to be written to a connection. One goroutine, the writer, writes all that has come together in one
// go. Messages longer than a frame take turns, one frame of one of them in each write, so that they do not hold up
// short ones.
//
// Who puts something short into an outbox with nothing else in it, and is alone on the connection, writes it without the writer: to
// wake another goroutine takes a while where nothing has happened for long. It is not held up by that: so few bytes the kernel has
// room for when those before have been answered.
type outbox struct {
	conn    net.Conn
	buffers *sync.Pool    // of *buffer: a connection with nothing to write holds none
	wake    chan struct{} // has room for one; told when idle ends
	writes  atomic.Uint32 // odd while a write is under way
	given   atomic.Uint64 // handed, for who has not locked mu
	heard   atomic.Uint64 // what given was when something was last read from the connection

	mu        sync.Mutex    // guards what follows
	short     *buffer       // whole frames; nil if there are none
	long      []*message    // in the order of their turns
	handed    uint64        // how many bytes that were in short have been given to the connection
	idle      bool          // the writer waits to be woken
	direct    bool          // somebody else writes meanwhile
	failed    error         // of that
	closed    bool          // nothing more is written
	finishing bool          // the writer ends when all is written
	room      chan struct{} // closed when there is room in short; nil if nobody waits for that
}

// A buffer is kept in a sync.Pool.
type buffer struct{ bytes []byte }

func newBuffers() *sync.Pool { return &sync.Pool{New: func() any { return new(buffer) }} }

// A message is longer than a frame.
type message struct {
	kind kind
	call uint64
	rest []byte        // what has not been given to the connection
	done chan struct{} // closed when all has been, or when the rest is dropped
}

func newOutbox(conn net.Conn, buffers *sync.Pool) *outbox {
	return &outbox{conn: conn, buffers: buffers, wake: make(chan struct{}, 1)}
}

// hear notes that something has been read from the connection.
func (o *outbox) hear() { o.heard.Store(o.given.Load()) }

// A mark says where in the outbox a request ends.
type mark struct {
	end  uint64   // of what handed counts
	long *message // nil if the request is short
}

// request puts a call into the outbox. It blocks while that is full, until what done gives is closed. The arguments must not
// change until the call has been answered or dropped. Alone says that nobody else is about to use the connection.
func (o *outbox) request(k kind, call uint64, h *head, args []byte, alone bool, done func() <-chan struct{}) (mark, error) {
	if err := o.lock(done); err != nil {
		return mark{end: math.MaxUint64}, err
	}
	defer o.unlock()
	b := o.open()
	size := h.size()
	if size+len(args) <= payloadMost {
		b.bytes = append(h.append(appendFrameHeader(b.bytes, k, false, call, size+len(args))), args...)
		m := mark{end: o.handed + uint64(len(b.bytes))}
		o.hurry(alone)
		return m, nil
	}
	b.bytes = h.append(appendFrameHeader(b.bytes, k, true, call, size))
	return mark{long: o.add(kindArgs, call, args)}, nil
}

// message puts a message into the outbox. It blocks while that is full, until what done gives is closed. What it returns is nil if
// text has been copied; else text must not change until the message is done. Alone says that nobody else is about to use the
// connection.
func (o *outbox) message(k kind, call uint64, text []byte, alone bool, done func() <-chan struct{}) (*message, error) {
	if err := o.lock(done); err != nil {
		return nil, err
	}
	defer o.unlock()
	if len(text) > payloadMost {
		return o.add(k, call, text), nil
	}
	b := o.open()
	b.bytes = appendFrame(b.bytes, k, false, call, text)
	o.hurry(alone)
	return nil, nil
}

// control puts a short frame into the outbox and never blocks.
func (o *outbox) control(k kind, call uint64, payload []byte) error {
	o.mu.Lock()
	defer o.unlock()
	if o.closed {
		return errClosed
	}
	b := o.open()
	if len(b.bytes) > outboxMost {
		return errStalled
	}
	b.bytes = appendFrame(b.bytes, k, false, call, payload)
	return nil
}

// never is the end of those who wait for as long as it takes.
func never() <-chan struct{} { return nil }

// lock locks the outbox when there is room in it. If it returns an error, the outbox is not locked.
func (o *outbox) lock(done func() <-chan struct{}) error {
	for {
		o.mu.Lock()
		switch {
		case o.closed:
			o.mu.Unlock()
			return errClosed
		case o.short == nil || len(o.short.bytes) < outboxFull:
			return nil
		case o.room == nil:
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-done():
			return errClosed
		}
	}
}

// unlock unlocks the outbox and wakes the writer, if there is something for it.
func (o *outbox) unlock() {
	wake := o.idle && !o.direct && (!o.empty() || o.ended() || o.finishing)
	if wake {
		o.idle = false
	}
	o.mu.Unlock()
	if wake {
		o.wake <- struct{}{}
	}
}

func (o *outbox) empty() bool { return o.short == nil && len(o.long) == 0 }

// ended tells whether nothing more is written. The caller has locked mu.
func (o *outbox) ended() bool { return o.closed || o.failed != nil }

// hurry writes what the caller, who has locked the outbox, has put into it, if it is alone and the writer is idle. Others may put
// more into the outbox meanwhile, which is for the writer.
func (o *outbox) hurry(alone bool) {
	if !alone || !o.idle || o.direct || o.ended() || len(o.long) > 0 || o.handed+uint64(len(o.short.bytes))-o.heard.Load() > directMost {
		return
	}
	b := o.hand()
	o.direct = true
	o.mu.Unlock()
	err := o.give(b)
	o.mu.Lock()
	o.direct = false
	if err != nil {
		o.failed = err // the writer tells
	}
}

// hand takes out the short frames. The caller has locked mu, and gives them to the connection.
func (o *outbox) hand() *buffer {
	b := o.open()
	o.short = nil
	o.handed += uint64(len(b.bytes))
	o.given.Store(o.handed)
	return b
}

// give writes a buffer.
func (o *outbox) give(b *buffer) error {
	o.writes.Add(1)
	_, err := o.conn.Write(b.bytes)
	o.writes.Add(1)
	if cap(b.bytes) <= bufferKept {
		b.bytes = b.bytes[:0]
		o.buffers.Put(b)
	}
	return err
}

func (o *outbox) open() *buffer {
	if o.short == nil {
		o.short = o.buffers.Get().(*buffer)
	}
	return o.short
}

func (o *outbox) add(k kind, call uint64, text []byte) *message {
	m := &message{kind: k, call: call, rest: text, done: make(chan struct{})}
	o.long = append(o.long, m)
	return m
}

// drop forgets what has not been written of a long message of the call.
func (o *outbox) drop(call uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(o.long, func(m *message) bool { return m.call == call }); i >= 0 {
		close(o.long[i].done)
		o.long = slices.Delete(o.long, i, i+1)
	}
}

// busy tells whether anything waits to be written.
func (o *outbox) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.empty()
}

// sent tells whether all of a request has been given to the connection. It is final once the outbox is closed.
func (o *outbox) sent(m mark) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.long != nil {
		return len(m.long.rest) == 0
	}
	return o.handed >= m.end
}

// finish lets the writer end when all is written.
func (o *outbox) finish() {
	o.mu.Lock()
	o.finishing = true
	o.unlock()
}

// close ends the writer at once and whoever waits for room.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	for _, m := range o.long {
		close(m.done)
	}
	o.long = nil
	o.makeRoom()
	o.unlock()
}

func (o *outbox) makeRoom() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// write is the writer: it writes what comes into the outbox until that is closed or finished, or a write fails.
func (o *outbox) write() error {
	for {
		b, err := o.take()
		if b == nil {
			return err
		}
		if err := o.give(b); err != nil {
			return err
		}
	}
}

// take blocks until there is something to write. It returns nil at the end, with the error of whoever has written directly.
func (o *outbox) take() (*buffer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.empty() || o.ended() {
		if o.ended() || o.finishing {
			return nil, o.failed
		}
		o.idle = true
		o.mu.Unlock()
		<-o.wake
		runtime.Gosched() // others that are about to write come first, so that one write takes all
		o.mu.Lock()
	}
	b := o.hand()
	o.makeRoom()
	o.turn(b)
	return b, nil
}

// turn appends a frame of the long message whose turn it is.
func (o *outbox) turn(b *buffer) {
	if len(o.long) == 0 {
		return
	}
	m := o.long[0]
	piece := m.rest[:min(len(m.rest), payloadMost)]
	m.rest = m.rest[len(piece):]
	b.bytes = appendFrame(b.bytes, m.kind, len(m.rest) > 0, m.call, piece)
	o.long = append(o.long[:0], o.long[1:]...)
	if len(m.rest) > 0 {
		o.long = append(o.long, m)
	} else {
		close(m.done)
	}
}

// A quiet tells whether calls come one by one, or have a moment ago come together: then there is more to be written in one go
// although a call seems to be alone, as the first and the last of many do. It is how many calls have to come alone until they do.
type quiet uint8

const quietAfter = 8

// alone notes that a call has come, and tells whether it is one that comes alone. So many are under way with it.
func (q *quiet) alone(calls int) bool {
	switch {
	case calls > 1:
		*q = quietAfter
	case *q > 0:
		*q--
	}
	return *q == 0
}
