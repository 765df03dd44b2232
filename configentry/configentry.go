// Package configentry keeps configuration entries: what operators say of services, gateways, intentions and the mesh as a
// whole. It knows every kind, what makes an entry fit to be stored, and how entries must agree; it knows nothing of what
// proxies make of them.
package configentry

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"lictor/state"
)

//go:generate go tool msgp -o configentry_gen.go -tests=false -io=false

// An Entry is a configuration entry as it is stored, whatever its kind.
type Entry struct {
	Kind        string
	Name        string
	Text        string   // the JSON of its content, which Content reads
	Mentions    []string `msg:"Mentions,allownil"` // services that it leads to, in lower case
	Hash        uint64   // of the content: two entries of one Hash say the same
	CreateIndex uint64
	ModifyIndex uint64
}

// MarshalJSON writes the entry as clients see it: its content, and what all entries have.
func (e *Entry) MarshalJSON() ([]byte, error) {
	name, err := json.Marshal(e.Name)
	if err != nil {
		return nil, err
	}
	kind, err := json.Marshal(e.Kind)
	if err != nil {
		return nil, err
	}
	head := `{"Kind":` + string(kind)
	if e.Kind != Mesh {
		head += `,"Name":` + string(name)
	}
	text := e.Text
	if !strings.HasPrefix(text, "{") || !json.Valid([]byte(text)) { // which no service has written
		quoted, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		text = `{"Text":` + string(quoted) + "}"
	}
	body := strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	if body != "" {
		body = "," + body
	}
	return fmt.Appendf(nil, `%s%s,"Hash":%d,"CreateIndex":%d,"ModifyIndex":%d}`, head, body, e.Hash, e.CreateIndex, e.ModifyIndex), nil
}

// Content reads what the entry says, as a pointer to the struct of its kind: see kinds.
func (e *Entry) Content() (Content, error) {
	c := newContent(e.Kind)
	if c == nil {
		return nil, unknownKind(e.Kind)
	}
	if err := json.Unmarshal([]byte(e.Text), c); err != nil {
		return nil, fmt.Errorf("configuration entry %s/%s: %w", e.Kind, e.Name, err)
	}
	return c, nil
}

// seal fills in what follows from the content.
func (e *Entry) seal(c Content) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode configuration entry %s/%s: %w", e.Kind, e.Name, err)
	}
	h := fnv.New64a()
	for _, part := range []string{e.Kind, e.Name, string(text)} {
		h.Write([]byte(part + "\x00"))
	}
	e.Text, e.Hash, e.Mentions = string(text), h.Sum64(), nil
	if m, ok := c.(interface{ mentions() []string }); ok {
		e.Mentions = lowered(m.mentions())
	}
	return nil
}

// lowered are the names in lower case, each once, without empty ones.
func lowered(names []string) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, n := range names {
		if n = strings.ToLower(n); !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// Entries is the table. Names differ only if they differ in more than case.
var Entries = state.NewTable("config-entries", func(e *Entry) string { return key(e.Kind, e.Name) },
	state.Index[Entry]{Name: "mentions", Keys: func(e *Entry) []string {
		keys := make([]string, len(e.Mentions))
		for i, m := range e.Mentions {
			keys[i] = state.Key(m)
		}
		return keys
	}})

func key(kind, name string) string {
	if kind == "" || name == "" {
		return ""
	}
	return state.Key(kind, strings.ToLower(name))
}

// Tables lists the package's tables.
func Tables() []state.AnyTable { return []state.AnyTable{Entries} }

// Find finds an entry, or nil.
func Find(tx *state.Tx, kind, name string) *Entry { return Entries.Get(tx, key(kind, name)) }
