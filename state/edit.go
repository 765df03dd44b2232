package state

import (
	"slices"
	"sync/atomic"
)

// An edit is what a writing Tx has made so far. Each tree of it has an owner, a number that no other edit ever has, and so
// have the nodes that were made for it: these are edited in place, so that the commands of a batch share copies. When a
// run over a tree begins its owner ends, and what the run sees is copied from then on.
type edit struct {
	trees    []tree
	owners   *atomic.Uint64 // the last one that was given out
	first    uint64         // nodes of lower owners may be seen by readers
	replaced []*trigger     // of nodes and leaves that readers may see
	touched  map[string]uint64
}

// A tree is one index of a table in the making.
type tree struct {
	root  *node
	owner uint64 // 0: to be given out before the next change
}

func newEdit(owners *atomic.Uint64) *edit { return &edit{owners: owners, touched: map[string]uint64{}} }

// start begins to change these trees.
func (e *edit) start(roots []*node) {
	e.first = e.owners.Add(1)
	for _, r := range roots {
		e.trees = append(e.trees, tree{root: r})
	}
}

// reset forgets what was made, so that the edit may start again. It keeps what it has allocated, unless that is a lot.
func (e *edit) reset() {
	const lot = 1 << 12
	clear(e.trees)
	e.trees = e.trees[:0]
	if len(e.touched) > lot {
		e.touched = map[string]uint64{}
	}
	clear(e.touched)
	clear(e.replaced)
	if e.replaced = e.replaced[:0]; cap(e.replaced) > lot {
		e.replaced = nil
	}
}

// roots are the trees as they are now.
func (e *edit) roots() []*node {
	roots := make([]*node, len(e.trees))
	for i := range e.trees {
		roots[i] = e.trees[i].root
	}
	return roots
}

// keep makes what a tree is now stay as it is.
func (e *edit) keep(slot int) *node {
	e.trees[slot].owner = 0
	return e.trees[slot].root
}

// begin returns a tree that is about to change.
func (e *edit) begin(slot int) *tree {
	t := &e.trees[slot]
	if t.owner == 0 {
		t.owner = e.owners.Add(1)
	}
	return t
}

// own returns n, or a copy of it that may be edited and has room for so many more edges.
func (e *edit) own(t *tree, n *node, room int) *node {
	if n.owner == t.owner {
		return n
	}
	e.replace(n)
	c := &node{owner: t.owner, leaf: n.leaf, prefix: n.prefix}
	if len(n.edges)+room > 0 {
		c.edges = append(make([]edge, 0, len(n.edges)+room), n.edges...)
	}
	return c
}

// replace notes that n will be seen no more.
func (e *edit) replace(n *node) {
	if n.owner < e.first {
		e.replaced = append(e.replaced, &n.changed)
	}
}

func (e *edit) replaceLeaf(l *leaf) {
	e.replaced = append(e.replaced, &l.changed)
}

// insert puts a row under a key and returns the one that was there, or nil.
func (e *edit) insert(slot int, key string, row any) (old any) {
	t := e.begin(slot)
	at, rest := &t.root, key
	for rest != "" {
		i, found := (*at).edge(rest[0])
		if !found {
			n := e.own(t, *at, 1)
			n.edges = slices.Insert(n.edges, i, edge{rest[0], newTwig(t.owner, rest, row)})
			*at = n
			return nil
		}
		n := e.own(t, *at, 0)
		*at = n
		child := n.edges[i].node
		common := commonPrefix(rest, child.prefix)
		if common < len(child.prefix) {
			n.edges[i].node = e.split(t, child, common, rest, row)
			return nil
		}
		at, rest = &n.edges[i].node, rest[common:]
	}
	n := *at
	if n.leaf != nil {
		old = n.leaf.row
		e.replaceLeaf(n.leaf)
	}
	prefix := key[len(key)-len(n.prefix):] // the key of the old row is not kept for it
	if len(n.edges) == 0 && n != t.root {
		e.replace(n)
		*at = newTwig(t.owner, prefix, row)
		return old
	}
	n = e.own(t, n, 0)
	n.leaf, n.prefix = &leaf{row: row}, prefix
	*at = n
	return old
}

// split puts a node between child and its parent, where the rest of a key leaves the prefix of child.
func (e *edit) split(t *tree, child *node, common int, rest string, row any) *node {
	lower := e.own(t, child, 0)
	upper := &node{owner: t.owner, prefix: rest[:common]}
	lower.prefix = lower.prefix[common:]
	upper.edges = append(make([]edge, 0, 2), edge{lower.prefix[0], lower})
	if rest = rest[common:]; rest == "" {
		upper.leaf = &leaf{row: row}
		return upper
	}
	added := edge{rest[0], newTwig(t.owner, rest, row)}
	if added.label < upper.edges[0].label {
		upper.edges = append(upper.edges[:0], added, upper.edges[0])
	} else {
		upper.edges = append(upper.edges, added)
	}
	return upper
}

// delete removes a key, if it is there.
func (e *edit) delete(slot int, key string) {
	if l, _ := e.trees[slot].root.find(key); l == nil {
		return
	}
	t := e.begin(slot)
	n := e.own(t, t.root, 0)
	t.root = n
	for rest := key; rest != ""; {
		i, _ := n.edge(rest[0])
		child := n.edges[i].node
		rest = rest[len(child.prefix):]
		if rest == "" && len(child.edges) == 0 { // the node goes with its leaf
			e.replace(child)
			e.replaceLeaf(child.leaf)
			n.edges = slices.Delete(n.edges, i, i+1)
			if n.leaf == nil {
				e.merge(t, n)
			}
			return
		}
		child = e.own(t, child, 0)
		n.edges[i].node = child
		n = child
	}
	e.replaceLeaf(n.leaf)
	n.leaf = nil
	e.merge(t, n)
}

// merge joins a node without a leaf, which t owns, with its child, if it has but one.
func (e *edit) merge(t *tree, n *node) {
	if n == t.root || len(n.edges) != 1 {
		return
	}
	child := n.edges[0].node
	e.replace(child)
	n.prefix += child.prefix
	n.leaf = child.leaf
	if child.owner == t.owner {
		n.edges = child.edges
	} else {
		n.edges = slices.Clone(child.edges)
	}
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
