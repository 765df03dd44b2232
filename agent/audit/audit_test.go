package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lictor/agent/logging"
)

func file(path string) Sink {
	return Sink{Name: "test", Type: FileSink, File: logging.FileConfig{Path: path}}
}

// count counts whole records in files, by ID.
func count(t *testing.T, paths ...string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var r struct{ Payload Event }
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			seen[r.Payload.ID]++
		}
	}
	return seen
}

// Whatever is reloaded meanwhile: what has begun has two records.
func TestNoRecordIsLostByReloads(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	l := New(Config{Log: slog.New(slog.DiscardHandler)})
	var paths []string
	for i := range 3 {
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("%d.json", i)))
		if err := l.Reload([]Sink{file(paths[i])}); err != nil {
			t.Fatal(err)
		}
	}
	var begun atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				if o := l.Begin(HTTP, nil, Request{Operation: "GET", Endpoint: "/"}); o != nil {
					begun.Add(1)
					o.End(Response{Status: "200"})
				}
			}
		})
	}
	for i := range 60 {
		sinks := []Sink{file(paths[i%3])}
		if i%7 == 3 {
			sinks = nil
		}
		if err := l.Reload(sinks); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	seen := count(t, paths...)
	if int64(len(seen)) != begun.Load() {
		t.Errorf("%d operations have begun, %d have records", begun.Load(), len(seen))
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("%s has %d records", id, n)
		}
	}
}

// A sink that cannot be written is told of once, and counted; nobody waits for it.
func TestSinkThatFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	var text bytes.Buffer
	var lost, written atomic.Int64
	l := New(Config{Log: slog.New(slog.NewTextHandler(&text, nil)), Lost: func() { lost.Add(1) }, Written: func() { written.Add(1) }})
	if err := l.Reload([]Sink{file("/dev/full")}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		l.Note(DNS, nil, Request{}, Response{})
	}
	l.Stop()
	if lost.Load() != 10 || written.Load() != 0 || strings.Count(text.String(), "cannot be written") != 1 {
		t.Errorf("%d lost, %d written\n%s", lost.Load(), written.Load(), &text)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l := New(Config{Log: slog.New(slog.DiscardHandler)})
	s := file(filepath.Join(dir, "audit.json"))
	s.File.MaxBytes, s.File.Keep = 2000, 2
	if err := l.Reload([]Sink{s}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		l.Note(HTTP, nil, Request{Endpoint: "/"}, Response{Status: "200"})
	}
	l.Stop()
	names, _ := filepath.Glob(filepath.Join(dir, "audit*.json"))
	if len(names) != 3 {
		t.Errorf("%v", names)
	}
	for _, name := range names {
		info, _ := os.Stat(name)
		if info.Size() > 2000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v", name, info.Size(), info.Mode())
		}
	}
	count(t, names...)
}

// A sink that cannot be opened changes nothing.
func TestSinkThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.json")
	l := New(Config{Log: slog.New(slog.DiscardHandler)})
	if err := l.Reload([]Sink{file(path)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload([]Sink{file(path + ".new"), file(path + "/below")}); err == nil || !strings.Contains(err.Error(), `audit.sink "test"`) {
		t.Errorf("%v", err)
	}
	if err := l.Reload([]Sink{file(path), {Name: "sys", Type: SyslogSink, Facility: "LOCAL9"}}); err == nil || !strings.HasPrefix(err.Error(), `audit.sink "sys": unknown syslog facility "LOCAL9"`) {
		t.Errorf("%v", err)
	}
	l.Note(HTTP, nil, Request{}, Response{})
	l.Stop()
	if n := len(count(t, path)); n != 1 {
		t.Errorf("%d records", n)
	}
}

// A hanger is a place that takes nothing until it is let go.
type hanger chan struct{}

func (h hanger) Write([]byte) error { <-h; return nil }
func (h hanger) Close() error       { return nil }

// hanging makes a log that is on, whose sinks write to the hanger.
func hanging(h hanger, n int) *Log {
	l := New(Config{Log: slog.New(slog.DiscardHandler)})
	var all []*sink
	for i := range n {
		all = append(all, l.begin(Sink{Name: fmt.Sprint(i), File: logging.FileConfig{Path: fmt.Sprint(i)}}, h))
	}
	l.replace(&sinks{all: all})
	l.on = true
	return l
}

// fill fills the queues of hanging sinks, without waiting.
func fill(l *Log) {
	for range queueSize + 1 {
		l.Note(DNS, nil, Request{}, Response{})
		synctest.Wait() // until the sink has the first, which it does not get rid of
	}
}

// Sinks that hang hold nobody up for longer than patience: both records together, and however many sinks there are.
func TestHangingSinksHoldNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := make(hanger)
		l := hanging(h, 3)
		fill(l)
		var all sync.WaitGroup
		request := func() {
			begin := time.Now()
			l.Begin(HTTP, nil, Request{}).End(Response{})
			if took := time.Since(begin); took > patience {
				t.Errorf("a request was held up for %v", took)
			}
		}
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * patience / 40)
				request()
			})
		}
		all.Wait()
		begin := time.Now()
		if request(); time.Since(begin) > 0 {
			t.Errorf("who comes later still waits, for %v", time.Since(begin))
		}
		close(h)
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// A sink that writes, but too slowly for those who ask, holds each of them up for patience at most.
func TestSlowSinkHoldsNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := make(hanger)
		l := hanging(h, 2)
		fill(l)
		slow := time.NewTicker(patience * 2 / 3)
		over := make(chan struct{})
		var all, writer sync.WaitGroup
		writer.Go(func() {
			for {
				select {
				case <-slow.C:
					select {
					case h <- struct{}{}:
					default:
					}
				case <-over:
					return
				}
			}
		})
		for range 20 {
			all.Go(func() {
				for range 10 {
					begin := time.Now()
					l.Begin(HTTP, nil, Request{}).End(Response{})
					if took := time.Since(begin); took > patience {
						t.Errorf("a request was held up for %v", took)
					}
				}
			})
		}
		all.Wait()
		close(over)
		writer.Wait()
		close(h)
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// Neither a reload to other sinks nor the end of a log whose sink hangs holds requests up for longer.
func TestReloadOfHangingSinkHoldsNobodyUpForLong(t *testing.T) {
	for name, wanted := range map[string][]Sink{"other sinks": {file(filepath.Join(t.TempDir(), "audit.json"))}, "off": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := make(hanger)
				l := hanging(h, 1)
				fill(l)
				var all sync.WaitGroup
				for i := range 40 {
					all.Go(func() {
						time.Sleep(time.Duration(i) * patience / 20)
						begin := time.Now()
						l.Begin(HTTP, nil, Request{}).End(Response{})
						if took := time.Since(begin); took > patience {
							t.Errorf("a request was held up for %v", took)
						}
					})
				}
				time.Sleep(patience / 2)
				_ = l.Reload(wanted) // which tells of what is not written
				all.Wait()
				close(h)
				if err := l.Stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
