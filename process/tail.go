package process

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Tail is a writer that keeps the last bytes of what it is given, in bounded memory.
type Tail struct {
	limit int
	kept  []byte // at most twice the limit
	total int64
}

// NewTail makes a Tail that keeps limit bytes.
func NewTail(limit int) *Tail { return &Tail{limit: limit} }

// Write takes all of p and never fails.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	if len(p) > t.limit {
		p = p[len(p)-t.limit:]
	}
	if len(t.kept)+len(p) > 2*t.limit {
		t.kept = append(t.kept[:0], last(t.kept, t.limit-len(p))...)
	}
	t.kept = append(t.kept, p...)
	return n, nil
}

// Text is the output for users, with a first line that says so if something was dropped.
func (t *Tail) Text() string {
	if t.total <= int64(t.limit) {
		return printable(t.kept)
	}
	b := last(t.kept, t.limit)
	for len(b) > 0 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	return fmt.Sprintf("Captured %d of %d bytes\n...\n%s", t.limit, t.total, printable(b))
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// Total is how many bytes were written.
func (t *Tail) Total() int64 { return t.total }

// printable is b with what is not UTF-8 replaced.
func printable(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
