package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// LevelTrace is the level below slog.LevelDebug.
const LevelTrace = slog.Level(-8)

// ParseLevel returns the level of a name in any case: trace, debug, info, warn, err or error.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "trace":
		return LevelTrace, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "err", "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("unknown log level %q: must be one of trace, debug, info, warn, err", name)
}

// LevelName returns the name of a level as the JSON form has it. Levels between two names have the lower one's.
func LevelName(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "trace"
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warn"
	}
	return "error"
}

// bracketed returns the name of a level as the text form has it, of constant width.
func bracketed(level slog.Level) string {
	switch LevelName(level) {
	case "trace":
		return "[TRACE]"
	case "debug":
		return "[DEBUG]"
	case "info":
		return "[INFO] "
	case "warn":
		return "[WARN] "
	}
	return "[ERROR]"
}
