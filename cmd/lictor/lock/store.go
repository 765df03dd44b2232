package lock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lictor/cmd/lictor/client"
)

// lockName is the key of a lock within its folder.
const lockName = ".lock"

// The flags of a key say which kind of lock it is, the same for all of Consul's clients.
const (
	mutexFlags     = 0x2ddccbc058a50c18
	semaphoreFlags = 0xe0f69a2baa414de0
)

const (
	// readRetry is the wait after the agent has failed to answer.
	readRetry = time.Second
	// writeTime bounds a write. A write is not given up when its caller is: it might have been done all the same.
	writeTime = 10 * time.Second
)

// store reads and writes keys.
type store struct {
	agent   client.Doer
	retries int
}

// pair is a key and its value, as the API gives them.
type pair struct {
	Key         string
	Flags       uint64
	Value       []byte
	Session     string
	ModifyIndex uint64
}

// A question asks for a key, or for all below one.
type question struct {
	key        string
	recurse    bool
	consistent bool
	index      uint64 // to block on, or 0
}

// read asks, again and again if it must, and returns what is there and the index to block on next.
func (s store) read(ctx context.Context, q question) ([]pair, uint64, error) {
	values := url.Values{}
	if q.recurse {
		values.Set("recurse", "")
	}
	if q.consistent {
		values.Set("consistent", "")
	}
	for left := s.retries; ; left-- {
		answer, err := client.Read(ctx, s.agent, client.Request{Path: "/v1/kv/" + q.key, Query: values}, q.index)
		if err == nil {
			return decode(answer, q.index)
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if left <= 0 || !passing(err) {
			return nil, 0, fmt.Errorf("failed to read lock: %w", err)
		}
		if err := pause(ctx, readRetry); err != nil {
			return nil, 0, err
		}
		q.index = 0
	}
}

func decode(a client.Answer, old uint64) ([]pair, uint64, error) {
	var all []pair
	if !a.Missing {
		if err := json.Unmarshal(a.Body, &all); err != nil {
			return nil, 0, fmt.Errorf("failed to read lock: %w", err)
		}
	}
	return all, a.Newer(old), nil
}

// passing tells whether a failure may be over soon: all but refusals are.
func passing(err error) bool {
	var s *client.Status
	return !errors.As(err, &s) || s.Code >= http.StatusInternalServerError
}

// A change is a write to a key.
type change struct {
	key   string
	verb  string // acquire, release or cas
	value string // of the verb
	flags uint64
	body  []byte
}

// write tells whether the change was made.
func (s store) write(ctx context.Context, c change) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	answer, err := put(ctx, s.agent, client.Request{Path: "/v1/kv/" + c.key, Body: bytes.NewReader(c.body),
		Query: url.Values{c.verb: {c.value}, "flags": {strconv.FormatUint(c.flags, 10)}}})
	return string(bytes.TrimSpace(answer)) == "true", err
}

// remove deletes a key, if index is not zero only if that is its ModifyIndex.
func (s store) remove(ctx context.Context, key string, index uint64) error {
	q := url.Values{}
	if index > 0 {
		q.Set("cas", strconv.FormatUint(index, 10))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	_, err := send(ctx, s.agent, client.Request{Method: http.MethodDelete, Path: "/v1/kv/" + key, Query: q})
	return err
}

// block is the index of the next question, after a pause if there is none to block on.
func block(ctx context.Context, index uint64) (uint64, error) {
	if index > 0 {
		return index, nil
	}
	return 0, pause(ctx, readRetry)
}
