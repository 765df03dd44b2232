package state

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// A trial makes changes to a tree that a stream of bytes dictates, and holds the tree to what a sorted list of keys says.
type trial struct {
	*testing.T
	script []byte
	edit   *edit
	root   *node
	rows   []pair // of root, in the order of the keys
	clock  int
	kept   []moment
	open   []question // what has not been woken yet
}

type pair struct {
	key string
	row int
}

// A moment is a tree as it was, which must stay so.
type moment struct {
	root *node
	rows []pair
}

// A question is what somebody has asked a tree, and watches.
type question struct {
	what    string
	prefix  bool
	answer  []pair
	fired   <-chan struct{}
	path    string // of the node that is watched
	parent  string // its parent's path
	present bool   // the leaf is watched
}

func (tr *trial) next() int {
	if len(tr.script) == 0 {
		return 0
	}
	b := tr.script[0]
	tr.script = tr.script[1:]
	return int(b)
}

// key is one that is there, or short and of few letters, so that nodes are split and merged all the time.
func (tr *trial) key() string {
	if tr.next()%2 == 0 && len(tr.rows) > 0 {
		return tr.rows[tr.next()%len(tr.rows)].key
	}
	b := make([]byte, 1+tr.next()%5)
	for i := range b {
		b[i] = "ab\x00"[tr.next()%3]
	}
	return string(b)
}

func at(rows []pair, key string) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(p pair, key string) int { return strings.Compare(p.key, key) })
}

func with(rows []pair, prefix string) []pair {
	var out []pair
	for _, p := range rows {
		if strings.HasPrefix(p.key, prefix) {
			out = append(out, p)
		}
	}
	return out
}

// ask looks for a key or a prefix, checks the answer and watches it.
func (tr *trial) ask(m moment, what string, prefix bool) question {
	tr.Helper()
	q := question{what: what, prefix: prefix}
	var deepest *node
	if prefix {
		var under *node
		under, deepest = m.root.seek(what)
		q.answer = with(m.rows, what)
		tr.same("prefix "+what, all(under), q.answer)
		if len(q.answer) > 0 {
			tr.same("the first of "+what, []pair{under.first().row.(pair)}, q.answer[:1])
			tr.same("the last of "+what, []pair{under.last().row.(pair)}, q.answer[len(q.answer)-1:])
		} else if under.first() != nil {
			tr.Fatalf("a first row with prefix %q", what)
		}
		q.fired = deepest.changed.channel()
	} else {
		var l *leaf
		l, deepest = m.root.find(what)
		if i, found := at(m.rows, what); found {
			q.answer, q.present = m.rows[i:i+1], true
		}
		if (l != nil) != q.present || l != nil && l.row != q.answer[0] {
			tr.Fatalf("key %q: %+v, not %v", what, l, q.answer)
		}
		if q.present {
			q.fired = l.changed.channel()
		} else {
			q.fired = deepest.changed.channel()
		}
	}
	q.path, q.parent = path(m.root, deepest, "", "")
	return q
}

func all(n *node) (out []pair) {
	n.walk(func(row any) bool { out = append(out, row.(pair)); return true })
	return out
}

// path tells what leads to a node, and to its parent; the prefix of no node ends in "?".
func path(n, wanted *node, here, parent string) (string, string) {
	if n == wanted {
		return here, parent
	}
	for _, e := range n.edges {
		if p, q := path(e.node, wanted, here+e.node.prefix, here); p != "?" {
			return p, q
		}
	}
	return "?", "?"
}

func (tr *trial) same(what string, got, want []pair) {
	tr.Helper()
	if !slices.Equal(got, want) {
		tr.Fatalf("%q: %v, not %v", what, got, want)
	}
}

// shape checks that the tree has no more nodes than it needs, in order.
func (tr *trial) shape(n *node, root bool) {
	tr.Helper()
	if (n.prefix == "") != root || !root && n.leaf == nil && len(n.edges) < 2 {
		tr.Fatalf("a node with prefix %q, leaf %v and %d children", n.prefix, n.leaf, len(n.edges))
	}
	for i, e := range n.edges {
		if e.node.prefix == "" || e.node.prefix[0] != e.label || i > 0 && e.label <= n.edges[i-1].label {
			tr.Fatalf("edge %q of %q", e.label, n.prefix)
		}
		tr.shape(e.node, false)
	}
}

// questions asks for some keys and prefixes.
func (tr *trial) questions(m moment) (out []question) {
	for range 1 + tr.next()%4 {
		out = append(out, tr.ask(m, tr.key(), false), tr.ask(m, tr.key(), true))
	}
	return append(out, tr.ask(m, "", true))
}

