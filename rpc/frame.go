package rpc

import (
	"encoding/binary"
	"errors"
	"io"
)

// After its greeting a connection of calls or of a transfer consists of frames in both directions. Numbers are
// big-endian.
//
//	0        2      3       4                12
//	+--------+------+-------+----------------+----- ... -----+
//	| length | kind | flags | call           | payload       |
//	+--------+------+-------+----------------+----- ... -----+
//
// length is that of the payload: a whole frame has at most 64 KiB. call is the number that the caller gave its call, 0
// for what concerns the connection.
const (
	frameHeader  = 12
	frameMost    = 64 << 10
	payloadMost  = frameMost - frameHeader
	flagMore     = 1 // the message goes on in another frame of the same call
	readerSmall  = 4 << 10
	readerSpread = 4 // how much larger a buffer gets when a read has filled it
)

// A kind says what a frame is.
type kind byte

const (
	kindHello    kind = iota + 1 // both: versions; the first frame in each direction
	kindCall                     // caller: head and arguments of a call
	kindStream                   // caller: head and arguments of a call that is answered with many messages
	kindTransfer                 // caller: head and arguments of a transfer
	kindArgs                     // caller: more arguments
	kindCancel                   // caller: nobody waits for the answer any more
	kindCredit                   // caller: that many more bytes of messages are welcome
	kindPing                     // both: is anybody there?
	kindPong                     // both: yes
	kindReply                    // callee: the answer
	kindItem                     // callee: a message of a stream; both: a piece of a transfer
	kindEnd                      // callee: the stream is complete; both: the transfer is complete
	kindError                    // callee: the call has failed
	kindRefuse                   // callee: the call was not begun and never will be
)

// A frame is read in place: its payload holds until the next one is read.
type frame struct {
	kind    kind
	more    bool
	call    uint64
	payload []byte
}

// appendFrame appends a frame whose payload fits in it.
func appendFrame(b []byte, k kind, more bool, call uint64, payload []byte) []byte {
	return append(appendFrameHeader(b, k, more, call, len(payload)), payload...)
}

func appendFrameHeader(b []byte, k kind, more bool, call uint64, length int) []byte {
	var flags byte
	if more {
		flags = flagMore
	}
	b = append(b, byte(length>>8), byte(length), byte(k), flags)
	return binary.BigEndian.AppendUint64(b, call)
}

var (
	errFrame = errors.New("a frame that breaks the protocol")
	errHuge  = errors.New("a frame of more than 64 KiB")
)

// A frameReader reads frames. Its buffer grows with what comes.
type frameReader struct {
	from       io.Reader
	buffer     []byte
	start, end int  // the bytes that have been read and not yet used
	filled     bool // the last read filled the buffer
	heard      func()
}

func newFrameReader(from io.Reader) *frameReader {
	return &frameReader{from: from, buffer: make([]byte, readerSmall), heard: func() {}}
}

// next blocks for the next frame. At the end it returns io.EOF, or io.ErrUnexpectedEOF within a frame.
func (r *frameReader) next() (frame, error) {
	if err := r.need(frameHeader); err != nil {
		return frame{}, err
	}
	b := r.buffer[r.start:]
	length := int(binary.BigEndian.Uint16(b))
	if length > payloadMost {
		return frame{}, errHuge
	}
	f := frame{kind: kind(b[2]), more: b[3]&flagMore != 0, call: binary.BigEndian.Uint64(b[4:])}
	if b[3]&^flagMore != 0 {
		return frame{}, errFrame
	}
	if err := r.need(frameHeader + length); err != nil {
		return frame{}, err
	}
	f.payload = r.buffer[r.start+frameHeader : r.start+frameHeader+length : r.start+frameHeader+length]
	r.start += frameHeader + length
	return f, nil
}

// need reads until n bytes are there.
func (r *frameReader) need(n int) error {
	for r.end-r.start < n {
		r.makeRoom(n)
		got, err := r.from.Read(r.buffer[r.end:])
		r.end += got
		r.filled = r.end == len(r.buffer)
		if got > 0 {
			r.heard()
		}
		if err != nil && r.end-r.start < n {
			if errors.Is(err, io.EOF) && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom sees to it that a frame of n bytes fits, and that there is room to read.
func (r *frameReader) makeRoom(n int) {
	size := len(r.buffer)
	if r.filled {
		size = min(size*readerSpread, frameMost)
		r.filled = false
	}
	for size < n {
		size = min(size*readerSpread, frameMost)
	}
	switch {
	case size > len(r.buffer):
		grown := make([]byte, size)
		r.end = copy(grown, r.buffer[r.start:r.end])
		r.start, r.buffer = 0, grown
	case r.start > 0:
		r.end = copy(r.buffer, r.buffer[r.start:r.end])
		r.start = 0
	}
}
