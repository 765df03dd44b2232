package process

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTail(t *testing.T) {
	tests := []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"little", []string{"a", "b"}, "ab"},
		{"just enough", []string{"12345678"}, "12345678"},
		{"one more", []string{"12345678", "9"}, "Captured 8 of 9 bytes\n...\n23456789"},
		{"much at once", []string{"x", strings.Repeat("a", 100) + "12345678"}, "Captured 8 of 109 bytes\n...\n12345678"},
		{"a cut character", []string{"xé", "1234567"}, "Captured 8 of 10 bytes\n...\n1234567"},
		{"not UTF-8", []string{"a\xff\xfeb"}, "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := NewTail(8)
			for _, w := range tt.writes {
				out.Write([]byte(w))
			}
			if got := out.Text(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("some output"), 4, 3)
	f.Fuzz(func(t *testing.T, in []byte, limit, chunk int) {
		if limit < 1 || limit > 1000 || chunk < 1 {
			t.Skip()
		}
		out := NewTail(limit)
		for rest := in; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
			out.Write(rest[:min(chunk, len(rest))])
		}
		if len(out.kept) > 2*limit || cap(out.kept) > 8*limit+64 {
			t.Errorf("%d bytes (capacity %d) are kept, the limit is %d", len(out.kept), cap(out.kept), limit)
		}
		if got := string(last(out.kept, limit)); got != string(last(in, limit)) {
			t.Errorf("kept %q of %q", got, in)
		}
		if !utf8.ValidString(out.Text()) {
			t.Errorf("%q is not UTF-8", out.Text())
		}
	})
}
