package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The libraries below complain of each malformed packet, so what strangers send must not fill a disk: warnings and
// errors beyond this rate are counted, and the count is logged with the next one that passes.
const (
	complaintsPerSecond = 2
	complaintBurst      = 50
)

// bridge turns the lines of a *log.Logger, as "[WARN] serf: text", into records of slog.
type bridge struct {
	to *slog.Logger

	// mu guards the rest.
	mu         sync.Mutex
	limit      *rate.Limiter
	suppressed int
}

func newBridge(to *slog.Logger) *log.Logger {
	return log.New(&bridge{to: to, limit: rate.NewLimiter(complaintsPerSecond, complaintBurst)}, "", 0)
}

// Write takes one line.
func (b *bridge) Write(line []byte) (int, error) {
	level, text := splitLevel(line)
	if !b.to.Enabled(context.Background(), level) {
		return len(line), nil
	}
	if level < slog.LevelWarn {
		b.to.Log(context.Background(), level, string(text))
		return len(line), nil
	}
	suppressed, ok := b.pass()
	if !ok {
		return len(line), nil
	}
	if suppressed > 0 {
		b.to.Warn("gossip messages suppressed", "messages", suppressed)
	}
	b.to.Log(context.Background(), level, string(text))
	return len(line), nil
}

func (b *bridge) pass() (suppressed int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.limit.AllowN(time.Now(), 1) {
		b.suppressed++
		return 0, false
	}
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// splitLevel takes the level in brackets off a line; without one it is information.
func splitLevel(line []byte) (slog.Level, []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '[' {
		return slog.LevelInfo, line
	}
	end := bytes.IndexByte(line, ']')
	if end < 0 {
		return slog.LevelInfo, line
	}
	text := bytes.TrimSpace(line[end+1:])
	switch strings.ToUpper(string(line[1:end])) {
	case "TRACE", "DEBUG":
		return slog.LevelDebug, text
	case "WARN":
		return slog.LevelWarn, text
	case "ERR", "ERROR":
		return slog.LevelError, text
	default:
		return slog.LevelInfo, text
	}
}
