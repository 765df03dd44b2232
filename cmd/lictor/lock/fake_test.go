package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lictor/cmd/lictor/client"
)

// fakeAgent is the part of an agent that locks need, in memory: it lives in the time of the test that calls it.
type fakeAgent struct {
	mu       sync.Mutex // guards what follows
	index    uint64
	changed  chan struct{} // closed by each write
	keys     map[string]pair
	sessions map[string]newSession
	delays   map[string]time.Time // until when keys cannot be acquired
	renewals int
	writes   []string
	failing  error // what all requests get if it is set
}

func newFakeAgent() *fakeAgent {
	return &fakeAgent{index: 1, changed: make(chan struct{}), keys: map[string]pair{}, sessions: map[string]newSession{}, delays: map[string]time.Time{}}
}

func (a *fakeAgent) Do(ctx context.Context, r client.Request) (*http.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failing != nil {
		return nil, a.failing
	}
	if r.Method != http.MethodGet {
		a.writes = append(a.writes, r.Method+" "+r.Path)
	}
	if key, ok := strings.CutPrefix(r.Path, "/v1/kv/"); ok {
		if r.Method == http.MethodGet {
			return a.read(ctx, key, r.Query)
		}
		return a.write(r, key)
	}
	return a.session(r)
}

func (a *fakeAgent) answer(v any) (*http.Response, error) {
	body, err := json.Marshal(v)
	header := http.Header{"X-Consul-Index": {fmt.Sprint(a.index)}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(string(body)))}, err
}

// read blocks on the index of the whole state: that is coarse, and allowed.
func (a *fakeAgent) read(ctx context.Context, key string, q url.Values) (*http.Response, error) {
	for index := q.Get("index"); index == fmt.Sprint(a.index); {
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		a.mu.Lock()
		if err := errors.Join(ctx.Err(), a.failing); err != nil {
			return nil, err
		}
	}
	found := []pair{}
	for _, k := range slices.Sorted(maps.Keys(a.keys)) {
		if k == key || q.Has("recurse") && strings.HasPrefix(k, key) {
			found = append(found, a.keys[k])
		}
	}
	return a.answer(found)
}

func (a *fakeAgent) write(r client.Request, key string) (*http.Response, error) {
	old, there := a.keys[key]
	ok := true
	if cas := r.Query.Get("cas"); cas != "" {
		ok = cas == fmt.Sprint(old.ModifyIndex)
	}
	if r.Method == http.MethodDelete {
		if ok && there {
			delete(a.keys, key)
			a.touch()
		}
		return a.answer(ok)
	}
	p := pair{Key: key, Session: old.Session}
	p.Value, _ = io.ReadAll(r.Body)
	p.Flags, _ = strconv.ParseUint(r.Query.Get("flags"), 10, 64)
	if s := r.Query.Get("acquire"); s != "" {
		_, alive := a.sessions[s]
		ok = alive && (old.Session == "" || old.Session == s) && !time.Now().Before(a.delays[key])
		p.Session = s
	}
	if s := r.Query.Get("release"); s != "" {
		ok = old.Session == s
		p.Session = ""
	}
	if ok {
		a.touch()
		p.ModifyIndex = a.index
		a.keys[key] = p
	}
	return a.answer(ok)
}

func (a *fakeAgent) session(r client.Request) (*http.Response, error) {
	verb, id, _ := strings.Cut(strings.TrimPrefix(r.Path, "/v1/session/"), "/")
	_, alive := a.sessions[id]
	switch {
	case verb == "create":
		var s newSession
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			return nil, err
		}
		id = fmt.Sprintf("session%d", a.index)
		a.touch()
		a.sessions[id] = s
		return a.answer(map[string]string{"ID": id})
	case verb == "destroy":
		a.kill(id)
		return a.answer(true)
	case !alive:
		return nil, &client.Status{Code: http.StatusNotFound}
	}
	a.renewals++
	return a.answer([]newSession{})
}

// kill ends a session and what it holds.
func (a *fakeAgent) kill(id string) {
	s := a.sessions[id]
	delete(a.sessions, id)
	a.touch()
	for key, p := range a.keys {
		switch {
		case p.Session != id:
			continue
		case s.Behavior == "delete":
			delete(a.keys, key)
		default:
			p.Session, p.ModifyIndex = "", a.index
			a.keys[key] = p
		}
		a.delays[key] = time.Now().Add(15 * time.Second)
	}
}

func (a *fakeAgent) touch() {
	a.index++
	close(a.changed)
	a.changed = make(chan struct{})
}

// do calls f while the agent does nothing else, and wakes all who wait.
func (a *fakeAgent) do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.touch()
}
