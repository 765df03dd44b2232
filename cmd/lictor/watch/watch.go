// Package watch follows things in an agent's state and reports each change. It knows the types of things that can be
// watched, the shape that each is reported in, and how blocking queries are repeated. It knows nothing of what is done
// with a change, and nothing of flags.
package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lictor/cmd/lictor/client"
)

// A Change is what a watched thing has become.
type Change struct {
	Index uint64 // of the state that it was read from
	JSON  []byte // the thing, in one line
}

// A Watch follows one thing. It is for one goroutine.
type Watch struct {
	agent   client.Doer
	request client.Request
	shape   shape
	// hashed is set where an index is not a number that grows but only differs from the one before.
	hashed bool

	index     uint64
	last      []byte // what Next has returned
	delivered bool   // whether it has
}

// New prepares to watch what a query describes. It asks nothing yet. It fails if the query makes no sense.
func New(agent client.Doer, q Query) (*Watch, error) {
	k, ok := kinds()[q.Type]
	switch {
	case q.Type == "":
		return nil, errors.New("Watch type must be specified")
	case !ok:
		return nil, fmt.Errorf("Unsupported watch type: %s", q.Type)
	}
	if err := q.check(k); err != nil {
		return nil, err
	}
	return &Watch{agent: agent, request: k.request(q), shape: k.shape(), hashed: k.hashed}, nil
}

// unindexedPause keeps an agent that gives no index from being asked without rest.
const unindexedPause = time.Second

// Next returns how the thing is when it is called for the first time, and then blocks until the thing differs from what
// was returned last. An error leaves the watch usable.
func (w *Watch) Next(ctx context.Context) (Change, error) {
	for {
		if w.delivered && w.index == 0 {
			if err := pause(ctx, unindexedPause); err != nil {
				return Change{}, err
			}
		}
		answer, err := client.Read(ctx, w.agent, w.request, w.index)
		if err != nil {
			return Change{}, err
		}
		if w.delivered && w.index > 0 && answer.Index == w.index {
			continue // the agent grew tired of waiting
		}
		text, err := w.shape(answer)
		if err != nil {
			return Change{}, fmt.Errorf("the answer to %s is not what was expected: %w", w.request.Path, err)
		}
		w.advance(answer)
		if w.delivered && (bytes.Equal(text, w.last) || w.hashed && string(text) == noEvents) {
			continue
		}
		w.last, w.delivered = text, true
		return Change{Index: answer.Index, JSON: text}, nil
	}
}

func (w *Watch) advance(a client.Answer) {
	if w.hashed {
		w.index = a.Index
		return
	}
	w.index = a.Newer(w.index)
}

// The waits after failures in a row.
const (
	firstRetry = time.Second
	lastRetry  = 3 * time.Minute
)

// Run calls handle with each change until the context ends, whose error it returns, or handle fails. If the agent does
// not answer, failed is told when the next attempt will be; the waits between attempts grow.
func (w *Watch) Run(ctx context.Context, handle func(Change) error, failed func(error, time.Duration)) error {
	wait := firstRetry
	for {
		change, err := w.Next(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed(err, wait)
			if err := pause(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, lastRetry)
			w.index = 0 // what an agent knows that has come back is told at once
			continue
		}
		wait = firstRetry
		if err := handle(change); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A shape turns an answer into the JSON of a change.
type shape func(client.Answer) ([]byte, error)

// compact is an answer as the agent gave it, in one line.
func compact(a client.Answer) ([]byte, error) {
	if a.Missing {
		return []byte("null"), nil
	}
	var out bytes.Buffer
	err := json.Compact(&out, bytes.TrimSpace(a.Body))
	return out.Bytes(), err
}

// pair is a key and its value as clients of the API print them: with all fields.
type pair struct {
	Key         string
	CreateIndex uint64
	ModifyIndex uint64
	LockIndex   uint64
	Flags       uint64
	Value       []byte
	Session     string
}

func pairs(a client.Answer) ([]pair, error) {
	if a.Missing {
		return nil, nil
	}
	var all []pair
	err := json.Unmarshal(a.Body, &all)
	return all, err
}

func onePair(a client.Answer) ([]byte, error) {
	all, err := pairs(a)
	if err != nil || len(all) == 0 {
		return []byte("null"), err
	}
	return json.Marshal(all[0])
}

func allPairs(a client.Answer) ([]byte, error) {
	all, err := pairs(a)
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

const noEvents = "[]"

// newEvents returns a shape for lists of events, which drops those that an earlier list has ended with.
func newEvents() shape {
	last := ""
	return func(a client.Answer) ([]byte, error) {
		var all []json.RawMessage
		if err := json.Unmarshal(a.Body, &all); err != nil {
			return nil, err
		}
		ids := make([]string, len(all))
		for i, e := range all {
			var event struct{ ID string }
			if err := json.Unmarshal(e, &event); err != nil {
				return nil, err
			}
			ids[i] = event.ID
		}
		if len(ids) == 0 {
			return []byte(noEvents), nil
		}
		fresh := all[slices.Index(ids, last)+1:]
		last = ids[len(ids)-1]
		return json.Marshal(fresh)
	}
}
