package state

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// Maps are encoded in the order in which Go runs over them, which is another one each time. In snapshots their keys are
// sorted, so that servers with the same state write the same bytes.

// hasMaps tells whether the encoding of a type may depend on the order of a map.
func hasMaps(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map, reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return hasMaps(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if hasMaps(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// appendSorted appends the value at the begin of b with the keys of all maps in it sorted, and returns what is behind it.
func appendSorted(to, b []byte) (out, rest []byte, err error) {
	switch msgp.NextType(b) {
	case msgp.ArrayType:
		n, b, err := msgp.ReadArrayHeaderBytes(b)
		to = msgp.AppendArrayHeader(to, n)
		for range n {
			if err == nil {
				to, b, err = appendSorted(to, b)
			}
		}
		return to, b, err
	case msgp.MapType:
		return appendMap(to, b)
	}
	rest, err = msgp.Skip(b)
	return append(to, b[:len(b)-len(rest)]...), rest, err
}

func appendMap(to, b []byte) (out, rest []byte, err error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return to, b, err
	}
	type pair struct{ key, value []byte }
	pairs := make([]pair, n)
	for i := range pairs {
		value, err := msgp.Skip(b)
		if err != nil {
			return to, b, err
		}
		if rest, err = msgp.Skip(value); err != nil {
			return to, b, err
		}
		pairs[i] = pair{b[:len(b)-len(value)], value[:len(value)-len(rest)]}
		b = rest
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	to = msgp.AppendMapHeader(to, n)
	for _, p := range pairs {
		if to, _, err = appendSorted(append(to, p.key...), p.value); err != nil {
			return to, b, err
		}
	}
	return to, b, nil
}