// transaction changes the tree and checks who is woken.
func (tr *trial) transaction() {
	before := moment{tr.root, slices.Clone(tr.rows)}
	asked := tr.questions(before)
	e := tr.edit
	defer e.reset()
	e.start([]*node{tr.root})
	var put, removed []string
	type run struct {
		moment
		from string
	}
	var runs []run
	for range tr.next() % 16 {
		key := tr.key()
		i, found := at(tr.rows, key)
		switch tr.next() % 8 {
		case 0, 1, 2, 3:
			tr.clock++
			row := pair{key, tr.clock}
			old := e.insert(0, strings.Clone(key), row)
			if (old != nil) != found || found && old != tr.rows[i] {
				tr.Fatalf("%q replaces %v", key, old)
			}
			if !found {
				tr.rows = slices.Insert(tr.rows, i, row)
			}
			tr.rows[i] = row
			put = append(put, key)
		case 4, 5:
			e.delete(0, key)
			if found {
				tr.rows = slices.Delete(tr.rows, i, i+1)
				removed = append(removed, key)
			}
		case 6: // a run that begins here and is read later
			runs = append(runs, run{moment{e.keep(0), slices.Clone(tr.rows)}, key})
		case 7:
			var got []pair
			e.trees[0].root.walkFrom(key, func(row any) bool { got = append(got, row.(pair)); return true })
			tr.same("from "+key, got, tr.rows[i:])
			if l, _ := e.trees[0].root.find(key); (l != nil) != found {
				tr.Fatalf("%q while it is written", key)
			}
		}
	}
	for _, r := range runs {
		tr.same("a run", all(r.root), r.rows)
		var got []pair
		i, _ := at(r.rows, r.from)
		r.root.walkFrom(r.from, func(row any) bool { got = append(got, row.(pair)); return true })
		tr.same("a run from "+r.from, got, r.rows[i:])
	}
	asked = append(asked, tr.questions(before)...) // while it is written
	if tr.next()%8 == 0 {
		tr.rows, put, removed = slices.Clone(before.rows), nil, nil // given up
	} else {
		for _, t := range e.replaced {
			t.fire()
		}
		tr.root = e.roots()[0]
	}
	asked = append(asked, tr.questions(before)...) // late
	tr.shape(tr.root, true)
	tr.same("all", all(tr.root), tr.rows)
	asked = append(tr.open, asked...)
	tr.open = nil
	for _, q := range asked {
		if !tr.check(q, put, removed) {
			tr.open = append(tr.open, q)
		}
	}
	tr.open = tr.open[max(0, len(tr.open)-30):]
	if tr.kept = append(tr.kept, before); len(tr.kept) > 5 {
		tr.kept = tr.kept[1:]
	}
	for _, m := range tr.kept {
		tr.same("a moment", all(m.root), m.rows)
	}
}

// check holds a watch to what was written: it has fired if the answer is another one. Where it has fired though the answer
// is the same, something was written near the node that was watched: below the edge that leads to it, or, if its parent
// may have been joined with it, below that.
func (tr *trial) check(q question, put, removed []string) (fired bool) {
	tr.Helper()
	select {
	case <-q.fired:
		fired = true
	default:
	}
	var now []pair
	if i, found := at(tr.rows, q.what); q.prefix {
		now = with(tr.rows, q.what)
	} else if found {
		now = tr.rows[i : i+1]
	}
	if !fired {
		if !slices.Equal(now, q.answer) {
			tr.Fatalf("%+v is not woken, and is %v", q, now)
		}
		return false
	}
	near := func(keys []string, prefix string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, prefix) })
	}
	if q.present {
		if !slices.Contains(put, q.what) && !slices.Contains(removed, q.what) {
			tr.Fatalf("%+v is woken by %q and the end of %q", q, put, removed)
		}
		return true
	}
	edge := q.path
	if q.path != "" {
		edge = q.path[:len(q.parent)+1]
	}
	if !near(put, edge) && !near(removed, q.parent) {
		tr.Fatalf("%+v is woken by %q and the end of %q", q, put, removed)
	}
	return true
}

func runTrial(t *testing.T, script []byte) {
	tr := &trial{T: t, script: script, root: &node{}, edit: newEdit(&atomic.Uint64{})}
	for len(tr.script) > 0 {
		tr.transaction()
	}
}

func TestTree(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 20_000)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		runTrial(t, script)
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("insert, delete, look and watch: whatever these letters say, and more of it than a transaction takes"))
	f.Fuzz(func(t *testing.T, script []byte) { runTrial(t, script[:min(len(script), 10_000)]) })
}

// Many rows, and their end, cost the same for each of them.
func TestTreeOfMany(t *testing.T) {
	var owners atomic.Uint64
	e := newEdit(&owners)
	e.start([]*node{{}})
	key := func(i int) string { return string([]byte{byte(i >> 16), byte(i >> 8), byte(i)}) }
	const many = 200_000
	for i := range many {
		e.insert(0, key(i*7919%many), i)
	}
	n := 0
	e.keep(0).walk(func(any) bool { n++; return true })
	if n != many {
		t.Errorf("%d rows", n)
	}
	for i := range many {
		e.delete(0, key(i))
	}
	if root := e.keep(0); root.leaf != nil || len(root.edges) != 0 {
		t.Error("something is left")
	}
}

func TestTriggers(t *testing.T) {
	var early, late trigger
	ch := early.channel()
	if ch != early.channel() {
		t.Error("two channels of one trigger")
	}
	select {
	case <-ch:
		t.Error("fired by nobody")
	default:
	}
	early.fire()
	early.fire()
	late.fire()
	<-ch
	<-early.channel()
	<-late.channel()
}
