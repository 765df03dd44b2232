package testcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// requestTimeout bounds each request, in fake time.
const requestTimeout = 30 * time.Second

// An Answer is what came of a request.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// OK tells whether the request succeeded.
func (a Answer) OK() bool { return a.Status == http.StatusOK }

// Ask makes a request at the agent's HTTP API.
func (n *Node) Ask(method, path, body string) Answer {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, r)
	return Answer{w.Code, w.Header(), w.Body.String()}
}

// Get reads a path, with nothing but its body.
func (n *Node) Get(path string) string { return n.Ask("GET", path, "").Body }

// Put writes a key and fails the test if that is refused.
func (n *Node) Put(key, value string) {
	n.cluster.Helper()
	if a := n.Ask("PUT", "/v1/kv/"+key, value); !a.OK() || strings.TrimSpace(a.Body) != "true" {
		n.cluster.Fatalf("put %s at %s: %d %s\n%s", key, n.Name, a.Status, a.Body, n.cluster.journals())
	}
}

// PutAgain writes a key until the agent says that it did: an answer may be lost with the server that gave it.
func (n *Node) PutAgain(key, value string) {
	n.cluster.Helper()
	n.cluster.Eventually("a write succeeds", func() bool { return n.Ask("PUT", "/v1/kv/"+key, value).OK() })
}

// Value reads a key; "" if it is not there. Mode is "", "stale" or "consistent".
func (n *Node) Value(key, mode string) (string, error) {
	a := n.Ask("GET", "/v1/kv/"+key+"?raw&"+mode, "")
	switch a.Status {
	case http.StatusOK:
		return a.Body, nil
	case http.StatusNotFound:
		return "", nil
	}
	return "", fmt.Errorf("%d %s", a.Status, a.Body)
}

// A peer is a member or a server as the API lists it.
type peer struct {
	Name   string // of a member
	Node   string // of a server
	Status int
	Leader bool
	Voter  bool
}

// alive is the state of members that are.
const alive = 1

// sees tells whether the agent takes exactly these for alive.
func (n *Node) sees(others []*Node) bool {
	var members []peer
	if json.Unmarshal([]byte(n.Get("/v1/agent/members")), &members) != nil {
		return false
	}
	living := map[string]bool{}
	for _, m := range members {
		if m.Status == alive {
			living[m.Name] = true
		}
	}
	for _, o := range others {
		if !living[o.Name] {
			return false
		}
	}
	return len(living) == len(others)
}

// Voters lists the names of the servers that have a vote, as the leader knows them.
func (c *Cluster) Voters() []string {
	var answer struct{ Servers []peer }
	if json.Unmarshal([]byte(c.Leader().Get("/v1/operator/raft/configuration")), &answer) != nil {
		return nil
	}
	var out []string
	for _, s := range answer.Servers {
		if s.Voter {
			out = append(out, s.Node)
		}
	}
	return out
}

// checkReplicas waits until all servers hold the same state.
func (c *Cluster) checkReplicas() {
	c.Helper()
	for _, path := range []string{"/v1/kv/?recurse&stale", "/v1/catalog/nodes?stale", "/v1/health/state/any?stale", "/v1/session/list?stale"} {
		c.Eventually("all servers answer "+path+" alike", func() bool {
			want := ""
			for _, n := range c.Running() {
				if !n.Server {
					continue
				}
				got := n.Get(path)
				if want != "" && got != want {
					return false
				}
				want = got
			}
			return true
		})
	}
}
