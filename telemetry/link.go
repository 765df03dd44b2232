package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// datagramSize bounds the lines that share a datagram.
	datagramSize = 1400
	// bufferSize bounds what waits for a stream.
	bufferSize = 1 << 20

	dialTimeout  = 2 * time.Second
	writeTimeout = time.Second
	redialAfter  = 10 * time.Second
)

// dialect is how a collector wants its lines, all of the form name:value|kind.
type dialect struct {
	name    string
	network string
	// tags says that labels follow as |#name:value,... instead of being parts of the name.
	tags bool
	// rates says that |@rate may stand for a value that came 1/rate times.
	rates bool
}

var (
	statsd    = dialect{name: "statsd", network: "udp", rates: true}
	statsite  = dialect{name: "statsite", network: "tcp"}
	dogstatsd = dialect{name: "dogstatsd", network: "udp", tags: true, rates: true}
)

// point is one value, which came a number of times (none means once).
type point struct {
	value float64
	kind  string
	times uint64
}

// link is the way to one collector. Lines gather in a buffer; flush sends them, or drops them if there is no way.
type link struct {
	dialect dialect
	address string
	tags    string
	log     *slog.Logger

	conn    net.Conn
	retry   time.Time
	ended   []int // ends of the lines in pending
	pending []byte
	dropped int
}

func (l *link) connect(ctx context.Context) error {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, l.dialect.network, l.address)
	if err != nil {
		return err
	}
	l.conn = conn
	return nil
}

func (l *link) close() {
	if l.conn != nil {
		_ = l.conn.Close() // nothing is owed to it
		l.conn = nil
	}
}

// write adds a line, or several where the dialect has no rates.
func (l *link) write(name string, labels []Label, p point) {
	lines := uint64(1)
	if !l.dialect.rates {
		lines = max(p.times, 1)
	}
	for range lines {
		if len(l.pending) > bufferSize {
			l.dropped++
			continue
		}
		l.pending = l.appendLine(l.pending, name, labels, p)
		l.ended = append(l.ended, len(l.pending))
	}
}

func (l *link) appendLine(b []byte, name string, labels []Label, p point) []byte {
	b = appendClean(b, name)
	if !l.dialect.tags {
		for _, label := range labels {
			b = appendClean(append(b, '.'), label.Value)
		}
	}
	b = strconv.AppendFloat(append(b, ':'), p.value, 'f', 6, 64)
	b = append(append(b, '|'), p.kind...)
	if l.dialect.rates && p.times > 1 {
		// Rounded down, so that its inverse, cut to a whole number, is not one too few.
		rate := math.Floor(1e9/float64(p.times)) / 1e9
		b = strconv.AppendFloat(append(b, "|@"...), rate, 'f', 9, 64)
	}
	if l.dialect.tags {
		b = l.appendTags(b, labels)
	}
	return append(b, '\n')
}

func (l *link) appendTags(b []byte, labels []Label) []byte {
	mark := "|#"
	if l.tags != "" {
		b = append(append(b, mark...), l.tags...)
		mark = ","
	}
	for _, label := range labels {
		b = appendClean(append(b, mark...), label.Name)
		b = append(append(b, ':'), tagValue.Replace(label.Value)...)
		mark = ","
	}
	return b
}

// tagValue takes out what would end a tag.
var tagValue = strings.NewReplacer(",", "_", "|", "_", "\n", "_", "#", "_")

// appendClean adds a part of a name without the bytes that would end it.
func appendClean(b []byte, part string) []byte {
	for i := range len(part) {
		switch c := part[i]; c {
		case ':', ' ', '|', '\n', '@':
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return b
}

// flush sends what waits.
func (l *link) flush(ctx context.Context) {
	defer func() { l.pending, l.ended = l.pending[:0], l.ended[:0] }()
	if l.conn == nil && !l.reconnect(ctx) {
		return
	}
	// A refused datagram says that one before it found nobody: the next may.
	if err := l.send(); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		l.fail("metrics not sent", err)
	}
	if l.dropped > 0 {
		l.log.Warn("metrics dropped, too many at once", "to", l.dialect.name, "lines", l.dropped)
		l.dropped = 0
	}
}

func (l *link) reconnect(ctx context.Context) bool {
	if time.Now().Before(l.retry) {
		return false
	}
	if err := l.connect(ctx); err != nil {
		l.fail("metrics collector not reached", err)
		return false
	}
	return true
}

// fail gives the connection up and waits before the next attempt.
func (l *link) fail(what string, err error) {
	l.close()
	l.retry = time.Now().Add(redialAfter)
	l.log.Warn(what, "to", l.dialect.name, "address", l.address, "error", err)
}

func (l *link) send() error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if l.dialect.network == "tcp" {
		_, err := l.conn.Write(l.pending)
		return err
	}
	for from, i := 0, 0; i < len(l.ended); i++ {
		if i+1 < len(l.ended) && l.ended[i+1]-from <= datagramSize {
			continue
		}
		// Without its last line feed, as datagrams need none.
		if _, err := l.conn.Write(l.pending[from : l.ended[i]-1]); err != nil {
			return err
		}
		from = l.ended[i]
	}
	return nil
}
