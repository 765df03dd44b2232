package dnsserver

import (
	"encoding/binary"
)

// A query as nearly all resolvers send it, read without the library:
//
//	 0  id                2 bytes
//	 2  QR Opcode AA TC RD, RA Z AD CD Rcode
//	 4  QDCOUNT 1, ANCOUNT 0, NSCOUNT 0, ARCOUNT 0 or 1
//	12  question: labels, 0, type, class
//	    if ARCOUNT is 1: 0, 41, size, 0, version, DO and 15 zero bits, 0 (no options)
const (
	headerLen = 12
	optLen    = 11
	maxName   = 255
)

// A wire is what a packet says, as far as that can be seen without the library.
type wire struct {
	packet []byte
	end    int  // of the question
	plain  bool // there is nothing in it but the question and perhaps an EDNS record without options
	edns   bool
	do     bool
	size   uint16
}

// inspect reads a packet. It fails unless it has a header and one question with a name that is written out.
func inspect(packet []byte) (wire, bool) {
	w := wire{packet: packet}
	if len(packet) < headerLen || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return w, false
	}
	i := headerLen
	for {
		if i >= len(packet) || packet[i] > 63 || i-headerLen >= maxName {
			return w, false
		}
		if packet[i] == 0 {
			break
		}
		i += 1 + int(packet[i])
	}
	if w.end = i + 5; w.end > len(packet) {
		return w, false
	}
	w.plain = packet[2]&^1 == 0 && binary.BigEndian.Uint32(packet[6:]) == 0 && w.additional()
	return w, true
}

// additional reads what follows the question. It tells whether that is nothing or a plain EDNS record.
func (w *wire) additional() bool {
	rest := w.packet[w.end:]
	switch binary.BigEndian.Uint16(w.packet[10:]) {
	case 0:
		return len(rest) == 0
	case 1:
		if len(rest) != optLen || binary.BigEndian.Uint32(rest)>>8 != 41 || binary.BigEndian.Uint16(rest[5:]) != 0 || binary.BigEndian.Uint16(rest[9:]) != 0 {
			return false
		}
		w.edns, w.size, w.do = true, binary.BigEndian.Uint16(rest[3:]), rest[7]&0x80 != 0
		return rest[7]&0x7f == 0 && rest[8] == 0
	}
	return false
}

// keyLen is the most that a key can take.
const keyLen = 4 + maxName + 4

// key names all queries that have the same answers: transport, EDNS, and the question in lower case.
func (w *wire) key(k []byte, tcp bool) []byte {
	flags := byte(0)
	for i, set := range [...]bool{tcp, w.edns, w.do} {
		if set {
			flags |= 1 << i
		}
	}
	k = append(k, flags, byte(w.size>>8), byte(w.size))
	for _, c := range w.packet[headerLen : w.end-4] {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		k = append(k, c)
	}
	return append(k, w.packet[w.end-4:w.end]...)
}

// address makes a packed answer the answer to this query: its id, the flags that are handed back and the letters of
// its question.
func (w *wire) address(answer []byte) {
	copy(answer, w.packet[:2])
	answer[2] = answer[2]&^0x79 | w.packet[2]&0x79 // opcode and RD
	answer[3] = answer[3]&^0x10 | w.packet[3]&0x10 // CD
	if len(answer) >= w.end {
		copy(answer[headerLen:w.end], w.packet[headerLen:w.end])
	}
}

// refusal is an answer without any records.
func refusal(packet []byte, rcode byte) []byte {
	answer := make([]byte, headerLen)
	copy(answer, packet[:2])
	answer[2] = 0x80 | packet[2]&0x79
	answer[3] = packet[3]&0x10 | rcode
	return answer
}
