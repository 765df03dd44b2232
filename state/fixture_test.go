package state_test

import (
	"bytes"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"lictor/state"
)

// A pet is a row for tests. It is encoded by hand, as a list of its fields.
type pet struct {
	Name, Chip, Kind string
	Friends          []string
	Age              int
}

func (p *pet) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendArrayHeader(b, uint32(4+len(p.Friends)))
	b = msgp.AppendString(msgp.AppendString(msgp.AppendString(b, p.Name), p.Chip), p.Kind)
	b = msgp.AppendInt(b, p.Age)
	for _, f := range p.Friends {
		b = msgp.AppendString(b, f)
	}
	return b, nil
}

func (p *pet) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return b, err
	}
	if n < 4 {
		return b, msgp.ArrayError{Wanted: 4, Got: n}
	}
	for _, field := range []*string{&p.Name, &p.Chip, &p.Kind} {
		if *field, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
	}
	if p.Age, b, err = msgp.ReadIntBytes(b); err != nil {
		return b, err
	}
	for range n - 4 {
		var f string
		if f, b, err = msgp.ReadStringBytes(b); err != nil {
			return b, err
		}
		p.Friends = append(p.Friends, f)
	}
	return b, nil
}

// newPets declares a table with an index of each sort: chips are unique, kinds are not, friends are many.
func newPets() *state.Table[pet] {
	return state.NewTable("pets", func(p *pet) string { return state.Key(p.Name) },
		state.Index[pet]{Name: "chip", Unique: true, Keys: state.One(func(p *pet) string { return p.Chip })},
		state.Index[pet]{Name: "kind", Keys: func(p *pet) []string { return []string{state.Key(p.Kind, p.Name[:1])} }},
		state.Index[pet]{Name: "friend", Keys: func(p *pet) []string {
			var keys []string
			for _, f := range p.Friends {
				keys = append(keys, state.Key(f))
			}
			return keys
		}})
}

type zoo struct {
	*testing.T
	db    *state.DB
	pets  *state.Table[pet]
	index uint64
}

func newZoo(t *testing.T) *zoo {
	t.Helper()
	z := &zoo{T: t, pets: newPets()}
	db, err := state.Open(z.pets)
	if err != nil {
		t.Fatal(err)
	}
	z.db = db
	return z
}

// write makes one change at the next index.
func (z *zoo) write(do func(tx *state.Tx)) {
	z.Helper()
	z.index++
	tx := z.db.Write(z.index)
	do(tx)
	tx.Commit()
}

func (z *zoo) insert(pets ...*pet) {
	z.Helper()
	z.write(func(tx *state.Tx) {
		for _, p := range pets {
			z.pets.Insert(tx, p)
		}
	})
}

func (z *zoo) snapshot() []byte {
	z.Helper()
	var b bytes.Buffer
	n, err := z.db.Snapshot().WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		z.Fatalf("%d of %d bytes: %v", n, b.Len(), err)
	}
	return b.Bytes()
}
