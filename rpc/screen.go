package rpc

import (
	"encoding/binary"
)

// errShort tells that a message ends too early, or claims to hold more than it does.
var errShort = &Error{Invalid, "a message is shorter than it says"}

// screen looks at a message before anything is decoded: each length that it claims must be there. An element takes at
// least one byte, so what is allocated for a message stays in proportion to its size.
func screen(b []byte) error {
	for pending := 1; pending > 0; pending-- {
		if pending > len(b) {
			return errShort
		}
		size, elements, ok := measure(b)
		if !ok || size > len(b) || elements > len(b) {
			return errShort
		}
		b = b[size:]
		pending += elements
	}
	if len(b) > 0 {
		return Errorf(Invalid, "%d bytes follow a message", len(b))
	}
	return nil
}

// measure tells how many bytes the first object takes, without the elements inside it, and how many those are.
func measure(b []byte) (size, elements int, ok bool) {
	switch lead := b[0]; {
	case lead < 0x80 || lead >= 0xe0: // small numbers
		return 1, 0, true
	case lead < 0x90: // small maps
		return 1, 2 * int(lead&0x0f), true
	case lead < 0xa0: // small arrays
		return 1, int(lead & 0x0f), true
	case lead < 0xc0: // short strings
		return 1 + int(lead&0x1f), 0, true
	default:
		return forms[lead-0xc0].measure(b)
	}
}

// A form is how the objects begin that are told by one byte: how many bytes of length follow, and what is counted by it.
type form struct {
	fixed  int // bytes besides those of the length and those that are counted
	length int // bytes of the length
	each   int // elements for each that is counted
	bytes  bool
	wrong  bool
}

func (f *form) measure(b []byte) (size, elements int, ok bool) {
	if f.wrong || len(b) < 1+f.length {
		return 0, 0, false
	}
	n := 0
	switch f.length {
	case 1:
		n = int(b[1])
	case 2:
		n = int(binary.BigEndian.Uint16(b[1:]))
	case 4:
		n = int(binary.BigEndian.Uint32(b[1:]))
	}
	size = f.fixed + f.length
	if f.bytes {
		return size + n, 0, true
	}
	return size, n * f.each, true
}

// forms are those of the bytes from 0xc0 to 0xdf, as MessagePack's specification lists them.
var forms = [...]form{
	{fixed: 1},                         // nil
	{wrong: true},                      // never used
	{fixed: 1},                         // false
	{fixed: 1},                         // true
	{fixed: 1, length: 1, bytes: true}, // bin 8
	{fixed: 1, length: 2, bytes: true},
	{fixed: 1, length: 4, bytes: true},
	{fixed: 2, length: 1, bytes: true}, // ext 8
	{fixed: 2, length: 2, bytes: true},
	{fixed: 2, length: 4, bytes: true},
	{fixed: 5}, // float 32
	{fixed: 9}, // float 64
	{fixed: 2}, // uint 8
	{fixed: 3},
	{fixed: 5},
	{fixed: 9},
	{fixed: 2}, // int 8
	{fixed: 3},
	{fixed: 5},
	{fixed: 9},
	{fixed: 3}, // fixext 1
	{fixed: 4},
	{fixed: 6},
	{fixed: 10},
	{fixed: 18},
	{fixed: 1, length: 1, bytes: true}, // str 8
	{fixed: 1, length: 2, bytes: true},
	{fixed: 1, length: 4, bytes: true},
	{fixed: 1, length: 2, each: 1}, // array 16
	{fixed: 1, length: 4, each: 1},
	{fixed: 1, length: 2, each: 2}, // map 16
	{fixed: 1, length: 4, each: 2},
}
