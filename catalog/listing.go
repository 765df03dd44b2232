package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"lictor/rpc"
)

// A Listing is the answer to a query that gives rows. Its JSON is the rows alone, [] if there are none. The rows are
// shared and must not be changed.
type Listing[T any] struct {
	Rows     []T
	Filtered bool // rows were left out that the token may not see
}

// MarshalJSON writes the rows.
func (l Listing[T]) MarshalJSON() ([]byte, error) {
	if len(l.Rows) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(l.Rows)
}

// MarshalMsg implements msgp.Marshaler.
func (l Listing[T]) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendMapHeader(b, 2)
	b = msgp.AppendBool(msgp.AppendString(b, "Filtered"), l.Filtered)
	return rpc.Append(msgp.AppendString(b, "Rows"), &l.Rows)
}

// UnmarshalMsg implements msgp.Unmarshaler.
func (l *Listing[T]) UnmarshalMsg(b []byte) ([]byte, error) {
	fields, b, err := msgp.ReadMapHeaderBytes(b)
	for ; fields > 0 && err == nil; fields-- {
		var name []byte
		if name, b, err = msgp.ReadMapKeyZC(b); err != nil {
			break
		}
		switch string(name) {
		case "Filtered":
			l.Filtered, b, err = msgp.ReadBoolBytes(b)
		case "Rows":
			b, err = rpc.Next(b, &l.Rows)
		default:
			b, err = msgp.Skip(b)
		}
	}
	return b, err
}

// FilteredByACLs tells whether rows were left out that the token may not see.
func (l Listing[T]) FilteredByACLs() bool { return l.Filtered }

// Lists are lists of strings by name. Unlike what is generated for such a map, what travels tells nil from empty lists.
type Lists map[string][]string

// MarshalMsg implements msgp.Marshaler.
func (l Lists) MarshalMsg(b []byte) ([]byte, error) { return rpc.Append(b, (*map[string][]string)(&l)) }

// UnmarshalMsg implements msgp.Unmarshaler.
func (l *Lists) UnmarshalMsg(b []byte) ([]byte, error) { return rpc.Next(b, (*map[string][]string)(l)) }

// Msgsize implements msgp.Sizer.
func (l Lists) Msgsize() int {
	n := msgp.MapHeaderSize
	for name, list := range l {
		n += msgp.StringPrefixSize + len(name) + msgp.ArrayHeaderSize
		for _, s := range list {
			n += msgp.StringPrefixSize + len(s)
		}
	}
	return n
}

// A List is several strings in a form that can be compared with ==, as arguments of queries must be. ListOf makes one;
// the zero value is the empty list.
type List string

// ListOf makes a List.
func ListOf(items ...string) List {
	var b strings.Builder
	for _, s := range items {
		b.WriteString(s)
		b.WriteByte(0)
	}
	return List(b.String())
}

// Items are the strings of the list.
func (l List) Items() []string {
	if l == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(l), "\x00"), "\x00")
}

// Pairs is a map of strings in a form that can be compared with ==. PairsOf makes one; the zero value is the empty map.
type Pairs struct{ list List }

// PairsOf makes Pairs.
func PairsOf(m map[string]string) Pairs {
	items := make([]string, 0, 2*len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		items = append(items, k, m[k])
	}
	return Pairs{ListOf(items...)}
}

// in tells whether all pairs are in m.
func (p Pairs) in(m map[string]string) bool {
	items := p.list.Items()
	for i := 0; i+1 < len(items); i += 2 {
		if v, ok := m[items[i]]; !ok || v != items[i+1] {
			return false
		}
	}
	return true
}

func (p Pairs) empty() bool { return p.list == "" }

// The arguments of queries travel as the texts that they are made of.
func textOfPairs(p Pairs) string    { return string(p.list) }
func pairsOfText(text string) Pairs { return Pairs{List(text)} }
