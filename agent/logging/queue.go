package logging

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	// queueSize is how many lines may wait for a receiver that is slow.
	queueSize = 1024
	// farewell is how long the end of a queue waits for its receiver.
	farewell = time.Second
)

// A queue stands before a receiver that may hang, so that those who log never wait for it. What does not fit is lost,
// and once there is room again a line says how much that was.
type queue struct {
	to      priorityWriter
	waiting chan waitingLine
	lost    int           // lines since the last that fitted; guarded by the Logger, whose calls come one at a time
	ended   chan struct{} // closed when the receiver is closed
	err     error         // of closing it; set before ended is closed
}

type waitingLine struct {
	level slog.Level
	text  []byte
}

// enqueue starts a queue. Its Close ends it, and closes the receiver.
func enqueue(to priorityWriter) *queue {
	q := &queue{to: to, waiting: make(chan waitingLine, queueSize), ended: make(chan struct{})}
	go q.run()
	return q
}

// run hands lines on until Close is called, and then closes the receiver.
func (q *queue) run() {
	defer close(q.ended)
	for line := range q.waiting {
		// A line that cannot be sent has nowhere else to go; the standard output has it, too.
		_ = q.to.write(line.level, line.text)
	}
	q.err = q.to.Close()
}

func (q *queue) write(level slog.Level, line []byte) error {
	if q.lost > 0 {
		notice := fmt.Sprintf("[WARN]  agent: lines of log were lost, as syslog did not take them: lines=%d\n", q.lost)
		if !q.offer(waitingLine{slog.LevelWarn, []byte(notice)}) {
			q.lost++
			return nil
		}
		q.lost = 0
	}
	if !q.offer(waitingLine{level, line}) {
		q.lost++
	}
	return nil
}

func (q *queue) offer(line waitingLine) bool {
	select {
	case q.waiting <- line:
		return true
	default:
		return false
	}
}

// Close waits a moment for the lines that wait. A receiver that hangs is left to the end of the process.
func (q *queue) Close() error {
	close(q.waiting)
	select {
	case <-q.ended:
		return q.err
	case <-time.After(farewell):
		return fmt.Errorf("syslog: it has not taken %d lines of log", len(q.waiting)+1)
	}
}
