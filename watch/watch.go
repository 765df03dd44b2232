// Package watch follows things in an agent's state and reports each change. It knows the types of things that can be
// watched, the shape that each is reported in, how blocking queries are repeated, and the handlers that a configuration may
// name for changes. It knows nothing of how an agent is reached, and nothing of flags.
package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"lictor/pace"
)

// A Source answers questions about an agent's state, in the terms of the HTTP API.
type Source interface {
	// Ask blocks, if the question says what is known already, until the answer differs or the agent grows tired of waiting.
	Ask(ctx context.Context, q Question) (Answer, error)
}

// A Question is a GET of Path and Name. Name may hold any characters, none of which has a meaning in a path.
type Question struct {
	Path, Name string
	Query      url.Values
	// Index and Hash are those of the last answer, zero to be answered at once.
	Index uint64
	Hash  string
}

// An Answer is what an agent tells.
type Answer struct {
	Body    []byte // JSON, nil if Missing
	Missing bool   // the agent has no such thing
	Index   uint64 // of the state; 0 if the agent gave none
	Hash    string // of the content, where the agent gives that and no index
}

// A Change is what a watched thing has become.
type Change struct {
	Index uint64 // of the state that it was read from
	JSON  []byte // the thing, in one line
}

// A Watch follows one thing. It is for one goroutine.
type Watch struct {
	agent    Source
	question Question // with what is known so far
	kind     kind
	shape    shape

	last      []byte // what Next has returned
	delivered bool   // whether it has
}

// New prepares to watch what a query describes. It asks nothing yet. It fails if the query makes no sense.
func New(agent Source, q Query) (*Watch, error) {
	k, err := q.kind()
	if err != nil {
		return nil, err
	}
	return &Watch{agent: agent, question: k.question(q), kind: k, shape: k.shape()}, nil
}

// unindexedPause keeps an agent that gives no index from being asked without rest.
const unindexedPause = time.Second

// Next returns how the thing is when it is called for the first time, and then blocks until the thing differs from what
// was returned last. An error leaves the watch usable.
func (w *Watch) Next(ctx context.Context) (Change, error) {
	q := &w.question
	for {
		known := q.Index > 0 || q.Hash != ""
		if w.delivered && !known {
			if err := pace.Rest(ctx, unindexedPause); err != nil {
				return Change{}, err
			}
		}
		answer, err := w.agent.Ask(ctx, *q)
		if err != nil {
			return Change{}, err
		}
		if answer.Missing && !w.kind.absent {
			return Change{}, fmt.Errorf("the agent has no %s%s", q.Path, q.Name)
		}
		if w.delivered && known && answer.Index == q.Index && answer.Hash == q.Hash {
			continue // the agent grew tired of waiting
		}
		text, err := w.shape(answer)
		if err != nil {
			return Change{}, fmt.Errorf("the answer to %s%s is not what was expected: %w", q.Path, q.Name, err)
		}
		w.advance(answer)
		if w.delivered && (bytes.Equal(text, w.last) || w.kind.unordered && string(text) == noEvents) {
			continue
		}
		w.last, w.delivered = text, true
		return Change{Index: answer.Index, JSON: text}, nil
	}
}

// advance notes what is known from now on. An index that goes backwards means that the state was replaced, by a snapshot
// say: the next question must not block.
func (w *Watch) advance(a Answer) {
	backwards := !w.kind.unordered && a.Index < w.question.Index
	w.question.Index, w.question.Hash = a.Index, a.Hash
	if backwards {
		w.question.Index = 0
	}
}

// The waits after failures in a row.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
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
			if err := pace.Rest(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, lastRetry)
			w.question.Index, w.question.Hash = 0, "" // what an agent knows that has come back is told at once
			continue
		}
		wait = firstRetry
		if err := handle(change); err != nil {
			return err
		}
	}
}

// A shape turns an answer into the JSON of a change.
type shape func(Answer) ([]byte, error)

// compact is an answer as the agent gave it, in one line.
func compact(a Answer) ([]byte, error) {
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

func pairs(a Answer) ([]pair, error) {
	if a.Missing {
		return nil, nil
	}
	var all []pair
	err := json.Unmarshal(a.Body, &all)
	return all, err
}

func onePair(a Answer) ([]byte, error) {
	all, err := pairs(a)
	if err != nil || len(all) == 0 {
		return []byte("null"), err
	}
	return json.Marshal(all[0])
}

func allPairs(a Answer) ([]byte, error) {
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
	return func(a Answer) ([]byte, error) {
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
