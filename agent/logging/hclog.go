package logging

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// Hclog returns a logger for libraries that want hashicorp/go-hclog, whose lines come under the name of a module.
func Hclog(to *slog.Logger, module string) hclog.Logger {
	return &bridge{root: to, to: to.With(Module, module), name: module}
}

// bridge is a hclog.Logger. It is never changed; its level is that of the Logger behind it.
type bridge struct {
	root *slog.Logger // without module and implied
	to   *slog.Logger
	name string
	args []any
}

// Log writes a record.
func (b *bridge) Log(level hclog.Level, msg string, args ...any) {
	at := slogLevel(level)
	if !b.to.Enabled(context.Background(), at) {
		return
	}
	b.to.Log(context.Background(), at, msg, convert(args)...)
}

// Trace writes a record of that level.
func (b *bridge) Trace(msg string, args ...any) { b.Log(hclog.Trace, msg, args...) }

// Debug writes a record of that level.
func (b *bridge) Debug(msg string, args ...any) { b.Log(hclog.Debug, msg, args...) }

// Info writes a record of that level.
func (b *bridge) Info(msg string, args ...any) { b.Log(hclog.Info, msg, args...) }

// Warn writes a record of that level.
func (b *bridge) Warn(msg string, args ...any) { b.Log(hclog.Warn, msg, args...) }

// Error writes a record of that level.
func (b *bridge) Error(msg string, args ...any) { b.Log(hclog.Error, msg, args...) }

// IsTrace reports whether the level is wanted.
func (b *bridge) IsTrace() bool { return b.wants(hclog.Trace) }

// IsDebug reports whether the level is wanted.
func (b *bridge) IsDebug() bool { return b.wants(hclog.Debug) }

// IsInfo reports whether the level is wanted.
func (b *bridge) IsInfo() bool { return b.wants(hclog.Info) }

// IsWarn reports whether the level is wanted.
func (b *bridge) IsWarn() bool { return b.wants(hclog.Warn) }

// IsError reports whether the level is wanted.
func (b *bridge) IsError() bool { return b.wants(hclog.Error) }

func (b *bridge) wants(level hclog.Level) bool {
	return b.to.Enabled(context.Background(), slogLevel(level))
}

// ImpliedArgs returns what With was given.
func (b *bridge) ImpliedArgs() []any { return slices.Clone(b.args) }

// With returns a logger that adds keys and values to each record.
func (b *bridge) With(args ...any) hclog.Logger {
	return b.under(b.name, append(slices.Clone(b.args), args...))
}

// Name returns the module.
func (b *bridge) Name() string { return b.name }

// Named returns a logger for a part of the module.
func (b *bridge) Named(name string) hclog.Logger {
	if b.name != "" {
		name = b.name + "." + name
	}
	return b.under(name, b.args)
}

// ResetNamed returns a logger for another module.
func (b *bridge) ResetNamed(name string) hclog.Logger { return b.under(name, b.args) }

func (b *bridge) under(name string, args []any) hclog.Logger {
	return &bridge{root: b.root, to: b.root.With(Module, name).With(convert(args)...), name: name, args: args}
}

// SetLevel does nothing: the level belongs to the whole agent.
func (b *bridge) SetLevel(hclog.Level) {}

// GetLevel returns the lowest level that is wanted.
func (b *bridge) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error} {
		if b.wants(level) {
			return level
		}
	}
	return hclog.Off
}

// StandardLogger returns a logger of the standard library with this one behind it.
func (b *bridge) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(b.StandardWriter(o), "", 0)
}

// StandardWriter returns a writer of lines, which may begin with a level in brackets.
func (b *bridge) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	if o != nil && o.ForceLevel != hclog.NoLevel {
		return forcedWriter{b, o.ForceLevel}
	}
	return Writer(b.to, slog.LevelInfo)
}

// forcedWriter gives all lines one level, whatever they say.
type forcedWriter struct {
	to    *bridge
	level hclog.Level
}

// Write takes one line.
func (w forcedWriter) Write(line []byte) (int, error) {
	_, text := cutLevel(line, slog.LevelInfo)
	w.to.Log(w.level, string(text))
	return len(line), nil
}

// levelNever is below all levels that anybody can want.
const levelNever = slog.Level(math.MinInt32)

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return LevelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	case hclog.Off:
		return levelNever
	}
	return slog.LevelInfo
}

// convert turns pairs into attributes, with hclog's ways to print numbers. A value without a key gets one.
func convert(args []any) []any {
	attrs := make([]any, 0, (len(args)+1)/2)
	for len(args) > 1 {
		key, ok := args[0].(string)
		if !ok {
			key = fmt.Sprint(args[0])
		}
		attrs = append(attrs, slog.Any(key, printed(args[1])))
		args = args[2:]
	}
	if len(args) == 1 {
		attrs = append(attrs, slog.Any(hclog.MissingKey, printed(args[0])))
	}
	return attrs
}

func printed(v any) any {
	switch v := v.(type) {
	case hclog.Hex:
		return fmt.Sprintf("0x%x", int(v))
	case hclog.Octal:
		return fmt.Sprintf("0%o", int(v))
	case hclog.Binary:
		return fmt.Sprintf("0b%b", int(v))
	case hclog.Quote:
		return fmt.Sprintf("%q", string(v))
	case hclog.Format:
		if len(v) > 0 {
			return fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...)
		}
	}
	return v
}
