package rpc

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// Frames are the same however they arrive.
func TestFrameReader(t *testing.T) {
	lengths := []int{0, 1, 4084, 4085, 10, 0, 65_524, 20_000, 5, 65_523, 65_524, 65_524, 3}
	var text []byte
	for i, n := range lengths {
		text = appendFrame(text, kind(i+1), i%2 == 0, uint64(i)<<40, bytes.Repeat([]byte{byte(i)}, n))
	}
	for name, from := range map[string]io.Reader{
		"at once": bytes.NewReader(text), "in bytes": iotest.OneByteReader(bytes.NewReader(text)),
		"in halves": iotest.HalfReader(bytes.NewReader(text)), "with the end": iotest.DataErrReader(bytes.NewReader(text)),
	} {
		r := newFrameReader(from)
		for i, n := range lengths {
			f, err := r.next()
			if err != nil || f.kind != kind(i+1) || f.more != (i%2 == 0) || f.call != uint64(i)<<40 || !bytes.Equal(f.payload, bytes.Repeat([]byte{byte(i)}, n)) {
				t.Fatalf("%s: frame %d: kind %d, %d bytes, %v", name, i, f.kind, len(f.payload), err)
			}
		}
		if _, err := r.next(); err == nil || !errors.Is(err, io.EOF) {
			t.Errorf("%s: the end: %v", name, err)
		}
		if len(r.buffer) > frameMost {
			t.Errorf("%s: a buffer of %d bytes", name, len(r.buffer))
		}
	}
	for n := range 20 {
		r := newFrameReader(bytes.NewReader(appendFrame(nil, kindCall, false, 1, make([]byte, 20))[:n]))
		if _, err := r.next(); n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 && !errors.Is(err, io.EOF) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
}

// The strings of many heads are not kept for ever.
func TestNamesAreBounded(t *testing.T) {
	var n names
	for i := range 10_000 {
		b := []byte{2, byte(i), byte(i >> 8), 'x'}
		s, rest, err := n.cut(b, 1)
		if err != nil || s != string(b[1:3]) || string(rest) != "x" {
			t.Fatalf("%q, %q, %v", s, rest, err)
		}
	}
	if len(n.known) > namesMost {
		t.Errorf("%d are kept", len(n.known))
	}
	if s, _, err := n.cut(append([]byte{1, 0}, bytes.Repeat([]byte{'t'}, 256)...), 2); err != nil || len(s) != 256 {
		t.Errorf("%d bytes, %v", len(s), err)
	}
}
