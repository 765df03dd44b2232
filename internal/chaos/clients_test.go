//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clients     = 8
	keysAtOnce  = 5
	opsPerKey   = 400
	pauseOfOps  = 30 * time.Millisecond // at most, between two operations of a client
	noLeader    = "No cluster leader"   // how the text of a certain refusal begins
	longTimeout = 4 * time.Second
)

// A load is eight clients that read and write a few keys, each of which makes place for a new one after a while: so no
// history of one key is long.
type load struct {
	c     *cluster
	begin time.Time
	used  [keysAtOnce]atomic.Int64 // operations so far, for each place of a key
}

func (l *load) since() int64 { return int64(time.Since(l.begin)) }

func (l *load) key(random *rand.Rand) string {
	i := random.IntN(keysAtOnce)
	return fmt.Sprintf("chaos/%d/%d", l.used[i].Add(1)/opsPerKey, i)
}

// run lets the clients work until ctx ends and returns their history.
func (l *load) run(ctx context.Context, seed uint64) history {
	var all history
	var mu sync.Mutex // guards all
	var working sync.WaitGroup
	for i := range clients {
		working.Go(func() {
			c := &client{load: l, id: i, random: rand.New(rand.NewPCG(seed, uint64(1+i))), index: map[string]uint64{}}
			c.short, c.long = l.c.network.http(time.Second), l.c.network.http(longTimeout)
			for ctx.Err() == nil {
				c.operate()
				time.Sleep(time.Duration(c.random.Int64N(int64(pauseOfOps))))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c.history...)
		})
	}
	working.Wait()
	return all
}

// last reads all keys of a history at the end, at each agent.
func (l *load) last(h history) history {
	c := &client{load: l, id: clients, long: l.c.network.http(longTimeout)}
	for key := range h.byKey() {
		for _, a := range l.c.all() {
			c.do(c.long, a, op{Kind: get, Mode: consistent, Key: key})
		}
	}
	return c.history
}

// A client does one thing after the other.
type client struct {
	*load
	id          int
	random      *rand.Rand
	short, long *http.Client
	count       int               // of values that it has written
	index       map[string]uint64 // ModifyIndex of each key, as it has read it last
	history     history
}

// operate does something at random.
func (c *client) operate() {
	agents := c.c.all()
	a := agents[c.random.IntN(len(agents))]
	o := op{Key: c.key(c.random)}
	switch n := c.random.IntN(20); {
	case n < 5:
		o.Kind, o.Value = put, c.value()
	case n < 9:
		o.Kind, o.Value, o.Expect = cas, c.value(), c.index[o.Key]
	case n < 10:
		o.Kind = remove
	default:
		o.Kind, o.Mode = get, []string{consistent, byDefault, stale}[n%3]
	}
	by := c.long
	if c.random.IntN(3) == 0 {
		by = c.short
	}
	c.do(by, a, o)
}

func (c *client) value() string {
	c.count++
	return fmt.Sprintf("%d.%d", c.id, c.count)
}

// do does one operation at an agent and notes how it went.
func (c *client) do(by *http.Client, a *agent, o op) {
	o.Client, o.Agent, o.Process, o.Call = c.id, a.name, a.process(), c.since()
	answer, body, err := ask(by, a, &o)
	o.Return = c.since()
	if a.process() != o.Process {
		o.Process = 0 // one or the other
	}
	judge(&o, answer, body, err)
	if o.Kind == get && o.Outcome == done && c.index != nil {
		c.index[o.Key] = o.Modify
	}
	c.history = append(c.history, o)
}

func ask(by *http.Client, a *agent, o *op) (*http.Response, []byte, error) {
	method, query := http.MethodGet, ""
	switch {
	case o.Kind == put:
		method = http.MethodPut
	case o.Kind == cas:
		method, query = http.MethodPut, "?cas="+strconv.FormatUint(o.Expect, 10)
	case o.Kind == remove:
		method = http.MethodDelete
	case o.Mode != byDefault:
		query = "?" + o.Mode
	}
	r, err := http.NewRequest(method, a.url()+"/v1/kv/"+o.Key+query, strings.NewReader(o.Value))
	if err != nil {
		return nil, nil, err
	}
	answer, err := by.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

// judge tells the outcome of an operation by its answer.
func judge(o *op, answer *http.Response, body []byte, err error) {
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		o.Outcome, o.Note = refused, "no connection" // nothing was sent
	case err != nil:
		o.Outcome, o.Note = open, err.Error()
	case answer.StatusCode == http.StatusOK && o.writes():
		o.Outcome, o.Swapped = done, o.Kind == cas && strings.TrimSpace(string(body)) == "true"
		if text := strings.TrimSpace(string(body)); text != "true" && !(o.Kind == cas && text == "false") {
			o.Outcome, o.Note = open, "200 "+text
		}
	case (answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusNotFound) && o.Kind == get:
		found(o, answer, body)
	default:
		o.Outcome, o.Note = open, fmt.Sprintf("%d %s", answer.StatusCode, body)
		if strings.HasPrefix(string(body), noLeader) || answer.StatusCode < 500 {
			o.Outcome = refused
		}
	}
	if !o.writes() && o.Outcome == open {
		o.Outcome = refused // a read that has no answer has no effect
	}
}

// found takes a read's answer apart.
func found(o *op, answer *http.Response, body []byte) {
	o.Outcome = done
	o.Index, _ = strconv.ParseUint(answer.Header.Get("X-Consul-Index"), 10, 64)
	if answer.StatusCode == http.StatusNotFound && len(body) == 0 {
		return
	}
	var entries []struct {
		Value       []byte
		ModifyIndex uint64
	}
	if err := json.Unmarshal(body, &entries); err != nil || len(entries) != 1 {
		o.Outcome, o.Note = refused, fmt.Sprintf("%d %s", answer.StatusCode, body)
		return
	}
	o.Value, o.Modify = string(entries[0].Value), entries[0].ModifyIndex
}
