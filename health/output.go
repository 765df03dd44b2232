package health

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A tail is a writer that keeps the last bytes of what it is given, in bounded memory.
type tail struct {
	limit int
	kept  []byte // at most twice the limit
	total int64
}

func newTail(limit int) *tail { return &tail{limit: limit} }

// Write takes all of p and never fails.
func (t *tail) Write(p []byte) (int, error) {
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

// text is the output for users, with a first line that says so if something was dropped.
func (t *tail) text() string {
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

// head reads at most limit bytes and makes text of them. What cannot be read any more is left out.
func head(r io.Reader, limit int) string {
	b, _ := io.ReadAll(io.LimitReader(r, int64(limit)))
	if len(b) == limit {
		b = whole(b)
	}
	return printable(b)
}

// whole drops a character at the end that has been cut in two.
func whole(b []byte) []byte {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// printable is b with what is not UTF-8 replaced.
func printable(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
