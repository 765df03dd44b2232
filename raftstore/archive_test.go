package raftstore

import (
	"bytes"
	"io"
	"testing"

	"github.com/hashicorp/raft"
)

func FuzzReadArchive(f *testing.F) {
	var whole bytes.Buffer
	meta := raft.SnapshotMeta{ID: "1", Index: 7, Term: 2, Size: 5}
	if err := writeArchive(&whole, &meta, bytes.NewReader([]byte("state"))); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()/2])
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, archive []byte) {
		a, err := readArchive(bytes.NewReader(archive), dir)
		if err != nil {
			return
		}
		defer a.close()
		if _, err := io.Copy(io.Discard, a.state); err != nil {
			t.Error(err)
		}
	})
}
