package raftstore

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

func someEntries() []*raft.Log {
	now := time.Date(2026, 3, 4, 5, 6, 7, 891011, time.UTC)
	return []*raft.Log{
		{Index: 1, Term: 1, Type: raft.LogNoop},
		{Index: 2, Term: 1<<63 + 7, Type: raft.LogCommand, Data: bytes.Repeat([]byte("data"), 200), AppendedAt: now},
		{Index: 3, Term: 7, Type: raft.LogConfiguration, Data: []byte{0}, Extensions: []byte("more"), AppendedAt: now.In(time.FixedZone("", 7261))},
		{Index: 4, Term: 7, Type: raft.LogBarrier, AppendedAt: time.Now()},
	}
}

func TestEntriesAreWrittenAsTheLibraryDoes(t *testing.T) {
	var ours entryCodec
	for _, l := range someEntries() {
		var got, plain, want bytes.Buffer
		if err := ours.Encode(l, &got); err != nil {
			t.Fatal(err)
		}
		if err := ours.Encode(l, struct{ *bytes.Buffer }{&plain}); err != nil {
			t.Fatal(err)
		}
		if err := (&wal.BinaryCodec{}).Encode(l, &want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) || !bytes.Equal(plain.Bytes(), want.Bytes()) {
			t.Errorf("%+v is\n%x, not\n%x", l, got.Bytes(), want.Bytes())
		}
	}
	bad := &raft.Log{AppendedAt: time.Now().In(time.FixedZone("", 1<<30))}
	if err := ours.Encode(bad, &bytes.Buffer{}); err == nil {
		t.Error("a time that cannot be written is")
	}
}

// Logs that the library has written alone are read and carried on, and the other way round.
func TestEntriesAreReadByTheLibrary(t *testing.T) {
	dir := t.TempDir()
	entries := someEntries()
	for i, codec := range []wal.Codec{nil, &entryCodec{}, nil, &entryCodec{}} {
		log, err := wal.Open(dir, wal.WithCodec(codec), wal.WithSegmentSize(64<<10), wal.WithLogger(hclog.NewNullLogger()))
		if err != nil {
			t.Fatal(err)
		}
		if err := log.StoreLog(entries[i]); err != nil {
			t.Error(err)
		}
		for _, want := range entries[:i+1] {
			var got raft.Log
			if err := log.GetLog(want.Index, &got); err != nil || !got.AppendedAt.Equal(want.AppendedAt) {
				t.Errorf("entry %d in round %d: %+v, %v", want.Index, i, got, err)
			}
			if got.AppendedAt = want.AppendedAt; !reflect.DeepEqual(&got, want) {
				t.Errorf("entry %d in round %d: %+v, not %+v", want.Index, i, &got, want)
			}
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkEntries(b *testing.B) {
	entry := &raft.Log{Index: 1 << 20, Term: 3, Type: raft.LogCommand, Data: make([]byte, 200), AppendedAt: time.Now()}
	for name, codec := range map[string]wal.Codec{"ours": &entryCodec{}, "library": &wal.BinaryCodec{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				var buf bytes.Buffer
				if err := codec.Encode(entry, &buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
