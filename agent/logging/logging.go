// Package logging writes what the agent logs through log/slog: as lines of text or JSON that look like Consul's, to the
// standard output, a file that rotates and syslog, and live to whoever subscribes, each subscriber with its own level.
//
// It knows lines, levels and where they go. It knows nothing of what is logged or of configuration files.
package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultModule is the name of what logs without saying who it is.
const DefaultModule = "agent"

// Config says what is logged where.
type Config struct {
	// Level (log_level) is the name of the lowest level that is logged; empty means info.
	Level string
	// JSON (log_json) writes JSON in place of text.
	JSON bool
	// Output takes all lines, mostly the standard output. Nil means none.
	Output io.Writer

	// File (log_file) is a file, or a directory if it ends in a slash, that takes all lines, too. Empty means none.
	File string
	// RotateBytes (log_rotate_bytes) is the size at which the file is rotated; 0 means any size.
	RotateBytes int
	// RotateDuration (log_rotate_duration) is the age at which the file is rotated; 0 means 24 hours.
	RotateDuration time.Duration
	// RotateMaxFiles (log_rotate_max_files) is how many rotated files are kept; 0 means all and -1 means none.
	RotateMaxFiles int

	// Syslog (enable_syslog) sends all lines to the local syslog, too.
	Syslog bool
	// SyslogFacility (syslog_facility) is the name of the facility; empty means LOCAL0.
	SyslogFacility string
}

// Logger is where all records of one agent arrive. Its methods may be called by many goroutines at once.
type Logger struct {
	json   bool
	module string

	// level is the configured level, lowest the lowest that anybody wants.
	level  atomic.Int64
	lowest atomic.Int64

	// mu guards the outputs and keeps lines whole and in order.
	mu   sync.Mutex
	out  io.Writer
	file *rotated
	sys  priorityWriter

	// subscribing guards changes of subscribers and of the levels; the list itself is never changed in place.
	subscribing sync.Mutex
	subscribers atomic.Pointer[[]*Subscription]
}

// New opens the outputs. It fails on an unknown level or facility, and on a file or syslog that cannot be opened; then
// nothing is open. Close ends a Logger.
func New(cfg Config) (*Logger, error) {
	level := slog.LevelInfo
	if cfg.Level != "" {
		var err error
		if level, err = ParseLevel(cfg.Level); err != nil {
			return nil, err
		}
	}
	l := &Logger{json: cfg.JSON, module: DefaultModule, out: cfg.Output}
	l.subscribers.Store(&[]*Subscription{})
	l.SetLevel(level)
	if cfg.Syslog {
		if _, err := facilityCode(cfg.SyslogFacility); err != nil {
			return nil, err
		}
		sys, err := dialSyslog(cfg.SyslogFacility)
		if err != nil {
			return nil, fmt.Errorf("enable_syslog: %w", err)
		}
		l.sys = enqueue(sys)
	}
	if cfg.File != "" {
		file, err := openRotated(cfg)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.file = file
	}
	return l, nil
}

// Slog returns the logger to hand to all others. Its attribute Module names who logs.
func (l *Logger) Slog() *slog.Logger { return slog.New(&handler{to: l, module: l.module}) }

// SetLevel changes the lowest level that is logged, as a reload of the configuration does.
func (l *Logger) SetLevel(level slog.Level) {
	l.subscribing.Lock()
	defer l.subscribing.Unlock()
	l.level.Store(int64(level))
	l.settle()
}

// Level returns the lowest level that is logged.
func (l *Logger) Level() slog.Level { return slog.Level(l.level.Load()) }

// Close closes the file and syslog. What is logged later goes to Output and to subscribers only. It may be called twice.
func (l *Logger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.file != nil {
		errs = append(errs, l.file.close())
		l.file = nil
	}
	if l.sys != nil {
		errs = append(errs, l.sys.Close())
		l.sys = nil
	}
	return errors.Join(errs...)
}

// settle computes the lowest level that anybody wants. The caller holds subscribing.
func (l *Logger) settle() {
	lowest := l.level.Load()
	for _, s := range *l.subscribers.Load() {
		lowest = min(lowest, int64(s.level))
	}
	l.lowest.Store(lowest)
}

// write hands one record to the outputs and to the subscribers that want it.
func (l *Logger) write(r *record) error {
	var forms [2]form
	err := l.output(r, &forms)
	for _, s := range *l.subscribers.Load() {
		if r.level >= s.level {
			s.offer(forms[index(s.json)].line(r, s.json).bytes)
		}
	}
	return err
}

func (l *Logger) output(r *record, forms *[2]form) error {
	if int64(r.level) < l.level.Load() {
		return nil
	}
	f := forms[index(l.json)].line(r, l.json)
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.out != nil {
		_, err := l.out.Write(f.bytes)
		errs = append(errs, err)
	}
	if l.file != nil {
		errs = append(errs, l.file.write(f.bytes))
	}
	if l.sys != nil {
		errs = append(errs, l.sys.write(r.level, f.bytes[f.stamp:]))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// form is one form of a record, made when first asked for. The first stamp bytes of a line are its time.
type form struct {
	bytes []byte
	stamp int
}

func (f *form) line(r *record, json bool) *form {
	switch {
	case f.bytes != nil:
	case json:
		f.bytes = r.json()
	default:
		f.bytes = r.text()
		f.stamp = max(0, bytes.IndexByte(f.bytes, '['))
	}
	return f
}

func index(json bool) int {
	if json {
		return 1
	}
	return 0
}

// enabled reports whether anybody wants a level.
func (l *Logger) enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= l.lowest.Load()
}
