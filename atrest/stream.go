package atrest

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// A stream is sealed chunk by chunk, so that it needs no memory for the whole:
//
//	| 0xc1 "LICTOR" 1 | key id, 8 | random, 16 | chunk | chunk | ... | last chunk |
//	chunk: | ciphertext of 64 KiB, the last one of what is left | tag, 16 |
//	nonce of a chunk: | random, 16 | number of the chunk, 7 | 1 for the last one, else 0 |
//
// A chunk that is missing, doubled or moved, and an end that is not the end, do not open.
const (
	magic      = "\xc1LICTOR\x01"
	streamHead = len(magic) + 8 + 16
	chunkSize  = 64 << 10
	sealedSize = chunkSize + chacha20poly1305.Overhead
	maxChunks  = 1 << 56
)

// StreamKey is the id of the key that a stream is sealed with, by its first 16 bytes; ok is false for plaintext.
func StreamKey(head []byte) (id ID, ok bool) {
	if len(head) < len(magic)+len(id) || string(head[:len(magic)]) != magic {
		return id, false
	}
	return ID(head[len(magic):]), true
}

// PlainSize is how many bytes are in a stream that has this size.
func PlainSize(sealed int64) int64 {
	body := sealed - int64(streamHead)
	return max(0, body-(body+sealedSize-1)/sealedSize*chacha20poly1305.Overhead)
}

// A chunker counts the chunks of a stream.
type chunker struct {
	aead  cipher.AEAD
	nonce [chacha20poly1305.NonceSizeX]byte
	place []byte
	count uint64
}

// next is the nonce of the next chunk.
func (c *chunker) next(last bool) ([]byte, error) {
	if c.count >= maxChunks {
		return nil, errors.New("the stream is too long")
	}
	binary.BigEndian.PutUint64(c.nonce[16:], c.count<<8)
	if last {
		c.nonce[23] = 1
	}
	c.count++
	return c.nonce[:], nil
}

// A Writer seals a stream. It is not complete before Close.
type Writer struct {
	chunker
	to     io.Writer
	chunk  []byte // what is not written yet
	sealed []byte
	err    error
}

// NewWriter begins a stream, or returns nil if plaintext is written. Place says where the stream belongs.
func (k *Keys) NewWriter(to io.Writer, place []byte) (*Writer, error) {
	key := k.writer()
	if key == nil {
		return nil, nil
	}
	w := &Writer{to: to, chunk: make([]byte, 0, chunkSize), sealed: make([]byte, 0, sealedSize)}
	rand.Read(w.nonce[:16])
	head := append(append([]byte(magic), key.id[:]...), w.nonce[:16]...)
	w.aead, w.place = key.streams, bound(head[:len(magic)], place)
	_, err := to.Write(head)
	return w, err
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		if len(w.chunk) == chunkSize {
			w.flush(false)
		}
		took := min(len(p), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[:took]...)
		p, n = p[took:], n+took
	}
	return n, w.err
}

// Close writes the end of the stream. It may be called twice. It leaves what the stream is written to open.
func (w *Writer) Close() error {
	if w.err == nil {
		w.flush(true)
	}
	if errors.Is(w.err, errClosed) {
		return nil
	}
	return w.err
}

var errClosed = errors.New("the stream has ended")

func (w *Writer) flush(last bool) {
	nonce, err := w.next(last)
	if err != nil {
		w.err = err
		return
	}
	w.sealed = w.aead.Seal(w.sealed[:0], nonce, w.chunk, w.place)
	clear(w.chunk)
	w.chunk = w.chunk[:0]
	_, w.err = w.to.Write(w.sealed)
	if last && w.err == nil {
		w.err = errClosed
	}
}

// A reader opens a stream.
type reader struct {
	chunker
	from   io.Reader
	sealed []byte // read ahead: one chunk and a byte of the next one
	held   int    // bytes in sealed
	chunk  []byte // what is not read yet
	err    error  // for when chunk is empty
}

// NewReader opens a stream, of which nothing has been read yet. It gives plaintext as it is. A stream that is cut short or
// otherwise not what was written ends in ErrDamaged.
func (k *Keys) NewReader(from io.Reader, place []byte) (io.Reader, error) {
	head := make([]byte, streamHead)
	n, err := io.ReadFull(from, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	id, ok := StreamKey(head[:n])
	if !ok {
		if n > 0 && head[0] == magic[0] {
			return nil, ErrDamaged
		}
		return io.MultiReader(bytes.NewReader(head[:n]), from), nil
	}
	if n < streamHead {
		return nil, ErrDamaged
	}
	key, err := k.find(id)
	if err != nil {
		return nil, err
	}
	r := &reader{from: from, sealed: make([]byte, sealedSize+1), chunk: nil}
	copy(r.nonce[:16], head[len(magic)+8:])
	r.aead, r.place = key.streams, bound(head[:len(magic)], place)
	return r, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.open(); err != nil {
			r.err = err
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// open opens the next chunk. The last one is that behind which nothing comes. Its error is for after the chunk.
func (r *reader) open() error {
	n, err := io.ReadFull(r.from, r.sealed[r.held:])
	r.held += n
	last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !last {
		return fmt.Errorf("read an encrypted stream: %w", err)
	}
	size := min(r.held, sealedSize)
	nonce, err := r.next(last)
	if err != nil {
		return err
	}
	if r.chunk, err = r.aead.Open(make([]byte, 0, chunkSize), nonce, r.sealed[:size], r.place); err != nil {
		r.chunk = nil
		return ErrDamaged
	}
	if last {
		return io.EOF
	}
	r.sealed[0] = r.sealed[sealedSize]
	r.held = 1
	return nil
}
