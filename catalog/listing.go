package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
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

// FilteredByACLs tells whether rows were left out that the token may not see.
func (l Listing[T]) FilteredByACLs() bool { return l.Filtered }

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
