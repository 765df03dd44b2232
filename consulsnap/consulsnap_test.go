package consulsnap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

func state(rows ...[]byte) []byte {
	out := msgp.AppendUint64(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "LastIndex"), 9)
	return append(out, bytes.Join(rows, nil)...)
}

func TestRows(t *testing.T) {
	at, err := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	row := msgp.AppendMapHeader([]byte{byte(KVS)}, 3)
	row = msgp.AppendString(msgp.AppendString(row, "Value"), "\xff\x00")
	row = msgp.AppendString(msgp.AppendString(row, "At"), string(at))
	row = msgp.AppendInt64(msgp.AppendString(row, "N"), -7)
	in, err := NewReader(bytes.NewReader(state(row, []byte{99, 0xc0})))
	if err != nil || in.LastIndex != 9 {
		t.Fatal(in, err)
	}
	r, err := in.Next()
	if err != nil || r.Kind != KVS {
		t.Fatal(r, err)
	}
	f, err := r.Fields()
	if err != nil || f.String("Value") != "\xff\x00" || f.Uint("N") != 0 {
		t.Error(f, err)
	}
	if err := f.Times("At", "None"); err != nil || f["At"] != "2026-01-02T03:04:05.000000006Z" {
		t.Error(f["At"], err)
	}
	if r, err = in.Next(); err != nil || r.Kind.String() != "Unknown(99)" {
		t.Error(r, err)
	}
	if _, err := r.Fields(); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// Rows that claim more than they hold, or hold more than a row may, cost nothing but an error.
func TestBounds(t *testing.T) {
	for name, row := range map[string][]byte{
		"list":   {2, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"map":    {2, 0xdf, 0xff, 0xff, 0xff, 0xff},
		"text":   {2, 0xdb, 0xff, 0xff, 0xff, 0xff},
		"depth":  append([]byte{2}, strings.Repeat("\x91", 1000)+"\xc0"...),
		"values": append([]byte{2, 0xdd, 0, 0x20, 0, 0}, bytes.Repeat([]byte{0xc0}, 2<<20)...),
		"long":   append([]byte{2, 0xc6, 3, 0, 0, 0}, make([]byte, 3<<24)...),
		"key":    {2, 0x81, 0x07, 0x07},
	} {
		in, err := NewReader(bytes.NewReader(state(row)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := in.Next()
		if err == nil {
			_, err = r.Value()
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(state([]byte{2, 0x81, 0xa3, 'K', 'e', 'y', 0xa1, 'k'}, []byte{22, 0xa2, 0xa1, 'k'}))
	f.Fuzz(func(t *testing.T, content []byte) {
		in, err := NewReader(bytes.NewReader(content))
		for err == nil {
			var r *Row
			if r, err = in.Next(); err == nil {
				_, err = r.JSON()
			}
		}
	})
}
