package health

import (
	"strings"
	"testing"
	"testing/iotest"
)

func TestHead(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"short", "short"},
		{"12345678", "12345678"},
		{"123456789", "12345678"},
		{"1234567é", "1234567"},
		{"123456éé", "123456é"},
		{"12345\xff78", "12345\uFFFD78"},
	}
	for _, tt := range tests {
		if got := head(iotest.OneByteReader(strings.NewReader(tt.in)), 8); got != tt.want {
			t.Errorf("head of %q is %q, want %q", tt.in, got, tt.want)
		}
	}
}
