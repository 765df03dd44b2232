package state

import (
	"bytes"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// A bag is a row with maps in it.
type bag struct {
	Name string
	In   map[string]any
}

func (g *bag) MarshalMsg(b []byte) ([]byte, error) {
	return msgp.AppendIntf(msgp.AppendString(msgp.AppendArrayHeader(b, 2), g.Name), g.In)
}

func (g *bag) UnmarshalMsg(b []byte) ([]byte, error) {
	_, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return b, err
	}
	if g.Name, b, err = msgp.ReadStringBytes(b); err != nil {
		return b, err
	}
	g.In, b, err = msgp.ReadMapStrIntfBytes(b, nil)
	return b, err
}

// Two states that are the same are the same to the byte when they are written.
func TestSnapshotsAreAlike(t *testing.T) {
	bags := NewTable("bags", func(g *bag) string { return Key(g.Name) })
	write := func() []byte {
		db, err := Open(bags)
		if err != nil {
			t.Fatal(err)
		}
		tx := db.Write(1)
		in := map[string]any{}
		for _, k := range "abcdefghij" {
			in[string(k)] = []any{map[string]any{"x": 1, "y": map[string]any{"1": nil, "2": "", "3": 2.5}, "z": []byte("z")}}
		}
		bags.Insert(tx, &bag{Name: "one", In: in})
		bags.Insert(tx, &bag{Name: "none"})
		tx.Commit()
		var out bytes.Buffer
		if _, err := db.Snapshot().WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	first := write()
	for range 20 {
		if !bytes.Equal(write(), first) {
			t.Fatal("the same state is written differently")
		}
	}
	if err := Verify(bytes.NewReader(first), bags); err != nil {
		t.Error(err)
	}
}
