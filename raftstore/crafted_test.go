package raftstore

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/tinylib/msgp/msgp"

	"lictor/acl"
	"lictor/kv"
)

func crafted(t *testing.T, meta raft.SnapshotMeta, body []byte) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	meta.Version, meta.Size = 1, int64(len(body))
	if err := writeArchive(&b, &meta, bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	return &b
}

func stateOf(t *testing.T, rows ...*kv.Entry) []byte {
	out := msgp.AppendUint(msgp.AppendString(nil, "lictor-state"), 1)
	for _, r := range rows {
		var err error
		if out, err = r.MarshalMsg(msgp.AppendString(out, "kvs")); err != nil {
			t.Fatal(err)
		}
	}
	return msgp.AppendString(out, "")
}

func TestRowWithoutKey(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	put(t, n, "a", "1")
	s := &Service{Node: n}
	_, err := s.Restore(t.Context(), acl.AllowAll(), crafted(t, raft.SnapshotMeta{Index: 5, Term: 1}, stateOf(t, &kv.Entry{Key: ""})))
	if err == nil {
		t.Error("accepted")
	}
	put(t, n, "a", "2")
}

func TestIndexOverflow(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	put(t, n, "a", "1")
	s := &Service{Node: n}
	_, err := s.Restore(t.Context(), acl.AllowAll(), crafted(t, raft.SnapshotMeta{Index: math.MaxUint64, Term: 1}, stateOf(t, &kv.Entry{Key: "b"})))
	t.Log(err, n.raft.LastIndex())
	put(t, n, "a", "2")
	t.Log(n.raft.LastIndex(), value(n, "a"))
	if n.raft.LastIndex() < 3 {
		t.Error("the log begins anew")
	}
}

func TestLength(t *testing.T) {
	n := open(t, nil)
	defer n.Stop()
	put(t, n, "a", "1")
	s := &Service{Node: n}
	head := msgp.AppendUint(msgp.AppendString(nil, "lictor-state"), 1)
	for name, body := range map[string][]byte{
		"string": append(bytes.Clone(head), 0xdb, 0xff, 0xff, 0xff, 0xf0),
		"row":    append(msgp.AppendString(bytes.Clone(head), "kvs"), 0xc6, 0x7f, 0xff, 0xff, 0xff),
		"array":  append(msgp.AppendString(bytes.Clone(head), "kvs"), 0xdd, 0xff, 0xff, 0xff, 0xff),
		"deep":   append(msgp.AppendString(bytes.Clone(head), "kvs"), bytes.Repeat([]byte{0x91}, 50_000_000)...),
	} {
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		func() {

			a := crafted(t, raft.SnapshotMeta{Index: 5, Term: 1}, body)
			if _, err := s.Restore(t.Context(), acl.AllowAll(), a); err == nil {
				t.Error("accepted")
			} else {
				t.Log(name, err)
			}
		}()
		runtime.ReadMemStats(&m1)
		t.Log(name, (m1.TotalAlloc-m0.TotalAlloc)>>20, "MiB")
	}
}
