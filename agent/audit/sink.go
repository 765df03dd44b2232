package audit

import (
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"lictor/agent/logging"
)

// The types of sinks.
const (
	FileSink   = "file"
	SyslogSink = "syslog"
)

// A Sink is where records are written to.
type Sink struct {
	Name     string
	Type     string             // FileSink or SyslogSink
	File     logging.FileConfig // of FileSink
	Facility string             // of SyslogSink
}

// place is what two sinks cannot share.
func (s *Sink) place() string {
	if s.Type == SyslogSink {
		return SyslogSink + " " + s.Facility
	}
	return FileSink + " " + s.File.Path
}

const (
	// queueSize is how many records may wait for a sink.
	queueSize = 4096
	// patience is how long a request waits for sinks with full queues, before its records are dropped: for all sinks and for both
	// records together.
	patience = time.Second
	// farewell is how long the end of a sink waits for what is in its queue.
	farewell = 5 * time.Second
)

// A taker takes lines.
type taker interface {
	Write(line []byte) error
	Close() error
}

// An entry is a line, or a change of the sink.
type entry struct {
	line   []byte
	change *Sink
	done   chan error // of the change
}

// A sink stands before a file or syslog, whose goroutine is the only one that writes there; it ends with close. If the queue is
// full those who write wait a moment, so that nobody escapes the log by asking fast; if nothing moves for longer, they do
// not wait any more, and what they bring is lost.
type sink struct {
	log      *Log
	name     string
	place    string
	waiting  chan entry
	offering sync.WaitGroup            // who hands lines over; none comes once other sinks are in force
	stuck    atomic.Pointer[time.Time] // when the queue was first found full since a line was last written
	told     atomic.Bool               // that nothing has been written for patience
	dropped  atomic.Int64              // since a line was last written
	ended    chan struct{}
	err      error // of closing; set before ended is closed
}

func (l *Log) openSink(c Sink) (*sink, error) {
	to, err := open(c)
	if err != nil {
		return nil, err
	}
	return l.begin(c, to), nil
}

// begin starts a sink that writes to a taker, which it closes in the end.
func (l *Log) begin(c Sink, to taker) *sink {
	s := &sink{log: l, name: c.Name, place: c.place(), waiting: make(chan entry, queueSize), ended: make(chan struct{})}
	go s.run(to)
	return s
}

func open(c Sink) (taker, error) {
	if c.Type == SyslogSink {
		to, err := logging.OpenSyslog(c.Facility)
		if err != nil {
			return nil, fmt.Errorf("audit.sink %q: %w", c.Name, err)
		}
		return to, nil
	}
	if c.File.Mode == 0 {
		c.File.Mode = fs.FileMode(0o600)
	}
	to, err := logging.OpenFile(c.File)
	if err != nil {
		return nil, fmt.Errorf("audit.sink %q: path: %w", c.Name, err)
	}
	return to, nil
}

// run writes what is offered.
func (s *sink) run(to taker) {
	defer close(s.ended)
	var failed int64 // lines in a row
	for e := range s.waiting {
		if e.change != nil {
			next, err := open(*e.change)
			if err == nil {
				_ = to.Close() // what was written is written
				to = next
			}
			e.done <- err
			continue
		}
		err := to.Write(e.line)
		s.stuck.Store(nil)
		s.told.Store(false)
		if err != nil {
			s.log.Lost()
			if failed++; failed == 1 {
				s.log.Log.Error("the audit log cannot be written; requests go on without a record", "sink", s.name, "error", err)
			}
			continue
		}
		s.log.Written()
		if lost := s.dropped.Swap(0) + failed; lost > 0 {
			s.log.Log.Warn("the audit log is written again", "sink", s.name, "lost", lost)
			failed = 0
		}
	}
	s.err = to.Close()
}

// A hold is how long somebody may still be held up.
type hold struct{ left time.Duration }

// offer hands a line over, or drops it once the hold is used up.
func (s *sink) offer(line []byte, h *hold) {
	select {
	case s.waiting <- entry{line: line}:
	default:
		if !s.await(line, h) {
			s.dropped.Add(1)
			s.log.Lost()
		}
	}
}

// await is offer where the queue is full; it tells whether the line was taken.
func (s *sink) await(line []byte, h *hold) bool {
	begin := time.Now()
	s.stuck.CompareAndSwap(nil, &begin)
	left := h.left
	if since := s.stuck.Load(); since != nil {
		left = min(left, patience-begin.Sub(*since))
	}
	timer := time.NewTimer(max(left, 0))
	defer timer.Stop()
	select {
	case s.waiting <- entry{line: line}:
		h.left -= time.Since(begin)
		return true
	case <-timer.C:
	}
	h.left -= time.Since(begin)
	if since := s.stuck.Load(); since != nil && time.Since(*since) >= patience && !s.told.Swap(true) {
		s.log.Log.Error("the audit log hangs; requests go on without a record", "sink", s.name)
	}
	return false
}

// change opens the sink anew, with other settings. If it cannot be opened, it goes on as it is.
func (s *sink) change(c Sink) error {
	e := entry{change: &c, done: make(chan error, 1)}
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case s.waiting <- e:
	case <-timer.C:
		return fmt.Errorf("audit.sink %q: it hangs", c.Name)
	}
	select {
	case err := <-e.done:
		return err
	case <-timer.C:
		return fmt.Errorf("audit.sink %q: it hangs", c.Name)
	}
}

// close ends the sink once all is written that was offered. One that hangs is left to the end of the process. Nobody may
// offer anything any more, except those who do so already.
func (s *sink) close() error {
	s.offering.Wait() // which takes patience at most
	close(s.waiting)
	timer := time.NewTimer(farewell)
	defer timer.Stop()
	select {
	case <-s.ended:
		return s.err
	case <-timer.C:
		return fmt.Errorf("audit.sink %q: it has not taken %d records", s.name, len(s.waiting))
	}
}
