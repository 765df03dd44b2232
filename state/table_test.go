package state_test

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"lictor/state"
)

func names(pets iter.Seq[*pet]) string {
	var out []string
	for p := range pets {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestLookups(t *testing.T) {
	z := newZoo(t)
	z.insert(
		&pet{Name: "rex", Chip: "7", Kind: "dog", Friends: []string{"tom", "kim"}},
		&pet{Name: "re", Kind: "dog"},
		&pet{Name: "tom", Chip: "9", Kind: "cat", Friends: []string{"kim"}},
	)
	tx := z.db.Read()
	for _, c := range []struct{ what, got, want string }{
		{"all, in order", names(z.pets.All(tx)), "re rex tom"},
		{"prefix", names(z.pets.Prefix(tx, "id", "re")), "re rex"},
		{"whole key", names(z.pets.Prefix(tx, "id", state.Key("re"))), "re"},
		{"from", names(z.pets.From(tx, "rea")), "rex tom"},
		{"from beyond the end", names(z.pets.From(tx, "z")), ""},
		{"prefix of an index that is not unique", names(z.pets.Prefix(tx, "kind", state.Key("dog"))), "re rex"},
		{"each", names(z.pets.Each(tx, "kind", state.Key("dog", "r"))), "re rex"},
		{"many keys", names(z.pets.Each(tx, "friend", state.Key("kim"))), "rex tom"},
		{"one key is no prefix of another", names(z.pets.Each(tx, "friend", state.Key("ki"))), ""},
		{"unique", z.pets.First(tx, "chip", "7").Name, "rex"},
		{"first of many", z.pets.First(tx, "friend", state.Key("kim")).Name, "rex"},
		{"last", z.pets.Last(tx, "id").Name, "tom"},
		{"last in an index that leaves rows out", z.pets.Last(tx, "chip").Name, "tom"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, not %q", c.what, c.got, c.want)
		}
	}
	if z.pets.Get(tx, state.Key("nobody")) != nil || z.pets.First(tx, "chip", "8") != nil || z.pets.Last(newZoo(t).db.Read(), "id") != nil {
		t.Error("found what is not there")
	}
}

func TestRowsChangeTheirKeys(t *testing.T) {
	z := newZoo(t)
	z.insert(&pet{Name: "rex", Chip: "7", Kind: "dog", Friends: []string{"tom"}})
	z.insert(&pet{Name: "rex", Chip: "8", Kind: "cat"})
	tx := z.db.Read()
	if z.pets.First(tx, "chip", "7") != nil || names(z.pets.Each(tx, "friend", state.Key("tom"))) != "" {
		t.Error("found by an old key")
	}
	if z.pets.First(tx, "chip", "8") == nil || names(z.pets.Prefix(tx, "kind", "cat")) != "rex" {
		t.Error("not found by a new key")
	}
	z.write(func(tx *state.Tx) { z.pets.Delete(tx, &pet{Name: "rex"}) })
	if tx := z.db.Read(); z.pets.First(tx, "chip", "8") != nil || names(z.pets.All(tx)) != "" {
		t.Error("found after it was deleted")
	}
}

func TestReadersSeeOneMoment(t *testing.T) {
	z := newZoo(t)
	z.insert(&pet{Name: "rex"})
	before := z.db.Read()
	z.write(func(tx *state.Tx) {
		for p := range z.pets.All(tx) { // the run is not disturbed by what it changes
			z.pets.Delete(tx, p)
			z.pets.Insert(tx, &pet{Name: p.Name + "x"})
		}
	})
	if got := names(z.pets.All(before)); got != "rex" {
		t.Errorf("a reader sees %q", got)
	}
	if got := names(z.pets.All(z.db.Read())); got != "rexx" {
		t.Errorf("after: %q", got)
	}
	tx := z.db.Write(9)
	z.pets.Insert(tx, &pet{Name: "ann"})
	tx.Abort()
	tx.Abort()
	if got := names(z.pets.All(z.db.Read())); got != "rexx" {
		t.Errorf("after an abort: %q", got)
	}
}

func TestKeysSortByTheirParts(t *testing.T) {
	parts := [][]string{{"", "b"}, {"a", ""}, {"a", "b"}, {"a", "b c"}, {"a b", "a"}, {"ab", ""}}
	var keys []string
	for _, p := range parts {
		keys = append(keys, state.Key(p...))
	}
	if !slices.IsSorted(keys) {
		t.Errorf("%q", keys)
	}
	for i, a := range keys {
		for j, b := range keys {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%q begins with %q", b, a)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := state.Open(newPets(), newPets()); err == nil || !strings.Contains(err.Error(), `two tables are called "pets"`) {
		t.Errorf("two tables of one name: %v", err)
	}
	for _, name := range []string{"id", "", "colour"} {
		colour := state.Index[pet]{Name: "colour"}
		if _, err := state.Open(state.NewTable("x", func(*pet) string { return "" }, colour, state.Index[pet]{Name: name})); err == nil {
			t.Errorf("an index called %q, beside id and colour, is accepted", name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a table of what is no row is accepted")
		}
	}()
	state.NewTable("x", func(*struct{}) string { return "" })
}

func TestMisuse(t *testing.T) {
	for what, do := range map[string]func(z *zoo){
		"a write by a reader": func(z *zoo) { z.pets.Insert(z.db.Read(), &pet{Name: "rex"}) },
		"a write after the commit": func(z *zoo) {
			tx := z.db.Write(1)
			tx.Commit()
			z.pets.Insert(tx, &pet{Name: "rex"})
		},
		"a second commit": func(z *zoo) {
			tx := z.db.Write(1)
			tx.Commit()
			tx.Commit()
		},
		"a table of another store": func(z *zoo) {
			other := state.NewTable("others", func(p *pet) string { return p.Name })
			other.Get(z.db.Read(), "rex")
		},
		"an unknown index":     func(z *zoo) { z.pets.First(z.db.Read(), "colour", "red") },
		"a row without a name": func(z *zoo) { z.write(func(tx *state.Tx) { z.pets.Insert(tx, &pet{}) }) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is accepted", what)
				}
			}()
			do(newZoo(t))
		}()
	}
}
