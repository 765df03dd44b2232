package atrest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fresh makes keys that differ from all others.
func fresh(t testing.TB, n int) *Keys {
	t.Helper()
	var text []byte
	for range n {
		secret := make([]byte, KeySize)
		rand.Read(secret)
		text = append(base64.StdEncoding.AppendEncode(text, secret), '\n')
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := Load(path, false)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestFileOfKeys(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, KeySize))
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, KeySize))
	for _, c := range []struct{ text, err string }{
		{good, ""},
		{"# made today\n\n  " + good + " \r\n" + other + "\n", ""},
		{"", "has no key"},
		{"# none\n", "has no key"},
		{good + "\n" + good, "line 2 is a key that is there twice"},
		{"\nsecret", "line 2 is not a key of 32 bytes in base64"},
		{base64.StdEncoding.EncodeToString(make([]byte, 16)), "line 1 is not a key of 32 bytes in base64"},
		{strings.Repeat("#", maxFile+1), "has more than"},
	} {
		list, err := parse([]byte(c.text))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%.20q: %d keys, %v", c.text, len(list), err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}

func TestRecords(t *testing.T) {
	old, both := fresh(t, 1), fresh(t, 1)
	both.list = append(both.list, old.list...)
	for _, text := range []string{"", "a", strings.Repeat("long", 10000)} {
		sealed := old.Seal(nil, []byte(text), []byte("here"))
		if len(text) > 8 && bytes.Contains(sealed, []byte(text)) || len(sealed) != len(text)+Overhead {
			t.Fatal("it is not sealed")
		}
		if id, ok := KeyOf(sealed); !ok || id != old.IDs()[0] {
			t.Error("the key is not told")
		}
		for _, keys := range []*Keys{old, both} {
			if got, err := keys.Open(sealed, []byte("here")); err != nil || string(got) != text {
				t.Errorf("%q, %v", got, err)
			}
		}
		if _, err := old.Open(sealed, []byte("there")); !errors.Is(err, ErrDamaged) {
			t.Errorf("it opens elsewhere: %v", err)
		}
		for _, keys := range []*Keys{nil, fresh(t, 2)} {
			var missing *MissingKey
			if _, err := keys.Open(sealed, []byte("here")); !errors.As(err, &missing) || missing.ID != old.IDs()[0] || missing.File != keys.Path() {
				t.Errorf("without the key: %v", err)
			}
		}
		for i := range min(len(sealed), 200) {
			broken := bytes.Clone(sealed)
			broken[i] ^= 1
			if got, err := old.Open(broken, []byte("here")); i > 2 && err == nil {
				t.Fatalf("byte %d is another one, and it opens: %q", i, got)
			}
			if _, err := old.Open(sealed[:i], []byte("here")); i > 2 && err == nil {
				t.Fatalf("%d bytes of it open", i)
			}
		}
		if again := old.Seal(nil, []byte(text), []byte("here")); bytes.Equal(again, sealed) {
			t.Error("a nonce repeats")
		}
	}
	if got := (*Keys)(nil).Seal(nil, []byte("text"), nil); string(got) != "text" {
		t.Errorf("%q", got)
	}
}

func seal(t testing.TB, keys *Keys, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := keys.NewWriter(&b, []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(text); at += 50000 {
		if _, err := w.Write(text[at:min(at+50000, len(text))]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func unseal(keys *Keys, sealed []byte, place string) ([]byte, error) {
	r, err := keys.NewReader(bytes.NewReader(sealed), []byte(place))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestStreams(t *testing.T) {
	keys := fresh(t, 2)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 5} {
		text := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		sealed := seal(t, keys, text)
		if got := PlainSize(int64(len(sealed))); got != int64(size) {
			t.Errorf("%d bytes, told as %d", size, got)
		}
		if got, err := unseal(keys, sealed, "here"); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		if _, err := unseal(keys, sealed, "there"); !errors.Is(err, ErrDamaged) {
			t.Errorf("it opens elsewhere: %v", err)
		}
		var missing *MissingKey
		if _, err := unseal(fresh(t, 1), sealed, "here"); !errors.As(err, &missing) {
			t.Errorf("without the key: %v", err)
		}
		for _, end := range []int{1, 10, streamHead, streamHead + 20, streamHead + sealedSize, streamHead + 2*sealedSize, len(sealed) - 1} {
			if end >= len(sealed) {
				continue
			}
			if _, err := unseal(keys, sealed[:end], "here"); !errors.Is(err, ErrDamaged) {
				t.Errorf("%d bytes of %d: %v", end, len(sealed), err)
			}
		}
		if _, err := unseal(keys, append(bytes.Clone(sealed), 0), "here"); !errors.Is(err, ErrDamaged) {
			t.Errorf("with a byte behind it: %v", err)
		}
	}
	sealed := seal(t, keys, make([]byte, 3*chunkSize))
	swapped := bytes.Clone(sealed)
	copy(swapped[streamHead:], sealed[streamHead+sealedSize:][:sealedSize])
	copy(swapped[streamHead+sealedSize:], sealed[streamHead:][:sealedSize])
	if _, err := unseal(keys, swapped, "here"); !errors.Is(err, ErrDamaged) {
		t.Errorf("with two chunks exchanged: %v", err)
	}
	if got, err := unseal(nil, []byte("plain"), "here"); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzOpen(f *testing.F) {
	keys := fresh(f, 1)
	f.Add(keys.Seal(nil, []byte("text"), []byte("here")))
	f.Add(seal(f, keys, []byte("text")))
	f.Add([]byte(mark))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := keys.Open(b, []byte("there")); err == nil && Sealed(b) {
			t.Errorf("%q opens where it does not belong: %q", b, text)
		}
		if text, err := unseal(keys, b, "there"); err == nil && len(b) > 0 && b[0] == magic[0] {
			t.Errorf("%q opens where it does not belong: %q", b, text)
		}
		_, _ = parse(b)
	})
}

func BenchmarkSeal(b *testing.B) {
	keys, text := fresh(b, 1), make([]byte, 256)
	for b.Loop() {
		keys.Seal(nil, text, text[:16])
	}
}
