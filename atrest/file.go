package atrest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lictor/durable"
)

// A small file is one record, or plaintext. Its place is its name and that of its directory.

func placeOfFile(path string) []byte {
	return []byte("file " + filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path))
}

// Seal returns what a file with this path is to hold for its content to be text.
func (r *Ring) Seal(path string, text []byte) []byte {
	return r.Keys().Seal(nil, text, placeOfFile(path))
}

// ReadFile reads a file, plaintext or not.
func (r *Ring) ReadFile(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := r.Keys().Open(content, placeOfFile(path))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return text, nil
}

// KeyOfFile is the id of the key that a file is sealed with; ok is false for plaintext.
func KeyOfFile(path string) (id ID, ok bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return id, false, err
	}
	defer file.Close()
	head := make([]byte, recordHead)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return id, false, err
	}
	id, ok = KeyOf(head[:n])
	return id, ok, nil
}

// Reseal writes a file anew if it is not under the key that writes. Nobody else may write it at the same time.
func (r *Ring) Reseal(path string) error {
	id, sealed, err := KeyOfFile(path)
	if err != nil {
		return err
	}
	if with, keyed := r.Keys().Writes(); sealed == keyed && id == with {
		return nil
	}
	text, err := r.ReadFile(path)
	if err != nil {
		return err
	}
	return durable.Replace(path, r.Seal(path, text), 0o600)
}
