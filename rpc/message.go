package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// The versions of the protocol that this code speaks. Both sides say theirs and use the newest that both know.
const (
	versionNewest uint16 = 1
	versionOldest uint16 = 1
)

// hello is the first frame of each side. Later versions may append to its payload.
//
//	0        2        4
//	+--------+--------+-- ...
//	| newest | oldest |
//	+--------+--------+-- ...
func hello() []byte {
	b := appendFrameHeader(nil, kindHello, false, 0, 4)
	b = binary.BigEndian.AppendUint16(b, versionNewest)
	return binary.BigEndian.AppendUint16(b, versionOldest)
}

// checkHello tells why the other side cannot be understood.
func checkHello(f frame) error {
	if f.kind != kindHello || f.more || len(f.payload) < 4 {
		return fmt.Errorf("no hello: %w", errFrame)
	}
	newest, oldest := binary.BigEndian.Uint16(f.payload), binary.BigEndian.Uint16(f.payload[2:])
	if newest < versionOldest || oldest > versionNewest {
		return fmt.Errorf("the other side speaks versions %d to %d of the protocol, and this one %d to %d", oldest, newest, versionOldest, versionNewest)
	}
	return nil
}

// A head is what a call begins with, in front of its arguments.
//
//	0                8        12      13       14               +1            +2
//	+----------------+--------+-------+--------+--- ... ---+----+--- ... ----+-----+--- ... ---+
//	| time left (ns) | window | flags | length | method    | l. | datacenter | l.  | token     |
//	+----------------+--------+-------+--------+--- ... ---+----+--- ... ----+-----+--- ... ---+
//
// A time of 0 means no deadline. The lowest flag is Header.Direct, the two next to it are Header.Hops; the others are 0. The window is how many bytes of messages a stream may send before more credit comes.
type head struct {
	Header
	method string
	left   time.Duration
	window uint32
}

const (
	headFixed  = 8 + 4 + 1
	flagDirect = 1
	shiftHops  = 1
	flagsKnown = flagDirect | MaxHops<<shiftHops
)

// maxToken bounds the length of a token, so that a head fits in a frame.
const maxToken = 16 << 10

var errHead = errors.New("a call whose head is cut off")

func (h *head) check() error {
	switch {
	case len(h.method) > math.MaxUint8:
		return Errorf(Invalid, "the name of a method is too long")
	case len(h.Datacenter) > math.MaxUint8:
		return Errorf(Invalid, "the name of a datacenter is too long")
	case h.Hops > MaxHops:
		return Errorf(Invalid, "a call has been sent on too often")
	case len(h.Token) > maxToken:
		return Errorf(Invalid, "the token is too long")
	}
	return nil
}

func (h *head) size() int {
	return headFixed + 1 + len(h.method) + 1 + len(h.Datacenter) + 2 + len(h.Token)
}

func (h *head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(h.left))
	b = binary.BigEndian.AppendUint32(b, h.window)
	flags := h.Hops << shiftHops
	if h.Direct {
		flags |= flagDirect
	}
	b = append(append(b, flags, byte(len(h.method))), h.method...)
	b = append(append(b, byte(len(h.Datacenter))), h.Datacenter...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Token)))
	return append(b, h.Token...)
}

// parseHead returns the head and the arguments behind it.
func parseHead(b []byte, n *names) (h head, args []byte, err error) {
	if len(b) < headFixed {
		return h, nil, errHead
	}
	left := binary.BigEndian.Uint64(b)
	h.left = time.Duration(min(left, math.MaxInt64))
	if h.window = binary.BigEndian.Uint32(b[8:]); h.window > maxCredit {
		return h, nil, errFrame
	}
	if b[12]&^flagsKnown != 0 {
		return h, nil, errFrame
	}
	h.Direct, h.Hops = b[12]&flagDirect != 0, b[12]>>shiftHops
	b = b[headFixed:]
	if h.method, b, err = n.cut(b, 1); err != nil {
		return h, nil, err
	}
	if h.Datacenter, b, err = n.cut(b, 1); err != nil {
		return h, nil, err
	}
	h.Token, b, err = n.cut(b, 2)
	return h, b, err
}

// names remembers the strings of the last heads of a connection, which are nearly always the same.
type names struct{ known map[string]string }

const (
	namesMost  = 256 // how many are remembered
	nameLength = 256 // longer ones are not
)

// cut takes a string off b that has its length in front, in so many bytes.
func (n *names) cut(b []byte, lengthBytes int) (string, []byte, error) {
	if len(b) < lengthBytes {
		return "", nil, errHead
	}
	length := int(b[0])
	if lengthBytes == 2 {
		length = int(binary.BigEndian.Uint16(b))
	}
	b = b[lengthBytes:]
	if length > len(b) || length > maxToken {
		return "", nil, errHead
	}
	return n.of(b[:length]), b[length:], nil
}

func (n *names) of(b []byte) string {
	if len(b) > nameLength {
		return string(b)
	}
	if s, ok := n.known[string(b)]; ok {
		return s
	}
	if n.known == nil || len(n.known) >= namesMost {
		n.known = map[string]string{}
	}
	s := string(b)
	n.known[s] = s
	return s
}
