package view_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lictor/state"
	"lictor/view"
)

// After a restore indexes go on from there, also for who asks for the first time, or whose view was forgotten.
func TestIndexesAfterARestore(t *testing.T) {
	inBubble(t, view.Config{}, func(t *testing.T, s *site) {
		var old bytes.Buffer
		if _, err := s.log.DB().Snapshot().WriteTo(&old); err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(filepath.Join(t.TempDir(), "state"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(old.Bytes()); err != nil {
			t.Fatal(err)
		}
		if _, err := state.Stamp(file, 500); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		s.put(t, "a", "2")
		if err := s.log.DB().Restore(file); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "never"} {
			if a, err := s.ask(t.Context(), key, view.Options{}); err != nil || a.Index() < 500 {
				t.Errorf("%s: %d, %v", key, a.Index(), err)
			}
		}
		if a, err := s.ask(t.Context(), "a", view.Options{MinIndex: 499}); value(a) != "1" || err != nil {
			t.Errorf("%q, %v", value(a), err)
		}
	})
}
