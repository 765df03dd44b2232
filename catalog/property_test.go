package catalog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"lictor/state"
)

// A dice makes commands about few names, so that they meet often.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 7))} }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func (d dice) command() state.Command {
	node := pick(d, "a", "b", "c", "A")
	if d.IntN(4) == 0 {
		return pick[state.Command](d,
			&Deregister{Node: node},
			&Deregister{Node: node, ServiceID: pick(d, "1", "2")},
			&Deregister{Node: node, CheckID: pick(d, "n", "s", SerfHealth)})
	}
	r := &Register{Node: node, Datacenter: "dc1", Address: pick(d, "10.0.0.1", "10.0.0.2"), SkipNodeUpdate: d.IntN(3) == 0}
	r.ID = pick(d, "", "", "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")
	if d.IntN(2) == 0 {
		r.NodeMeta = map[string]string{"k": pick(d, "v", "w")}
	}
	if d.IntN(3) > 0 {
		r.Service = d.instance()
	}
	if d.IntN(2) == 0 {
		r.Checks = append(r.Checks, check(pick(d, "n", SerfHealth), pick(d, Passing, Warning, Critical), ""))
	}
	if d.IntN(2) == 0 {
		r.Checks = append(r.Checks, check("s", pick(d, Passing, Warning, Critical), pick(d, "1", "2")))
	}
	return r
}

func (d dice) instance() *Instance {
	i := &Instance{ID: pick(d, "1", "2"), Service: pick(d, "x", "y", "z"), Port: d.IntN(2), Weights: &Weights{1, 1}}
	i.Tags = pick(d, nil, []string{"t1"}, []string{"t1", "t2"})
	switch d.IntN(4) {
	case 0:
		i.Kind, i.Proxy.DestinationServiceName = ConnectProxy, pick(d, "x", "y")
	case 1:
		i.Connect.Native = true
	}
	return i
}

// After each of many commands, every query whose answer has changed has been woken and has a higher index, and none
// has gone back. What was not woken gives the same answer and index as before.
func TestWatchesFireWhenTheAnswerChanges(t *testing.T) {
	for seed := range uint64(5) {
		s, d := newStore(t), newDice(seed)
		before := s.answers()
		for step := range 150 {
			cmd := d.command()
			s.log.Apply(context.Background(), cmd)
			after := s.answers()
			for name, was := range before {
				is := after[name]
				at := fmt.Sprintf("seed %d, step %d (%T %+v), %s", seed, step, cmd, cmd, name)
				switch {
				case is.json != was.json && !was.watch.Fired():
					t.Fatalf("%s: changed and nobody was woken\n%s\n%s", at, was.json, is.json)
				case is.json != was.json && is.index <= was.index:
					t.Fatalf("%s: changed with index %d, then %d\n%s\n%s", at, was.index, is.index, was.json, is.json)
				case is.index < was.index:
					t.Fatalf("%s: index went back from %d to %d", at, was.index, is.index)
				}
			}
			before = after
		}
	}
}

// A command that is repeated changes no index and wakes nobody.
func TestRepeatedCommandsAreSilent(t *testing.T) {
	for seed := range uint64(4) {
		s, d := newStore(t), newDice(seed+100)
		for step := range 150 {
			cmd := d.command()
			s.log.Apply(context.Background(), cmd)
			before, dumped := s.answers(), s.dump()
			s.log.Apply(context.Background(), cmd)
			if got := s.dump(); got != dumped {
				t.Fatalf("seed %d, step %d: %+v again changed\n%s\nto\n%s", seed, step, cmd, dumped, got)
			}
			for name, was := range before {
				if is := s.answer(named(name)); is.index != was.index || was.watch.Fired() {
					t.Fatalf("seed %d, step %d: %+v again moved %s from %d to %d", seed, step, cmd, name, was.index, is.index)
				}
			}
		}
	}
}

func named(name string) question {
	for _, q := range questions() {
		if q.name == name {
			return q
		}
	}
	panic(name)
}

// The same log gives the same state in two stores, facts included, and a snapshot gives it in a third one.
func TestReplicasAgree(t *testing.T) {
	for seed := range uint64(4) {
		one, two, third := newStore(t), newStore(t), newStore(t)
		d1, d2 := newDice(seed+200), newDice(seed+200)
		for range 200 {
			_, err1 := one.log.Apply(context.Background(), d1.command())
			_, err2 := two.log.Apply(context.Background(), d2.command())
			if fmt.Sprint(err1) != fmt.Sprint(err2) {
				t.Fatalf("seed %d: %v, %v", seed, err1, err2)
			}
		}
		if a, b := one.dump(), two.dump(); a != b {
			t.Fatalf("seed %d: two stores differ\n%s\n%s", seed, a, b)
		}
		var snapshot bytes.Buffer
		if _, err := one.log.DB().Snapshot().WriteTo(&snapshot); err != nil {
			t.Fatal(err)
		}
		if err := third.log.DB().Restore(&snapshot); err != nil {
			t.Fatal(err)
		}
		if a, b := one.dump(), third.dump(); a != b {
			t.Fatalf("seed %d: a restored snapshot differs\n%s\n%s", seed, a, b)
		}
		for name, a := range one.answers() {
			if b := third.answer(named(name)); a.json != b.json || a.index != b.index {
				t.Fatalf("seed %d: %s differs after a restore: %d %s\n%d %s", seed, name, a.index, a.json, b.index, b.json)
			}
		}
	}
}

// A command that fails has changed nothing.
func TestFailedCommandsChangeNothing(t *testing.T) {
	failed := 0
	for seed := range uint64(4) {
		s, d := newStore(t), newDice(seed+300)
		for range 200 {
			dumped := s.dump()
			if _, err := s.log.Apply(context.Background(), d.command()); err != nil {
				failed++
				if got := s.dump(); got != dumped {
					t.Fatalf("seed %d: %v, but\n%s\nbecame\n%s", seed, err, dumped, got)
				}
			}
		}
	}
	if failed == 0 {
		t.Error("no command has failed: the test tests nothing")
	}
}
