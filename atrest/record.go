package atrest

import (
	"crypto/rand"

	"golang.org/x/crypto/chacha20poly1305"
)

// A record is sealed as a whole:
//
//	| 0xc1 "LR" 1, the version | key id, 8 | nonce, 24 | ciphertext | tag, 16 |
//
// Neither a command, nor MessagePack, nor JSON begins with 0xc1, so that plaintext and records may lie side by side. The head
// and what the caller says of the place of the record are authenticated with it. Nonces are random: 192 bits do not
// repeat.
const (
	mark       = "\xc1LR"
	version    = 1
	nonceAt    = len(mark) + 1 + 8
	recordHead = nonceAt + chacha20poly1305.NonceSizeX
	// Overhead is how much longer a record is than what is in it.
	Overhead = recordHead + chacha20poly1305.Overhead
)

// Sealed tells whether bytes are a record rather than plaintext.
func Sealed(b []byte) bool { return len(b) >= len(mark) && string(b[:len(mark)]) == mark }

// KeyOf is the id of the key that a record is sealed with; ok is false for plaintext.
func KeyOf(b []byte) (id ID, ok bool) {
	if len(b) < recordHead || !Sealed(b) {
		return id, false
	}
	return ID(b[len(mark)+1:]), true
}

// Seal appends a record of a text to dst. Place says where the record belongs: it can be opened there only. Without a key that
// writes it appends the text itself.
func (k *Keys) Seal(dst, text, place []byte) []byte {
	w := k.writer()
	if w == nil {
		return append(dst, text...)
	}
	from := len(dst)
	dst = append(append(dst, mark...), version)
	dst = append(dst, w.id[:]...)
	var nonce [chacha20poly1305.NonceSizeX]byte
	rand.Read(nonce[:])
	dst = append(dst, nonce[:]...)
	return w.records.Seal(dst, nonce[:], text, bound(dst[from:from+nonceAt], place))
}

// Open returns the text of a record, or what is no record as it is. Its error is ErrDamaged or a *MissingKey.
func (k *Keys) Open(b, place []byte) ([]byte, error) {
	if !Sealed(b) {
		return b, nil
	}
	if len(b) < Overhead || b[len(mark)] != version {
		return nil, ErrDamaged
	}
	with, err := k.find(ID(b[len(mark)+1:]))
	if err != nil {
		return nil, err
	}
	text, err := with.records.Open(nil, b[nonceAt:recordHead], b[recordHead:], bound(b[:nonceAt], place))
	if err != nil {
		return nil, ErrDamaged
	}
	return text, nil
}

// bound is what is authenticated with a ciphertext.
func bound(head, place []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(place)), head...), place...)
}
