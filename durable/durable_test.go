package durable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, c := range []struct {
		content string
		mode    os.FileMode
	}{{"first", 0o600}, {"", 0o640}, {strings.Repeat("long", 10_000), 0o644}} {
		if err := Replace(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != c.content || info.Mode() != c.mode {
			t.Errorf("%d bytes of mode %v, error %v; want %d bytes of mode %v", len(got), info.Mode(), err, len(c.content), c.mode)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the directory holds %v", left)
	}
}

// What cannot be replaced stays, and nothing is left beside it.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(taken, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if err := Replace(filepath.Join(dir, "nowhere", "file"), []byte("x"), 0o600); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a file in a directory that is not there: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the directory holds %v", left)
	}
}

// Whoever looks while a file is written sees it, or one that is known for what it is.
func TestOthersSeeWhatIsUnfinished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	content := []byte(strings.Repeat("long", 100_000))
	ended := make(chan error)
	go func() {
		for range 50 {
			if err := Replace(path, content, 0o600); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "file" && !strings.HasSuffix(e.Name(), Temporary) {
				t.Fatalf("there is %q", e.Name())
			}
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
