package rpc

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// A gate is a connection whose writes wait to be let through.
type gate struct {
	net.Conn
	written chan []byte
	let     chan error // what a write ends with
}

func (g *gate) Write(b []byte) (int, error) {
	g.written <- append([]byte(nil), b...)
	if err := <-g.let; err != nil {
		return 0, err
	}
	return len(b), nil
}

// An outboxTest is an outbox with its writer, in a bubble of synctest.
type outboxTest struct {
	*testing.T
	*outbox
	gate  *gate
	ended chan error // of the writer
	calls uint64
}

func newOutboxTest(t *testing.T) *outboxTest {
	g := &gate{written: make(chan []byte, 10), let: make(chan error)}
	o := &outboxTest{T: t, outbox: newOutbox(g, newBuffers()), gate: g, ended: make(chan error, 1)}
	go func() { o.ended <- o.write() }()
	synctest.Wait() // the writer is idle
	return o
}

// put puts a call of so many bytes into the outbox, and tells whether it is written by who has put it there, who then is not done.
func (o *outboxTest) put(alone bool, size int) (direct bool, done chan struct{}) {
	o.Helper()
	done = make(chan struct{})
	o.calls++
	id := o.calls
	go func() {
		defer close(done)
		if _, err := o.request(kindCall, id, &head{method: "M"}, make([]byte, size), alone, context.Background().Done); err != nil {
			o.Error(err)
		}
	}()
	synctest.Wait()
	select {
	case <-done:
		return false, done
	default:
		return true, done
	}
}

// written is how many frames the connection is given in one go.
func (o *outboxTest) written() (n int) {
	o.Helper()
	synctest.Wait()
	select {
	case b := <-o.gate.written:
		for ; len(b) > 0; n++ {
			b = b[frameHeader+(int(b[0])<<8|int(b[1])):]
		}
	default:
	}
	return n
}

// Who is alone writes what is short at once, and what others put into the outbox meanwhile is written together by the writer.
func TestWhoIsAloneWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutboxTest(t)
		direct, done := o.put(true, 10)
		if !direct || o.written() != 1 {
			t.Fatal("who is alone leaves it to the writer")
		}
		for range 3 {
			if direct, _ := o.put(true, 10); direct {
				t.Fatal("two write at once")
			}
		}
		if n := o.written(); n != 0 {
			t.Fatalf("%d frames are written while another write is under way", n)
		}
		o.gate.let <- nil
		<-done
		if n := o.written(); n != 3 {
			t.Errorf("%d frames are written in one go", n)
		}
		o.gate.let <- nil
		if direct, _ := o.put(false, 10); direct || o.written() != 1 {
			t.Error("who is not alone does not leave it to the writer")
		}
		o.gate.let <- nil
		o.finish()
		if err := <-o.ended; err != nil {
			t.Error(err)
		}
	})
}

// Nobody writes himself what the kernel may have no room for: much, or more and more while the other side says nothing.
func TestWhoIsAloneIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutboxTest(t)
		if direct, _ := o.put(true, directMost); direct {
			t.Error("somebody writes much himself")
		}
		o.gate.let <- nil
		synctest.Wait()
		if direct, _ := o.put(true, 10); direct {
			t.Error("somebody writes although much was written, and nothing was heard")
		}
		o.gate.let <- nil
		synctest.Wait()
		o.hear()
		direct, done := o.put(true, 10)
		if !direct {
			t.Error("who is alone leaves it to the writer although something was heard")
		}
		o.gate.let <- nil
		<-done
		o.close()
		if err := <-o.ended; err != nil {
			t.Error(err)
		}
	})
}

// A write that fails ends the writer, whoever has made it; and so does the end of the outbox while it is under way.
func TestDirectWritesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		o := newOutboxTest(t)
		_, done := o.put(true, 10)
		o.gate.let <- broken
		<-done
		if err := <-o.ended; !errors.Is(err, broken) {
			t.Errorf("the writer ends with %v", err)
		}
		o = newOutboxTest(t)
		_, done = o.put(true, 10)
		o.close()
		synctest.Wait()
		select {
		case err := <-o.ended:
			t.Errorf("the writer has ended with %v before the write that is under way", err)
		default:
		}
		o.gate.let <- nil
		<-done
		if err := <-o.ended; err != nil {
			t.Error(err)
		}
	})
}

// Calls that come together are not alone, nor is the first of the next ones.
func TestQuiet(t *testing.T) {
	var q quiet
	for i, c := range []struct {
		calls int
		alone bool
	}{{1, true}, {1, true}, {2, false}, {1, false}, {64, false}} {
		if got := q.alone(c.calls); got != c.alone {
			t.Errorf("call %d, of %d: %v", i, c.calls, got)
		}
	}
	for i := range quietAfter {
		if got, want := q.alone(1), i == quietAfter-1; got != want {
			t.Errorf("call %d after many: %v", i, got)
		}
	}
}
