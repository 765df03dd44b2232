package audit

import (
	"fmt"
	"io/fs"
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
	// patience is how long a request waits for a sink with a full queue, before its record is dropped.
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
	log     *Log
	name    string
	place   string
	waiting chan entry
	stalled atomic.Bool  // nothing has been written for patience
	dropped atomic.Int64 // since a line was last written
	ended   chan struct{}
	err     error // of closing; set before ended is closed
}

func (l *Log) openSink(c Sink) (*sink, error) {
	to, err := open(c)
	if err != nil {
		return nil, err
	}
	s := &sink{log: l, name: c.Name, place: c.place(), waiting: make(chan entry, queueSize), ended: make(chan struct{})}
	go s.run(to)
	return s, nil
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
		s.stalled.Store(false)
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

// offer hands a line over.
func (s *sink) offer(line []byte) {
	select {
	case s.waiting <- entry{line: line}:
		return
	default:
	}
	if !s.stalled.Load() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case s.waiting <- entry{line: line}:
			return
		case <-timer.C:
		}
		if !s.stalled.Swap(true) {
			s.log.Log.Error("the audit log hangs; requests go on without a record", "sink", s.name)
		}
	}
	s.dropped.Add(1)
	s.log.Lost()
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

// close ends the sink once all is written that was offered. One that hangs is left to the end of the process.
func (s *sink) close() error {
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
