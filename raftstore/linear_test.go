package raftstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"lictor/kv"
	"lictor/state"
)

var seed = flag.Uint64("seed", 0, "of the histories; 0 draws one")

// An operation on one key.
type operation struct {
	at       string // which server was asked, and when
	kind     string // "get", "put" or "cas"
	key      string
	old, new string
}

// What came of it. A write that is uncertain has no answer.
type outcome struct {
	value   string
	swapped bool
	unknown bool
}

// registers is what keys are to their readers.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(operation).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "missing" },
	Step: func(value, input, output any) (bool, any) {
		in, out := input.(operation), output.(outcome)
		switch in.kind {
		case "get":
			return out.value == value, value
		case "put":
			return true, in.new
		}
		if !out.swapped { // it may have met a write of which nobody knows
			return true, value
		}
		return value == in.old, in.new
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// A history is what several clients did.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex // guards ops
	ops   []porcupine.Operation
}

// note carries out one operation.
func (h *history) note(in operation, do func() (outcome, error)) {
	in.at += " " + time.Now().Format("05.000")
	op := porcupine.Operation{Input: in, Call: h.clock.Add(1)}
	out, err := do()
	op.Return = h.clock.Add(1)
	if err != nil {
		if in.kind == "get" || errors.Is(err, state.ErrNoLeader) {
			return // nothing was written, nothing was read
		}
		out.unknown, op.Return = true, math.MaxInt64
	}
	op.Output = out
	h.mu.Lock()
	defer h.mu.Unlock()
	op.ClientId = len(h.ops)
	h.ops = append(h.ops, op)
}

// A client reads and writes through all servers.
type client struct {
	c      *cluster
	h      *history
	random *rand.Rand
	name   string
	writes int
	known  map[string]*kv.Entry // what it last read
}

func (cl *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(cl.random.IntN(int(40 * time.Millisecond))))
		ids := cl.c.running()
		if len(ids) == 0 {
			continue
		}
		at := cl.c.at(ids[cl.random.IntN(len(ids))])
		key := fmt.Sprint("key", cl.random.IntN(3))
		switch n := cl.random.IntN(10); {
		case n < 3:
			cl.get(at, key, state.Default)
		case n < 6:
			cl.get(at, key, state.Consistent)
		case n < 9 || cl.known[key] == nil:
			cl.write(at, operation{kind: "put", key: key})
		default:
			cl.write(at, operation{kind: "cas", key: key, old: string(cl.known[key].Value)})
		}
	}
}

func (cl *client) get(at *testServer, key string, how state.Consistency) {
	n := at.Node
	cl.h.note(operation{at: fmt.Sprint(n.ID, " ", how), kind: "get", key: key}, func() (outcome, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := n.Fresh(ctx, state.ReadOptions{Consistency: how}); err != nil {
			return outcome{}, err
		}
		if cl.c.at(n.ID) != at {
			return outcome{}, errUnreachable
		}
		e := kv.Entries.Get(n.DB().Read(), key)
		if e == nil {
			return outcome{value: "missing"}, nil
		}
		cl.known[key] = e
		return outcome{value: string(e.Value)}, nil
	})
}

// write writes through the server, or through the leader that it knows.
func (cl *client) write(at *testServer, op operation) {
	cl.writes++
	op.new = fmt.Sprint(cl.name, cl.writes)
	cmd := &kv.Put{Key: op.key, Value: []byte(op.new), CAS: op.kind == "cas"}
	if cmd.CAS {
		cmd.Index = cl.known[op.key].ModifyIndex
	}
	n := at.Node
	op.at = n.ID
	cl.h.note(op, func() (outcome, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		done, err := n.Apply(ctx, cmd)
		if _, leader := n.Leader(); errors.Is(err, state.ErrNoLeader) && leader != "" && leader != n.ID {
			err = cl.c.call(ctx, n.ID, leader, func(s *testServer) error { done, err = s.Apply(ctx, cmd); return err })
		}
		if err != nil {
			return outcome{}, err
		}
		return outcome{swapped: done.(bool)}, nil
	})
}

