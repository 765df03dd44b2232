package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits of what is reported.
const (
	chunkSize  = 4 << 10
	chunkDelay = 500 * time.Millisecond // how long little output waits for more
	maxOutput  = 1 << 20
	maxUnsent  = 256 << 10 // a command that prints more waits
)

// A report is where a node tells of a job.
type report struct {
	store         Store
	session, base string
	chunks        int
}

// errGone tells that the job's session has ended: nobody wants the report.
var errGone = errors.New("the session of the job has ended")

func (r *report) put(ctx context.Context, name string, value []byte) error {
	done, err := r.store.Put(ctx, r.base+name, value, r.session)
	if err == nil && !done {
		err = errGone
	}
	return err
}

// say reports a line of our own.
func (r *report) say(ctx context.Context, text string) error { return r.chunk(ctx, []byte(text+"\n")) }

func (r *report) chunk(ctx context.Context, text []byte) error {
	err := r.put(ctx, fmt.Sprintf("out/%05x", r.chunks), text)
	r.chunks++
	return err
}

// send reports what comes, until that ends or a write fails.
func (r *report) send(ctx context.Context, from *chunks) error {
	defer from.stop()
	for {
		text, more := from.next(ctx)
		if len(text) > 0 {
			if err := r.chunk(ctx, text); err != nil {
				return fmt.Errorf("report output: %w", err)
			}
		}
		if !more {
			return nil
		}
	}
}

// chunks collects what a command prints, in bounded memory.
type chunks struct {
	mu      sync.Mutex // guards what follows
	room    *sync.Cond // told when there is room again
	unsent  []byte
	total   int
	ended   bool // nothing comes any more
	stopped bool // nobody takes anything any more

	ready   chan struct{} // has an element if there is a whole chunk, or the end
	drained chan struct{} // closed when all has been taken
}

func newChunks() *chunks {
	c := &chunks{ready: make(chan struct{}, 1), drained: make(chan struct{})}
	c.room = sync.NewCond(&c.mu)
	return c
}

// Write takes all of p and never fails. It blocks while too much is unsent.
func (c *chunks) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	for len(p) > 0 && !c.stopped && c.total < maxOutput {
		if len(c.unsent) >= maxUnsent {
			c.room.Wait()
			continue
		}
		part := p[:min(len(p), chunkSize, maxOutput-c.total)]
		p = p[len(part):]
		c.unsent = append(c.unsent, part...)
		if c.total += len(part); c.total == maxOutput {
			c.unsent = append(c.unsent, fmt.Sprintf("\n[what follows beyond %d bytes is left out]\n", maxOutput)...)
		}
		if len(c.unsent) >= chunkSize {
			c.wake()
		}
	}
	return n, nil
}

func (c *chunks) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// close says that the command has ended, and nothing will be written any more.
func (c *chunks) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.wake()
}

// stop lets writers go on, though nobody takes what they write.
func (c *chunks) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.room.Broadcast()
	close(c.drained)
}

// next waits for a chunk, or for what has come within a while. more is false once there is no more to come.
func (c *chunks) next(ctx context.Context) (text []byte, more bool) {
	timer := time.NewTimer(chunkDelay)
	defer timer.Stop()
	select {
	case <-c.ready:
	case <-timer.C:
	case <-ctx.Done():
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.unsent), chunkSize)
	text = append([]byte(nil), c.unsent[:n]...)
	c.unsent = append(c.unsent[:0:0], c.unsent[n:]...)
	c.room.Broadcast()
	if c.ended || len(c.unsent) >= chunkSize {
		c.wake()
	}
	return text, !c.ended || len(c.unsent) > 0
}
