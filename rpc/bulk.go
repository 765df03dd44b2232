package rpc

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A bulk connection carries one transfer. After the hellos the caller sends a call, pieces and an end; the other side
// sends pieces and an end, or an error. TCP holds back who is faster. Both sides send a ping at each interval, and who
// reads gives up when it has heard nothing for several of them.
type bulk struct {
	conn     net.Conn
	frames   *frameReader
	interval time.Duration
	stop     chan struct{} // ends the pings
	pinging  sync.WaitGroup

	turn chan []byte // holds the buffer of who writes next; a write may take long
}

// silentIntervals is how many intervals without a byte mean that the other side is gone.
const silentIntervals = 4

func newBulk(conn net.Conn, frames *frameReader, interval time.Duration) *bulk {
	b := &bulk{conn: conn, frames: frames, interval: interval, stop: make(chan struct{}), turn: make(chan []byte, 1)}
	b.turn <- nil
	return b
}

// ping sends pings until close. If one cannot be sent, it calls lost.
func (b *bulk) ping(lost func()) {
	b.pinging.Add(1)
	go func() {
		defer b.pinging.Done()
		ticker := time.NewTicker(b.interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				select {
				case buf := <-b.turn:
					if b.write(buf, kindPing, false, nil) != nil {
						lost()
						return
					}
				default: // what is being written is sign of life enough
				}
			case <-b.stop:
				return
			}
		}
	}()
}

// close hangs up and waits for the pings to end.
func (b *bulk) close() {
	b.conn.Close()
	close(b.stop)
	b.pinging.Wait()
}

// send sends one frame.
func (b *bulk) send(k kind, more bool, payload []byte) error {
	return b.write(<-b.turn, k, more, payload)
}

// write sends one frame by the buffer of who has the turn, and passes that on.
func (b *bulk) write(buf []byte, k kind, more bool, payload []byte) error {
	buf = appendFrame(buf[:0], k, more, 0, payload)
	_, err := b.conn.Write(buf)
	b.turn <- buf
	return err
}

// open sends the call that a transfer begins with.
func (b *bulk) open(h *head, args []byte) error {
	first := args[:min(len(args), payloadMost-h.size())]
	args = args[len(first):]
	if err := b.send(kindTransfer, len(args) > 0, append(h.append(nil), first...)); err != nil {
		return err
	}
	for len(args) > 0 {
		piece := args[:min(len(args), payloadMost)]
		args = args[len(piece):]
		if err := b.send(kindArgs, len(args) > 0, piece); err != nil {
			return err
		}
	}
	return nil
}

// Write sends pieces of the transfer.
func (b *bulk) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(len(p), n+payloadMost)]
		if err := b.send(kindItem, false, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// next blocks for the next frame that is not a ping.
func (b *bulk) next() (frame, error) {
	for {
		if err := b.conn.SetReadDeadline(time.Now().Add(silentIntervals * b.interval)); err != nil {
			return frame{}, err
		}
		f, err := b.frames.next()
		if err != nil || f.kind != kindPing {
			return f, err
		}
	}
}

// eof makes an end of the connection in the midst of something what it is.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
