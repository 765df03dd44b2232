package health

import (
	"io"
	"strings"
	"unicode/utf8"
)

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
