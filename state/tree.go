package state

import "strings"

// An index of a table is a radix tree: a node stands for the bytes on the way to it, and inner nodes with one child and no
// row are left out.
//
//	root ""
//	  "re"            row of the key "re"
//	    "d"           row of the key "red"
//	    "x\x00"       row of the key "rex\x00"
//	  "tom"           row of the key "tom"
//
// Who reads has a root and sees a tree that never changes. Who writes (edit.go) copies the nodes that others may see and
// edits those in place that it has made itself.
//
// Triggers tell of changes. That of a leaf fires when its row is replaced or removed; that of a node when anything below
// it changes, or the node itself: so one who has looked for what is not there, or for all keys with a prefix, watches the
// deepest node on the way.

// A node is never changed once a reader may see it, but for its trigger.
type node struct {
	changed trigger
	owner   uint64 // who may edit it in place: see edit
	leaf    *leaf  // nil if no key ends here
	prefix  string // the bytes that lead here from the parent; empty for the root alone
	edges   []edge // in the order of their labels
}

// An edge leads to the child whose prefix begins with label.
type edge struct {
	label byte
	node  *node
}

// A leaf holds the row of a key. It stays the same while nodes around it are split, merged and copied.
type leaf struct {
	changed trigger
	row     any
}

// newTwig makes a node at the end of a branch. It is one object with its leaf, as most nodes end one.
func newTwig(owner uint64, prefix string, row any) *node {
	t := &struct {
		node node
		leaf leaf
	}{}
	t.leaf.row = row
	t.node.owner, t.node.prefix, t.node.leaf = owner, prefix, &t.leaf
	return &t.node
}

// edge finds the place among the edges where the label is, or would be.
func (n *node) edge(label byte) (at int, found bool) {
	lo, hi := 0, len(n.edges)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); n.edges[m].label < label {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < len(n.edges) && n.edges[lo].label == label
}

// find looks for a key below n, which is a root. It returns the leaf, or nil, and the deepest node on the way.
func (n *node) find(key string) (*leaf, *node) {
	for key != "" {
		at, found := n.edge(key[0])
		if !found {
			return nil, n
		}
		if n = n.edges[at].node; !strings.HasPrefix(key, n.prefix) {
			return nil, n
		}
		key = key[len(n.prefix):]
	}
	return n.leaf, n
}

// seek looks for the node under which all keys with a prefix are, and these alone. It returns nil if there are none, and
// the deepest node on the way.
func (n *node) seek(prefix string) (under, deepest *node) {
	for prefix != "" {
		at, found := n.edge(prefix[0])
		if !found {
			return nil, n
		}
		n = n.edges[at].node
		if strings.HasPrefix(n.prefix, prefix) {
			break
		}
		if !strings.HasPrefix(prefix, n.prefix) {
			return nil, n
		}
		prefix = prefix[len(n.prefix):]
	}
	return n, n
}

// first is the leaf with the lowest key under n, nil if there is none.
func (n *node) first() *leaf {
	for n != nil {
		if n.leaf != nil {
			return n.leaf
		}
		if len(n.edges) == 0 {
			return nil
		}
		n = n.edges[0].node
	}
	return nil
}

// last is the leaf with the highest key under n, nil if there is none.
func (n *node) last() *leaf {
	for len(n.edges) > 0 {
		n = n.edges[len(n.edges)-1].node
	}
	return n.leaf
}

// walk visits the rows under n, which may be nil, in the order of their keys, until visit returns false.
func (n *node) walk(visit func(row any) bool) bool {
	if n == nil {
		return true
	}
	if n.leaf != nil && !visit(n.leaf.row) {
		return false
	}
	for i := range n.edges {
		if !n.edges[i].node.walk(visit) {
			return false
		}
	}
	return true
}

// walkFrom visits the rows under n whose keys are at least key. Both have what leads to n in front.
func (n *node) walkFrom(key string, visit func(row any) bool) bool {
	if !strings.HasPrefix(key, n.prefix) {
		return n.prefix < key || n.walk(visit)
	}
	key = key[len(n.prefix):]
	if key == "" {
		return n.walk(visit)
	}
	at, found := n.edge(key[0])
	if found {
		if !n.edges[at].node.walkFrom(key, visit) {
			return false
		}
		at++
	}
	for _, e := range n.edges[at:] {
		if !e.node.walk(visit) {
			return false
		}
	}
	return true
}
