package logging

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// A receiver takes lines, or hangs while somebody holds it.
type receiver struct {
	held  chan struct{} // full while it is held
	lines []string
}

func newReceiver() *receiver { return &receiver{held: make(chan struct{}, 1)} }

func (r *receiver) hold() { r.held <- struct{}{} }

func (r *receiver) release() { <-r.held }

func (r *receiver) write(_ slog.Level, line []byte) error {
	r.hold()
	defer r.release()
	r.lines = append(r.lines, string(line))
	return nil
}

func (r *receiver) Close() error { return r.write(0, []byte("closed")) }

func TestHungReceiverHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		l, err := New(Config{Level: "info"})
		if err != nil {
			t.Fatal(err)
		}
		l.sys = enqueue(r)
		r.hold()
		const sent = 3 * queueSize
		for i := range sent {
			l.Slog().Info(fmt.Sprintf("line %d", i))
			if i == 0 {
				synctest.Wait() // the receiver hangs on it, and makes no room later
			}
		}
		synctest.Wait()
		r.release()
		synctest.Wait()
		l.Slog().Info("after")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		kept := len(r.lines) - 3 // the notice, "after" and "closed"
		want := fmt.Sprintf("[WARN]  agent: lines of log were lost, as syslog did not take them: lines=%d\n", sent-kept)
		if end := r.lines[kept:]; end[0] != want || !strings.Contains(end[1], "after") || end[2] != "closed" {
			t.Errorf("got %q after %d lines, want %q", end, kept, want)
		}
		if kept < queueSize {
			t.Errorf("%d lines were kept, of which %d fit", kept, queueSize)
		}
	})
}

func TestEndWithHungReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver()
		q := enqueue(r)
		r.hold()
		if err := q.write(slog.LevelInfo, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err == nil {
			t.Error("nothing is said of the line that was not taken")
		}
		r.release()
	})
}
