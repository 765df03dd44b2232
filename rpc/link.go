package rpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A side is what a link does for: the caller's or the callee's end of a connection.
type side interface {
	// receive is called with one frame after another. An error ends the link. It must not block.
	receive(f frame) error
	// tick is called at regular intervals. It tells whether calls are under way, or why the link should end.
	tick() (busy bool, err error)
	// broken is called once, when the link has ended.
	broken(err error)
}

// A link is one end of a connection of calls. It has one goroutine that reads, one that writes and a timer that
// notices when the other side is gone.
type link struct {
	conn    net.Conn
	frames  *frameReader
	out     *outbox
	side    side
	every   time.Duration                 // of the timer
	written chan struct{}                 // closed when the writer has ended
	heard   atomic.Bool                   // something has been read since the last tick
	ear     atomic.Pointer[chan struct{}] // closed, and replaced by nil, when something is read; nil if nobody listens
	watch   watch

	mu    sync.Mutex  // guards what follows
	err   error       // why the link has ended
	timer *time.Timer // nil until run
}

func newLink(conn net.Conn, frames *frameReader, out *outbox, every time.Duration, s side) *link {
	l := &link{conn: conn, frames: frames, out: out, side: s, every: every, written: make(chan struct{})}
	frames.heard = func() {
		out.hear()
		if !l.heard.Load() {
			l.heard.Store(true)
		}
		if ear := l.ear.Load(); ear != nil && l.ear.CompareAndSwap(ear, nil) {
			close(*ear)
		}
	}
	return l
}

// run serves the link until it ends.
func (l *link) run() {
	if !l.start() {
		return
	}
	for {
		f, err := l.frames.next()
		if err == nil {
			err = l.receive(f)
		}
		if err != nil {
			l.fail(err)
			break
		}
	}
	<-l.written
}

// start reports whether the link has begun, and not ended before.
func (l *link) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	l.timer = time.AfterFunc(l.every, l.tick)
	go func() {
		defer close(l.written)
		if err := l.out.write(); err != nil {
			l.fail(err)
		}
	}()
	return true
}

func (l *link) receive(f frame) error {
	switch f.kind {
	case kindPing:
		return l.out.control(kindPong, 0, nil)
	case kindPong:
		return nil
	default:
		return l.side.receive(f)
	}
}

// listen returns what is closed when something is read.
func (l *link) listen() <-chan struct{} {
	fresh := make(chan struct{})
	for {
		if ear := l.ear.Load(); ear != nil {
			return *ear
		}
		if l.ear.CompareAndSwap(nil, &fresh) {
			return fresh
		}
	}
}

// reach blocks until the other side has shown that it is there, asked by a ping, or returns errGone.
func (l *link) reach(ctx context.Context) error {
	heard := l.listen()
	if l.out.control(kindPing, 0, nil) != nil {
		return errGone
	}
	select {
	case <-heard:
		return nil
	case <-l.written:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail ends the link. The first error is the one that counts.
func (l *link) fail(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	l.mu.Unlock()
	if first {
		l.out.close()
		l.side.broken(err) // first, as closing may take a while
		l.conn.Close()
	}
}

// finishTime bounds how long a link may take to write what is left.
const finishTime = time.Second

// finish ends the link when all that is in the outbox has been written.
func (l *link) finish(err error) {
	l.mu.Lock()
	started := l.timer != nil
	l.mu.Unlock()
	if started {
		l.conn.SetWriteDeadline(time.Now().Add(finishTime))
		l.out.finish()
		<-l.written
	}
	l.fail(err)
}

// tick looks whether the other side is still there.
func (l *link) tick() {
	busy, err := l.side.tick()
	if err != nil {
		l.fail(err)
		return
	}
	switch l.watch.tick(l.heard.Swap(false), busy || l.out.busy(), l.out.writes.Load()) {
	case verdictPing:
		err = l.out.control(kindPing, 0, nil)
	case verdictDead:
		err = errDead
	case verdictStalled:
		err = errStalled
	}
	if err != nil {
		l.fail(err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.timer.Reset(l.every)
	}
}

// A watch judges by what it sees at each tick.
type watch struct {
	quiet  int    // ticks without a byte from the other side
	probes int    // pings without a byte since
	writes uint32 // as counted at the last tick
	stuck  int    // ticks with the same write under way
}

type verdict int

const (
	verdictFine verdict = iota
	verdictPing
	verdictDead
	verdictStalled
)

const (
	probesMost = 2  // pings that may go unanswered
	idleTicks  = 15 // ticks of silence before the first ping, if no calls are under way
	stuckMost  = 5  // ticks that one write may take
)

func (w *watch) tick(heard, busy bool, writes uint32) verdict {
	if writes%2 == 1 && writes == w.writes {
		w.stuck++
	} else {
		w.stuck, w.writes = 0, writes
	}
	if heard {
		w.quiet, w.probes = 0, 0
	} else {
		w.quiet++
	}
	switch {
	case w.stuck >= stuckMost:
		return verdictStalled
	case heard:
		return verdictFine
	case w.probes >= probesMost:
		return verdictDead
	case w.probes > 0 || busy || w.quiet >= idleTicks:
		w.probes++
		return verdictPing
	default:
		return verdictFine
	}
}
