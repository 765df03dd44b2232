package config

import (
	"reflect"
	"slices"
	"strings"

	"lictor/catalog"
)

// A shape is what the decoder knows of one struct type: its keys, those of inlined structs among them.
type shape struct {
	keys    []keyField
	byName  map[string]int
	aliases map[string]string
	loose   bool // whether case and underscores of keys do not matter
}

// A keyField is one key and the field that it sets.
type keyField struct {
	name  string
	index []int
}

func (d *decoder) shape(t reflect.Type) *shape {
	s := d.shapes[t]
	if s == nil {
		s = newShape(t)
		d.shapes[t] = s
	}
	return s
}

func newShape(t reflect.Type) *shape {
	s := &shape{byName: map[string]int{}, loose: t.PkgPath() == reflect.TypeFor[catalog.CheckDefinition]().PkgPath()}
	if t == reflect.TypeFor[catalog.CheckDefinition]() {
		s.aliases = map[string]string{"scriptargs": "args", "checkid": "id"}
	}
	s.add(t, nil)
	return s
}

// add collects the keys of a struct. A tag is `config:"name"`, `config:",inline"` for a struct whose keys belong to
// the level above, or `config:"-"` for a field that no key sets.
func (s *shape) add(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("config"), ",")
		index := append(slices.Clone(at), i)
		switch {
		case option == "inline":
			s.add(f.Type, index)
		case name != "" && name != "-":
			s.byName[name] = len(s.keys)
			s.keys = append(s.keys, keyField{name: name, index: index})
		}
	}
}

// find looks a key up; case does not matter, and in what the catalog defines underscores do not either.
func (s *shape) find(name string) (keyField, bool) {
	if i, ok := s.byName[name]; ok {
		return s.keys[i], true
	}
	if alias, ok := s.aliases[squeeze(name)]; ok {
		name = alias
	}
	for _, k := range s.keys {
		if strings.EqualFold(k.name, name) || s.loose && squeeze(k.name) == squeeze(name) {
			return k, true
		}
	}
	return keyField{}, false
}

func squeeze(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// hint says what was probably meant, or what is allowed where there is little to choose from.
func (s *shape) hint(name string) string {
	best, distance := "", 3
	if len(name) < 5 {
		distance = 2
	}
	for _, k := range s.keys {
		if n := editDistance(squeeze(name), squeeze(k.name)); n < distance {
			best, distance = k.name, n
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if parts := s.containing(name); len(parts) > 0 && len(parts) < 5 {
		return "did you mean " + strings.Join(parts, ", or ") + "?"
	}
	if len(s.keys) > 20 {
		return "see docs/config.md for all keys"
	}
	names := make([]string, len(s.keys))
	for i, k := range s.keys {
		names[i] = k.name
	}
	return "allowed here: " + strings.Join(names, ", ")
}

// containing lists the keys that hold a word.
func (s *shape) containing(word string) []string {
	var names []string
	for _, k := range s.keys {
		if len(word) > 3 && strings.Contains(squeeze(k.name), squeeze(word)) {
			names = append(names, k.name)
		}
	}
	return names
}

// editDistance is the number of letters to add, drop or change between two words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// walk calls f with each key of a struct that is not an object itself, in the order of the struct.
func walk(v reflect.Value, prefix string, f func(key string, field reflect.StructField, v reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, option, _ := strings.Cut(field.Tag.Get("config"), ",")
		switch {
		case option == "inline":
			walk(v.Field(i), prefix, f)
		case name == "" || name == "-":
		case field.Type.Kind() == reflect.Struct && field.Type != timeType:
			walk(v.Field(i), prefix+name+".", f)
		default:
			f(prefix+name, field, v.Field(i))
		}
	}
}