// running are the ids of the servers that run.
func (c *cluster) running() []string {
	var ids []string
	for id, s := range c.all() {
		if s.Node != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// trouble cuts lines, kills and starts servers and moves the leadership, until ctx ends.
func (c *cluster) trouble(ctx context.Context, random *rand.Rand) {
	var ids []string
	for id := range c.all() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	some := func() string { return ids[random.IntN(len(ids))] }
	for ctx.Err() == nil {
		time.Sleep(time.Duration(random.IntN(int(1500 * time.Millisecond))))
		switch random.IntN(7) {
		case 0:
			c.isolate(some(), true)
		case 1:
			c.net.cut(some(), some(), true)
		case 2, 3:
			for _, id := range ids {
				c.isolate(id, false)
			}
		case 4:
			if id := some(); c.at(id).Node != nil {
				c.kill(id)
			}
		case 5:
			for _, id := range ids {
				if c.at(id).Node == nil {
					c.start(id)
				}
			}
		case 6:
			if s := c.at(c.leader()); s != nil {
				to := some()
				go s.transfer(ctx, Peer{ID: to})
			}
		}
	}
	for _, id := range ids {
		c.isolate(id, false)
		if c.at(id).Node == nil {
			c.start(id)
		}
	}
}

// What clients read by default and consistently, from whichever server, is one history with what they write, whatever
// happens to servers and lines.
func TestReadsAreLinearizable(t *testing.T) {
	first := *seed
	runs := uint64(1)
	if first == 0 {
		first, runs = rand.Uint64(), 3
	}
	for s := first; s < first+runs; s++ {
		t.Run(fmt.Sprint("seed=", s), func(t *testing.T) {
			var ops []porcupine.Operation
			synctest.Test(t, func(t *testing.T) { ops = record(t, s) })
			result, info := porcupine.CheckOperationsVerbose(registers, ops, time.Minute)
			if result == porcupine.Ok {
				return
			}
			t.Errorf("not linearizable (%s): run with -seed=%d", result, s)
			explain(t, ops)
			if file, err := os.CreateTemp("", "history-*.html"); err == nil {
				t.Log("see", file.Name(), porcupine.Visualize(registers, info, file), file.Close())
			}
		})
	}
}

// record makes a history.
func record(t *testing.T, seed uint64) []porcupine.Operation {
	ids := []string{"a", "b", "c"}
	if seed%3 == 0 {
		ids = append(ids, "d", "e")
	}
	c := newCluster(t, nil, ids...)
	if seed%2 == 0 {
		c.net.slow.Store(int64(30 * time.Millisecond))
	}
	c.elected()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var h history
	var all sync.WaitGroup
	all.Go(func() { c.trouble(ctx, rand.New(rand.NewPCG(seed, 0))) })
	for i := range 5 {
		cl := &client{c: c, h: &h, random: rand.New(rand.NewPCG(seed, uint64(i+1))), name: fmt.Sprint("client", i, "/"), known: map[string]*kv.Entry{}}
		all.Go(func() { cl.run(ctx) })
	}
	all.Wait()
	time.Sleep(15 * time.Second)
	c.equal()
	ops, counts := h.settled()
	if counts["get"] < 500 || counts["put"] < 200 {
		t.Errorf("few operations were answered: %v", counts)
	}
	t.Log(counts)
	return ops
}

// settled is the history without writes of which nobody knows whether they happened and whose value nobody has read:
// they may have happened last. Those whose value was read had happened by then.
func (h *history) settled() (ops []porcupine.Operation, counts map[string]int) {
	read := map[string]int64{} // when a value had been read
	for _, op := range h.ops {
		if out := op.Output.(outcome); op.Input.(operation).kind == "get" && (read[out.value] == 0 || read[out.value] > op.Return) {
			read[out.value] = op.Return
		}
	}
	counts = map[string]int{}
	for _, op := range h.ops {
		in, out := op.Input.(operation), op.Output.(outcome)
		if out.unknown {
			counts["unknown"]++
			if op.Return = read[in.new]; op.Return == 0 {
				continue
			}
			op.Output = outcome{swapped: true}
		}
		counts[in.kind]++
		ops = append(ops, op)
	}
	return ops, counts
}

// explain tells of reads that are plainly too old: a later value had been written whole before they began.
func explain(t *testing.T, ops []porcupine.Operation) {
	written := map[string]porcupine.Operation{}
	for _, op := range ops {
		if in := op.Input.(operation); in.kind == "put" || in.kind == "cas" && op.Output.(outcome).swapped {
			written[in.new] = op
		}
	}
	for _, op := range ops {
		in, out := op.Input.(operation), op.Output.(outcome)
		if in.kind != "get" {
			continue
		}
		was, ok := written[out.value]
		if !ok && out.value != "missing" {
			t.Logf("%+v reads %s, which nobody has written", in, out.value)
			continue
		}
		for _, later := range written {
			if later.Input.(operation).key == in.key && later.Call > was.Return && later.Return < op.Call {
				t.Logf("%+v is too old: it reads %+v, %+v had been written", in, was.Input, later.Input)
				break
			}
		}
	}
}
