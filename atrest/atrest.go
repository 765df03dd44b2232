// Package atrest encrypts what an agent keeps on disk. It knows keys, the file that they come from, and two forms of
// encrypted bytes: records and streams. It does not know what is in them, nor where they are kept.
package atrest

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is how many bytes a key has.
const KeySize = chacha20poly1305.KeySize

const (
	maxFile = 64 << 10 // bytes of a file of keys
	maxKeys = 64
)

// An ID names a key. It is derived from the key and tells nothing of it.
type ID [8]byte

// String is the id as people read it.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// A key of the file is never used itself: each purpose has a key that is derived from it.
type key struct {
	id      ID
	records cipher.AEAD
	streams cipher.AEAD
}

func newKey(secret []byte) (*key, error) {
	k := &key{}
	derive := func(purpose string, size int) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "lictor at rest: "+purpose, size)
	}
	id, err := derive("id", len(k.id))
	if err != nil {
		return nil, err
	}
	copy(k.id[:], id)
	for _, p := range []struct {
		purpose string
		into    *cipher.AEAD
	}{{"records", &k.records}, {"streams", &k.streams}} {
		derived, err := derive(p.purpose, KeySize)
		if err != nil {
			return nil, err
		}
		if *p.into, err = chacha20poly1305.NewX(derived); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Keys are those of one file. The first writes, all read. They do not change.
type Keys struct {
	path  string
	list  []*key
	plain bool
}

// Load reads a file of keys: one a line in base64, as lictor keygen prints them; empty lines and those that begin with
// # do not count. With plain set nothing is written with them: they are there to read what is.
func Load(path string, plain bool) (*Keys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	list, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Keys{path: path, list: list, plain: plain}, nil
}

// parse reads the content of a file of keys. An error never shows any of it.
func parse(text []byte) ([]*key, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("has more than %d bytes", maxFile)
	}
	var list []*key
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		secret, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(secret) != KeySize {
			return nil, fmt.Errorf("line %d is not a key of %d bytes in base64, as lictor keygen prints them", n, KeySize)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if slices.ContainsFunc(list, func(other *key) bool { return other.id == k.id }) {
			return nil, fmt.Errorf("line %d is a key that is there twice, %s", n, k.id)
		}
		list = append(list, k)
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("has no key")
	case len(list) > maxKeys:
		return nil, fmt.Errorf("has %d keys, and %d are allowed", len(list), maxKeys)
	}
	return list, nil
}

// IDs are the ids of the keys, in the order of the file.
func (k *Keys) IDs() []ID {
	if k == nil {
		return nil
	}
	var ids []ID
	for _, one := range k.list {
		ids = append(ids, one.id)
	}
	return ids
}

// Writes is the id of the key that writes; ok is false if plaintext is written.
func (k *Keys) Writes() (id ID, ok bool) {
	if w := k.writer(); w != nil {
		return w.id, true
	}
	return ID{}, false
}

// Path is the file that the keys are from; "" if there are none.
func (k *Keys) Path() string {
	if k == nil {
		return ""
	}
	return k.path
}

// Has is nil if the key with this id is there, else a *MissingKey.
func (k *Keys) Has(id ID) error {
	_, err := k.find(id)
	return err
}

func (k *Keys) writer() *key {
	if k == nil || k.plain {
		return nil
	}
	return k.list[0]
}

func (k *Keys) find(id ID) (*key, error) {
	if k != nil {
		for _, one := range k.list {
			if one.id == id {
				return one, nil
			}
		}
	}
	return nil, &MissingKey{id, k.Path()}
}

// A MissingKey is the error of what is encrypted with a key that is not there.
type MissingKey struct {
	ID   ID
	File string // of the keys that are there; "" if there is none
}

// Error names the key and the file.
func (e *MissingKey) Error() string {
	if e.File == "" {
		return fmt.Sprintf("it is encrypted with the key %s, and encryption_at_rest.key_file is not set: name the file that has this key", e.ID)
	}
	return fmt.Sprintf("it is encrypted with the key %s, which %s (encryption_at_rest.key_file) does not have: put the key back into it", e.ID, e.File)
}

// ErrDamaged is the error of what a key is there for, and what is not as it was written, or not where it was written.
var ErrDamaged = errors.New("it is damaged: it is not what was encrypted, or was moved here from elsewhere")

// A Ring is the keys that are in force. Its zero value has none. All its methods may be called at any time; nil is a Ring
// that never has keys.
type Ring struct{ keys atomic.Pointer[Keys] }

// Use puts keys in force; nil are none.
func (r *Ring) Use(k *Keys) { r.keys.Store(k) }

// Keys are those in force; nil are none.
func (r *Ring) Keys() *Keys {
	if r == nil {
		return nil
	}
	return r.keys.Load()
}
