package config

import "strings"

// The kinds of a value in a parsed file.
type kind uint8

const (
	nullKind kind = iota
	stringKind
	numberKind
	boolKind
	listKind
	objectKind
)

// describe names the kind in messages.
func (k kind) describe() string {
	return [...]string{"null", "a string", "a number", "true or false", "a list", "an object"}[k]
}

// A value is one value of a parsed file, with the line that it starts on. HCL and JSON both become values, and so do
// flags, so that one decoder serves all.
type value struct {
	kind   kind
	line   int
	text   string   // of a string, or a number as it was written
	flag   bool     // of a bool
	list   []*value // of a list
	fields []field  // of an object, in the order of the file; a name may come more than once (HCL blocks)
}

// A field is one key of an object.
type field struct {
	name  string
	line  int
	value *value
}

// lift takes the values at a dotted path out of an object and returns them. An object that is empty then goes, too.
func (v *value) lift(path string) []field {
	head, rest, nested := strings.Cut(path, ".")
	var taken []field
	for _, object := range v.objects() {
		kept := object.fields[:0]
		for _, f := range object.fields {
			switch {
			case strings.EqualFold(f.name, path):
				taken = append(taken, f)
			case nested && strings.EqualFold(f.name, head):
				found := f.value.lift(rest)
				taken = append(taken, found...)
				if len(found) == 0 || !f.value.hollow() {
					kept = append(kept, f)
				}
			default:
				kept = append(kept, f)
			}
		}
		object.fields = kept
	}
	return taken
}

// hollow says whether nothing is in an object, or in the objects of a list.
func (v *value) hollow() bool {
	for _, object := range v.objects() {
		if len(object.fields) > 0 {
			return false
		}
	}
	return true
}

// objects is the value itself if it is an object, or the objects of a list.
func (v *value) objects() []*value {
	switch v.kind {
	case objectKind:
		return []*value{v}
	case listKind:
		var all []*value
		for _, e := range v.list {
			if e.kind == objectKind {
				all = append(all, e)
			}
		}
		return all
	}
	return nil
}

// nest wraps a value in the objects of a dotted path.
func nest(path string, v *value) field {
	head, rest, nested := strings.Cut(path, ".")
	if nested {
		inner := nest(rest, v)
		v = &value{kind: objectKind, line: v.line, fields: []field{inner}}
	}
	return field{name: head, line: v.line, value: v}
}

// plain is the value as encoding/json would give it, for keys whose content is free. Repeated blocks become a list.
func (v *value) plain() any {
	switch v.kind {
	case stringKind:
		return v.text
	case numberKind:
		return number(v.text)
	case boolKind:
		return v.flag
	case listKind:
		list := make([]any, len(v.list))
		for i, e := range v.list {
			list[i] = e.plain()
		}
		return list
	case objectKind:
		return v.plainObject()
	}
	return nil
}

func (v *value) plainObject() map[string]any {
	object := make(map[string]any, len(v.fields))
	repeated := map[string]bool{}
	for _, f := range v.fields {
		p := f.value.plain()
		earlier, again := object[f.name]
		switch {
		case again && repeated[f.name]:
			object[f.name] = append(earlier.([]any), p)
		case again && f.value.kind == objectKind:
			object[f.name], repeated[f.name] = []any{earlier, p}, true
		default:
			object[f.name] = p
		}
	}
	return object
}
