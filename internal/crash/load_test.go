//go:build crash

package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// An item is one thing that is written again and again by one client, each time with a higher number. Its number is
// found again in the log by the mark in the value, "<item>#<number>;".
type item struct {
	name  string
	last  int // number that was used, never to be used again
	acked int // the last write that was acknowledged
	tried int // the last write that was sent: it may be there or not, if it is not acked
}

var mark = regexp.MustCompile(`((?:put|cas|del|agent|catalog)/\d+/\d+)#(\d+);`)

func (i *item) mark(n int) string { return fmt.Sprintf("%s#%d;", i.name, n) }

// A kind is one way to write: write returns whether the write was acknowledged, and an error that stops the test.
type kind struct {
	name  string
	write func(s *server, i *item, n int) (acked bool, err error)
}

func kinds() []kind {
	return []kind{{"put", put}, {"cas", cas}, {"del", putAndDelete}, {"agent", registerHere}, {"catalog", register}}
}

// send writes and tells whether it was acknowledged. The end of the server is no error.
func send(s *server, path, body string) (bool, []byte, error) {
	status, answer, err := s.call("PUT", path, body)
	if err != nil {
		return false, nil, nil
	}
	if status != http.StatusOK {
		return false, nil, fmt.Errorf("PUT %s: %d %s", path, status, answer)
	}
	return true, answer, nil
}

func put(s *server, i *item, n int) (bool, error) {
	acked, _, err := send(s, "/v1/kv/"+i.name, i.mark(n))
	return acked, err
}

func cas(s *server, i *item, n int) (bool, error) {
	var found []struct{ ModifyIndex uint64 }
	_, body, err := s.call("GET", "/v1/kv/"+i.name, "")
	if err != nil {
		return false, nil
	}
	index := uint64(0)
	if json.Unmarshal(body, &found) == nil && len(found) == 1 {
		index = found[0].ModifyIndex
	}
	acked, answer, err := send(s, fmt.Sprintf("/v1/kv/%s?cas=%d", i.name, index), i.mark(n))
	if acked && string(answer) != "true\n" && string(answer) != "true" {
		return false, fmt.Errorf("nobody else writes %s, and yet cas=%d is refused: %s", i.name, index, answer)
	}
	return acked, err
}

// putAndDelete writes and, each second time, deletes the key: an even number is a key that is not there.
func putAndDelete(s *server, i *item, n int) (bool, error) {
	if n%2 == 1 {
		return put(s, i, n)
	}
	status, _, err := s.call("DELETE", "/v1/kv/"+i.name, "")
	return err == nil && status == http.StatusOK, nil
}

func service(i *item, n int, name string) string {
	return fmt.Sprintf(`{"ID":%q,%q:"s","Port":%d,"Meta":{"mark":%q}}`, i.name, name, 1+n%60000, i.mark(n))
}

func registerHere(s *server, i *item, n int) (bool, error) {
	acked, _, err := send(s, "/v1/agent/service/register", service(i, n, "Name"))
	return acked, err
}

func register(s *server, i *item, n int) (bool, error) {
	acked, _, err := send(s, "/v1/catalog/register", fmt.Sprintf(`{"Node":"other","Address":"10.0.0.1","Service":%s}`, service(i, n, "Service")))
	return acked, err
}

// A client writes its items in turn.
type client struct {
	kind  kind
	items []*item
	next  int
}

const clientsPerKind, itemsPerClient = 3, 8

func newClients() []*client {
	var all []*client
	for _, k := range kinds() {
		for c := range clientsPerKind {
			cl := &client{kind: k}
			for i := range itemsPerClient {
				cl.items = append(cl.items, &item{name: fmt.Sprintf("%s/%d/%d", k.name, c, i)})
			}
			all = append(all, cl)
		}
	}
	return all
}

// load writes from all clients until ctx ends or the server does.
func load(ctx context.Context, t *testing.T, s *server, clients []*client) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				i := c.items[c.next%len(c.items)]
				c.next++
				i.last++
				i.tried = i.last
				acked, err := c.kind.write(s, i, i.tried)
				if err != nil {
					t.Error(err)
				}
				if !acked {
					return
				}
				i.acked = i.tried
			}
		})
	}
	all.Wait()
}

// held reads what the server holds: the number of each item.
func held(t *testing.T, s *server) map[string]int {
	t.Helper()
	found := map[string]int{}
	take := func(text string) {
		for _, m := range mark.FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(m[2])
			found[m[1]] = max(found[m[1]], n)
		}
	}
	for _, prefix := range []string{"put/", "cas/", "del/"} {
		var entries []struct{ Value []byte }
		s.get(t, "/v1/kv/"+prefix+"?recurse", &entries)
		for _, e := range entries {
			take(string(e.Value))
		}
	}
	type instance struct{ Meta map[string]string }
	here, there := map[string]instance{}, struct{ Services []instance }{}
	s.get(t, "/v1/agent/services", &here)
	for _, i := range here {
		take(i.Meta["mark"])
	}
	s.get(t, "/v1/catalog/node-services/other", &there)
	for _, i := range there.Services {
		take(i.Meta["mark"])
	}
	return found
}

// check compares what is held with what was acknowledged and goes on from what is held.
func check(t *testing.T, found map[string]int, clients []*client) {
	t.Helper()
	for _, c := range clients {
		for _, i := range c.items {
			n := found[i.name]
			if c.kind.name == "del" && n == 0 { // deleted, or never there
				for _, even := range []int{i.acked, i.tried} {
					if even%2 == 0 {
						n = even
					}
				}
			}
			if n != i.acked && n != i.tried {
				t.Errorf("%s is at %d, but %d was acknowledged and %d was sent last", i.name, n, i.acked, i.tried)
			}
			i.acked, i.tried = n, n
		}
	}
}
