package logging

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
)

// Writer returns a writer for libraries that log lines such as "[WARN] serf: text": each line becomes a record of the
// level in brackets, or of fallback if it has none.
func Writer(to *slog.Logger, fallback slog.Level) io.Writer { return lineWriter{to, fallback} }

// Standard returns a logger of the standard library that writes to Writer.
func Standard(to *slog.Logger, fallback slog.Level) *log.Logger {
	return log.New(Writer(to, fallback), "", 0)
}

type lineWriter struct {
	to       *slog.Logger
	fallback slog.Level
}

// Write takes one line.
func (w lineWriter) Write(line []byte) (int, error) {
	level, text := cutLevel(line, w.fallback)
	if w.to.Enabled(context.Background(), level) {
		w.to.Log(context.Background(), level, string(text))
	}
	return len(line), nil
}

// cutLevel takes the level in brackets off a line.
func cutLevel(line []byte, fallback slog.Level) (slog.Level, []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '[' {
		return fallback, line
	}
	end := bytes.IndexByte(line, ']')
	if end < 0 {
		return fallback, line
	}
	level, err := ParseLevel(string(line[1:end]))
	if err != nil {
		return fallback, line
	}
	return level, bytes.TrimSpace(line[end+1:])
}
